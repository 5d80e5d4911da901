"""The section on the players, wherever a run is shown."""

import io

import pytest
from complete_runs import HOSTILE, Page, complete
from recorded import attempt_02
from rich.console import Console

from parley.evaluation.reporting.page import render_html
from parley.evaluation.reporting.players import players_of
from parley.evaluation.reporting.report import render_report
from parley.evaluation.reporting.terminal import print_table
from parley.evaluation.results import build_results

RECEIVER = {"readout": "likelihood", "wording": "plain", "calibration": "content_free", "shots": 1}
CHOSEN = {**RECEIVER, "n": 96, "successes": 88, "swap_consistent": 84, "exact_successes": 80, "score": 0.9}
OTHER = {**CHOSEN, "shots": 0, "wording": "copy", "calibration": "none", "successes": 40, "score": 0.4}
ADMISSION = {
    "episodes": 96,
    "seed": 5,
    "fit": True,
    "chosen": CHOSEN,
    "cells": [OTHER, CHOSEN],
    "sender": [{"shots": 0, "exact": 0, "n": 24}, {"shots": 3, "exact": 22, "n": 24}],
    "receiver": {
        "exact_success": {"successes": 90, "n": 95},
        "picks": [18, 20, 19, 21, 17],
        "cyclic_consistency": {"same": 61, "n": 96},
    },
}


def provenance(admission=None, source="built in for smollm2", model="smollm2"):
    models = {role: {"name": model, "sha256": role[0] * 64} for role in ("sender", "receiver")}
    asked = {"sender": {"shots": 3}, "receiver": RECEIVER, "examples_seed": 0}
    return {
        "num_candidates": 5,
        "models": models,
        "players": {**asked, "source": source, "admission": admission},
    }


def results_of(**options):
    return build_results(complete(n=20), provenance(**options))


def flat(text):
    return " ".join(text.replace("\\", "").split())


def report_of(**options):
    return flat(render_report(results_of(**options)))


def test_models_and_how_they_are_asked_stand_everywhere():
    results, console = results_of(), Console(file=io.StringIO(), width=80)
    print_table(results, console)
    terminal = console.file.getvalue()
    assert max(map(len, terminal.splitlines())) <= 80
    for text in (flat(render_report(results)), flat(terminal)):
        assert "smollm2" in text
        assert "3 solved examples" in text
        assert "readout likelihood, wording plain, calibration content_free, 1 solved example" in text
        assert "rofile: built in for smollm2." in text
        assert "never tried" not in text
    assert f"| sender | smollm2 | {'s' * 12} | 3 solved examples |" in render_report(results)


def test_a_default_is_said_to_be_untried_and_what_to_do():
    source = "the default, never tried with this model"
    assert f"Profile: {source}; run parley admit." in report_of(source=source)


def test_the_trials_of_an_admission_stand_there_with_their_intervals():
    results = results_of(admission=ADMISSION)
    page, report = Page(render_html(results)), flat(render_report(results))
    players = players_of(results)
    counts = [(trial.rate["successes"], trial.rate["n"]) for trial in players.trials]
    assert counts == [(88, 96), (84, 96), (0, 24), (22, 24), (90, 95), (61, 96)]
    for trial in players.trials:
        share = f"{100 * trial.rate['rate']:.1f}%"
        ends = f"[{100 * trial.rate['ci_low']:.1f}, {100 * trial.rate['ci_high']:.1f}]"
        for text in (page.text, report):
            assert trial.what in text
            assert text.index(share) < text.rindex(ends)
    for text in (page.text, report):
        assert "18, 20, 19, 21, 17" in text
        assert "The pair is fit to play, as its admission shows." in text
        assert "wording copy, calibration none, no solved examples" in text
        assert "1 solved example" in text
    assert [cell.chosen for cell in players.cells] == [False, True]
    assert (report.count("(chosen)"), page.text.count("1 solved example chosen")) == (1, 1)
    assert "players" in [a.get("id") for a in page.all("section")]
    assert "#players" in [a.get("href") for a in page.all("a")]


@pytest.mark.parametrize("missing", ["sender", "receiver", "cells"])
def test_a_part_that_is_missing_is_left_out(missing):
    report = report_of(admission={key: value for key, value in ADMISSION.items() if key != missing})
    words = {"sender": "words are exact", "receiver": "picks by position", "cells": "Every way of asking"}
    assert {key: text in report for key, text in words.items()} == {key: key != missing for key in words}


def test_a_run_of_before_has_no_such_section():
    results = build_results(attempt_02(), {"num_candidates": 5})
    assert players_of(results) is None
    assert "## Players" not in render_report(results)


def test_strings_of_models_and_files_stay_strings():
    results = results_of(source=HOSTILE, model=HOSTILE)
    assert render_html(results).count("<script>") == 1
    assert "\\<script>" in render_report(results)
