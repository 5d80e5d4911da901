"""What people look at: report.md, the terminal's table, the picture."""

import io
import struct

import pytest
from recorded import arm, attempt_02, perfect, run
from rich.console import Console

from evaluation import cells
from evaluation.records import EpisodeRecord
from evaluation.report import print_table, render_report, write_report
from evaluation.results import build_results
from evaluation.subset import CAVEAT

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
            channel="latent", condition="normal", episode_id=i, success=i < 17, bits=16384, trained=False
        )
        for i in range(80)
    ]
    named = arm("a_third_party_channel_of_a_long_name", "normal", 20, 80)
    return build_results([*perfect(80), *untrained, *named, *arm("text", "normal", 79, 80)], PROVENANCE)


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
        assert rows[name].count("–") == 5 - len(channel["conditions"]) + (channel["bits"] is None)
    assert "| 16384 |" in rows["latent"]


def test_the_report_opens_with_the_verdict_and_holds_what_decides():
    results = wide_run()
    text = render_report(results)
    lines = [line for line in text.splitlines() if line]
    assert lines[0] == "# Gate 1: fail"
    assert lines[1] == results["sentence"]
    for channel in results["channels"].values():
        if channel["status"] != "reference":
            assert all(criterion["reason"] in text for criterion in channel["gate1"]["criteria"])
    assert CAVEAT in text
    assert "latent is untrained: it neither passes nor fails." in text
    assert PROVENANCE["command"] in text
    assert '"evaluation": 7' in text
    assert '"scipy": "1.2.3"' in text
    assert "one of 5 candidates" in text


def test_the_report_gives_the_original_rule_and_communication_matters():
    text = render_report(build_results(attempt_02(), {}))
    assert "CI_low(normal) >= 0.30: no; CI_high(shuffle) < CI_low(P0): no." in text
    section = text.split("## Communication-matters")[1]
    assert "| latent | 2.5% (1/40) [0.4, 12.9] |" in section
    assert "The command is not recorded." in text


@pytest.mark.parametrize("name", ["a|b", "`x`", "<script>", "[red]bold[/red]", "$x_$", "a*b*"])
def test_no_name_breaks_the_table_or_becomes_markup(name):
    results = build_results(run(20, channel=name, normal=10, p0=4), {})
    row = next(line for line in render_report(results).splitlines() if "10/20" in line)
    assert row.replace("\\|", "").count("|") == 9
    assert "<script>" not in row.replace("\\<", "")
    assert any(line.startswith(f" {name} ") and "50.0%" in line for line in terminal(results).splitlines())


def test_the_terminal_shows_the_same_table_within_80_columns():
    results = wide_run()
    text = terminal(results)
    assert max(len(line) for line in text.splitlines()) <= 80
    for channel in results["channels"].values():
        for row in channel["conditions"].values():
            assert f"{100 * row['rate']:.1f}%" in text
            assert f"{100 * row['ci_low']:.1f}–{100 * row['ci_high']:.1f}" in text
        assert cells.gate(channel) in text
    assert "…" not in text
    assert results["sentence"] in " ".join(text.split())
    assert "chance 20.0%" in " ".join(text.split())


def test_cells_that_do_not_exist_are_dashes_and_never_zero():
    results = build_results(run(50, normal=30), {})
    row = next(line for line in terminal(results).splitlines() if line.startswith(" latent_vq"))
    assert row.split() == ["latent_vq", "60.0%", "–", "–", "–", "–", "inconclusive"]
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
    assert height >= 600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.md", "success.png"]
