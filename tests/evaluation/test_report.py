"""What people look at: report.md, the terminal's table, the files of a run."""

import io
import struct

import pytest
from complete_runs import PRIMED, complete, without
from recorded import attempt_02, outcomes, perfect, run
from rich.console import Console

from parley.evaluation.aggregation.communication_matters import CONDITIONED, CROSS_FITTED
from parley.evaluation.records import EpisodeRecord
from parley.evaluation.reporting import cells
from parley.evaluation.reporting.gallery import gather_gallery
from parley.evaluation.reporting.junit import render_junit
from parley.evaluation.reporting.report import render_report, write_report
from parley.evaluation.reporting.terminal import _broken, print_table
from parley.evaluation.results import build_results

PROVENANCE = {
    "command": "python -m evaluation.gate1 --channels all --seed 7",
    "seeds": {"evaluation": 7},
    "versions": {"scipy": "1.2.3"},
    "num_candidates": 5,
}


def terminal(results, width=80):
    console = Console(file=io.StringIO(), width=width)
    print_table(results, console)
    return console.file.getvalue()


def wide_run():
    untrained = [
        EpisodeRecord(
            channel="latent", condition="normal", episode_id=i, success=i < 17, bits=16384, role="untrained"
        )
        for i in range(100)
    ]
    named = outcomes("a_third_party_channel_of_a_long_name", "normal", 20, 100)
    return build_results(
        [*perfect(100), *untrained, *named, *outcomes("text", "normal", 79, 100)], PROVENANCE
    )


def test_the_report_holds_every_number_of_the_table():
    results = wide_run()
    text = render_report(results)
    table = text.split("## Success")[1].split("\n## ")[0]
    rows = {line.split(" | ")[0].strip("| "): line for line in table.splitlines() if line.startswith("| ")}
    for name, channel in results["channels"].items():
        for row in channel["conditions"].values():
            cell = (
                f"{100 * row['rate']:.1f}% ({row['successes']}/{row['n']}) "
                f"[{100 * row['ci_low']:.1f}, {100 * row['ci_high']:.1f}]"
            )
            assert cell in rows[name]
        assert rows[name].count("–") == 6 - len(channel["conditions"]) + (channel["bits"] is None)
    assert "| 16384 |" in rows["latent"]


def test_the_report_opens_with_the_verdict_and_holds_what_decides():
    results = wide_run()
    text = render_report(results)
    lines = [line for line in text.splitlines() if line]
    assert lines[0] == "# Gate 1: fail"
    assert lines[1] == results["sentence"]
    for channel in results["channels"].values():
        rules = [channel["gate1"], channel["gate1"]["original_rule"]]
        rules += [channel["gate2"], channel["gate3"], channel["validity"], results["validity"]]
        if channel is not results["channels"]["silence"]:
            assert all(criterion["reason"] in text for rule in rules for criterion in rule["criteria"])
    assert CONDITIONED in text
    assert CROSS_FITTED in text
    assert "latent is untrained: it neither passes nor fails." in text
    assert PROVENANCE["command"] in text
    assert '"evaluation": 7' in text
    assert '"scipy": "1.2.3"' in text
    assert "one of 5 candidates" in text


def test_the_report_gives_the_original_rule_folded():
    text = render_report(build_results(attempt_02(), {}))
    folded = text.split("<details>")[1].split("</details>")[0]
    assert "CI_low(normal) >= .30; CI_high(shuffle) < CI_low(P0): reported, never deciding" in folded
    rows = [line.split(" | ") for line in folded.splitlines() if line.startswith("| original")]
    assert [(row[1].split("`")[1], row[4]) for row in rows] == [
        ("normal_above_floor", "no"), ("shuffle_below_p0", "no")
    ]  # fmt: skip
    assert "The command is not recorded." in text


def test_the_report_says_what_the_page_says():
    results = build_results([*complete(), *outcomes("text", "normal", 59, 60)], PROVENANCE, gates=(1, 3))
    text = render_report(results)
    assert text.startswith("# Gates 1 and 3: ")
    assert [part.splitlines()[0] for part in text.split("\n## ")[1:]] == [
        "Success", "Criterion by criterion", "Normal less each control", "Swap consistency",
        "Communication-matters: where silence fails", "Transmitted bits, and cost", "Diagnostics",
        "How to reproduce",
    ]  # fmt: skip
    channel = results["channels"]["latent_vq"]
    found = channel["differences"]["null"]
    assert (
        f"| latent_vq | null | {cells.points(found['difference'])} | {cells.points_interval(found)} | "
        f"{found['only_normal']} | {found['only_control']} | 60 | \\<0.0001 | \\<0.0001 |"
    ) in text
    swap_consistent, stayed = channel["swap_consistency"], channel["conditions"]["swap"]
    assert f"| latent_vq | {whole_cell(swap_consistent)} | {whole_cell(stayed)} |" in text
    subset = results["communication_matters"]["latent_vq"]
    assert f"| latent_vq | – | – | {whole_cell(subset['conditioned'])} |" in text
    bits = channel["information"]
    estimate = f"{bits['bits']:.2f} [{bits['ci_low']:.2f}, {bits['ci_high']:.2f}]"
    efficiency = cells.percent(bits["efficiency"])
    least = f"{bits['at_least_bits']:.2f}"
    assert f"| latent_vq | {least} | {estimate} | 2.32 | 24 | {efficiency} | 4 | 10 ms | – |" in text
    ceiling = results["channels"]["text"]["conditions"]["normal"]
    assert f"- Text ceiling: {whole_cell(ceiling)}." in text


def whole_cell(row):
    return (
        f"{100 * row['rate']:.1f}% ({row['successes']}/{row['n']}) "
        f"[{100 * row['ci_low']:.1f}, {100 * row['ci_high']:.1f}]"
    )


@pytest.mark.parametrize("name", ["a|b", "`x`", "<script>", "[red]bold[/red]", "$x_$", "a*b*"])
def test_no_name_breaks_the_table_or_becomes_markup(name):
    results = build_results(run(20, channel=name, normal=10, p0=4), {})
    row = next(line for line in render_report(results).splitlines() if "10/20" in line)
    assert row.replace("\\|", "").count("|") == 10
    assert "<script>" not in row.replace("\\<", "")
    assert any(line.startswith(f" {name} ") and "50.0%" in line for line in terminal(results).splitlines())


def test_the_terminal_shows_the_same_table_within_80_columns():
    results = wide_run()
    text = terminal(results)
    assert max(len(line) for line in text.splitlines()) <= 80
    for channel in results["channels"].values():
        for row in channel["conditions"].values():
            assert f"{100 * row['rate']:.1f}%" in text
            assert f"{100 * row['ci_low']:.0f}–{100 * row['ci_high']:.0f}" in text
        assert cells.gate(channel, None) in text
    assert "…" not in text
    assert results["sentence"] in " ".join(text.split())
    assert "chance 20.0%" in " ".join(text.split())
    said = results["channels"]["latent_vq"]["information"]["at_least_bits"]
    further = f"latent_vq: swap consistency 100.0%; at least {said:.2f} of 2.32 bits transmitted"
    assert f"{further}; Gate 1 pass." in " ".join(text.split())


def test_an_invalid_channel_is_called_so_in_the_terminal():
    results = build_results(complete(PRIMED, 200), PROVENANCE)
    assert results["verdict"] == "invalid"
    text = terminal(results)
    lines = [line.strip() for line in text.splitlines()]
    assert lines[next(i for i, line in enumerate(lines) if line.startswith("latent_vq")) + 2] == "invalid"
    assert "\nInvalid: " in text


def test_an_open_run_has_confidence_sequences():
    results = build_results(perfect(40), PROVENANCE, sequential=True)
    assert "95% confidence sequences in percent" in " ".join(terminal(results).split())
    assert "[95% confidence sequences in percent]" in render_report(results)


def test_cells_that_do_not_exist_are_dashes_and_never_zero():
    results = build_results(without(run(50, normal=30), "num_candidates"), {})
    lines = terminal(results).splitlines()
    row = next(place for place, line in enumerate(lines) if line.startswith(" latent_vq"))
    assert lines[row].split() == ["latent_vq", "60.0%", *"–––––"]
    assert lines[row + 2].strip() == "inconclusive"
    assert "silence was not played" in " ".join(terminal(results).split())
    assert "P0, silence measured: –." in render_report(results)
    assert "- Chance: –." in render_report(results)


@pytest.mark.parametrize("missing", [None, "silence", "swap"])
def test_the_picture_is_drawn_whatever_was_played(tmp_path, missing):
    records = [r for r in perfect(40) if missing not in (r.channel, r.condition)]
    write_report(build_results(records, {}), tmp_path)
    picture = (tmp_path / "success.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert width >= 900
    assert height >= 300
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["junit.xml", "report.html", "report.md", "success.png"]


def test_what_is_handed_in_goes_into_the_page(tmp_path):
    records = complete()
    results = build_results(records, {})
    write_report(results, tmp_path, gather_gallery(records, results, 3), {"unnamed.png": b""})
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("<article ") == 3
    assert (tmp_path / "junit.xml").read_bytes() == render_junit(results)


@pytest.mark.parametrize(
    ("spell", "value", "text"),
    [
        (cells.p_value, None, "–"),
        (cells.p_value, 0.0, "<0.0001"),
        (cells.p_value, 9.99e-5, "<0.0001"),
        (cells.p_value, 1e-4, "0.0001"),
        (cells.p_value, 0.01234, "0.012"),
        (cells.p_value, 1.0, "1"),
        (cells.points, 0.775, "+77.5"),
        (cells.points, -0.02, "-2.0"),
        (cells.seconds, None, "–"),
        (cells.seconds, 0.01234, "12.3 ms"),
        (cells.seconds, 1.5, "1.5 s"),
        (cells.operations, None, "–"),
        (cells.operations, 12.0, "12"),
        (cells.operations, 999.0, "999"),
        (cells.operations, 1000.0, "1 k"),
        (cells.operations, 7.634e9, "7.63 G"),
        (cells.operations, 2e15, "2 P"),
        (cells.gates, [1], "Gate 1"),
        (cells.gates, [1, 3], "Gates 1 and 3"),
        (cells.gates, [1, 2, 3], "Gates 1, 2 and 3"),
    ],
)
def test_numbers_are_spelled_alike_everywhere(spell, value, text):
    assert spell(value) == text


@pytest.mark.parametrize("fit", [None, True, False])
def test_what_a_rule_says_is_laid_at_the_pair_s_door_where_it_is_unfit(fit):
    said = [cells.verdict(passed, fit) for passed in (True, False, None)]
    assert said == (["pass", "unfit", "unfit"] if fit is False else ["pass", "fail", "inconclusive"])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("oracle_prefix", "oracle_\nprefix"),
        ("latent_rvq", "latent_rvq"),
        ("averylongname", "averylongname"),
    ],
)
def test_a_long_name_is_parted_where_a_reader_would(name, shown):
    assert _broken(name) == shown
