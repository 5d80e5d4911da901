"""What a benchmark found is kept with its command, and a goal says whether it was met."""

import io
import json
import math

import pytest
from rich.console import Console

from benchmarks.record import Goal, Record, Table, keep, show, spell

RECORD = Record(
    question="How long?",
    machine={"threads": 1},
    settings={"repeats": 5},
    tables=[Table("Times", ["what", "seconds"], [["one", 0.25], ["other", None]])],
    goals=[Goal("seconds", "<=", 0.5, 0.25), Goal("times", ">=", 2.0, 1.0), Goal("memory", "<=", 1.0, None)],
    points={"seconds": [0.25]},
)


@pytest.mark.parametrize(
    ("sense", "measured", "met"),
    [("<=", 1.0, True), ("<=", 1.01, False), (">=", 1.0, True), (">=", 0.99, False), ("<=", None, None),
     (">=", None, None), ("<=", math.nan, False)],
)  # fmt: skip
def test_a_goal_is_met_at_its_bound(sense, measured, met):
    assert Goal("it", sense, 1.0, measured).met is met


def test_a_record_is_read_again_as_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["-m", "--threads", "2", "--docs", "a b"])
    path = keep("some", RECORD, tmp_path / "new")
    kept = json.loads(path.read_text())
    assert path == tmp_path / "new" / "some.json"
    assert kept["command"] == "python -m benchmarks.some --threads 2 --docs 'a b'"
    assert kept["tables"][0]["rows"] == [["one", 0.25], ["other", None]]
    assert [goal["met"] for goal in kept["goals"]] == [True, False, None]
    assert {name: kept[name] for name in ("question", "machine", "settings", "points")} == {
        "question": "How long?", "machine": {"threads": 1}, "settings": {"repeats": 5},
        "points": {"seconds": [0.25]},
    }  # fmt: skip
    assert "Times" in capsys.readouterr().out


def test_what_is_shown_says_which_goals_were_met():
    console = Console(file=io.StringIO(), width=100)
    show(RECORD, console)
    shown = console.file.getvalue()
    assert "seconds: 0.25 (<= 0.5), met" in shown
    assert "times: 1 (>= 2), missed" in shown
    assert "memory: – (<= 1), not measured" in shown


@pytest.mark.parametrize(
    ("value", "spelt"),
    [(None, "–"), ("text", "text"), (1234567, "1234567"), (0.0, "0"), (12345.6, "12,346"), (99.96, "100"),
     (-0.5, "-0.5"), (1.23456, "1.23"), (0.00123, "0.00123"), (0.00012, "1.2e-04")],
)  # fmt: skip
def test_a_cell_has_three_digits_that_count(value, spelt):
    assert spell(value) == spelt
