"""GATE1.md is the rule in words: its constants and figures are the code's."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
from recorded import perfect

from parley.channels.conditions import condition_names
from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.gates.verdict import EXIT_CODES
from parley.evaluation.results import build_results
from parley.evaluation.statistics import equivalence, least_successes

TEXT = (Path(__file__).parents[2] / "evaluation" / "GATE1.md").read_text(encoding="utf-8")
FLAT = " ".join(TEXT.split())


def table(header):
    """The rows of the table whose first column is headed so."""
    lines = TEXT.split(f"| {header} |")[1].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip(" `") for cell in line.strip("|").split("|")])
    return rows


def test_constants_in_the_table_are_the_thresholds():
    written = {name: float(value) for name, value, _ in table("constant")}
    assert written == asdict(Thresholds())


def test_constants_in_the_prose_are_the_thresholds():
    thresholds = Thresholds()
    assert re.findall(r"CI_low(?:\(normal\)| of these picks) >= ([\d.]*\d)", FLAT) == ["0.30", "0.30", ".30"]
    assert thresholds.min_ci_low == 0.30
    assert re.findall(r"gives p < ([\d.]*\d)", FLAT) == [str(thresholds.mcnemar_alpha)]
    assert f"Yes if both p are below {thresholds.equivalence_alpha}" in FLAT
    assert f"differs from chance with p < {thresholds.differs_alpha}" in FLAT
    assert "so 10 points at N = 5" in FLAT
    assert round(thresholds.min_ci_low - 1 / 5, 9) == 0.1


def test_every_condition_criterion_and_check_is_explained():
    assert [row[0] for row in table("condition")] == condition_names()
    results = build_results(perfect(50), {})
    channel = results["channels"]["latent_vq"]
    rules = [channel["gate1"], channel["gate2"], channel["gate3"]]
    assert all(f"`{item['name']}`" in TEXT for rule in rules for item in rule["criteria"])
    checks = results["validity"]["criteria"] + channel["validity"]["criteria"]
    assert sorted(item["name"] for item in checks) == sorted(row[0] for row in table("check"))


def test_exit_codes_are_those_of_the_code():
    codes = {meaning.split(":")[0]: int(code) for code, meaning in table("exit code")}
    assert codes == {**EXIT_CODES, "usage": 2, "could not run": 3}


def at_chance(successes, n, floor=0.3):
    return equivalence(successes, n, reference=0.2, margin=floor - 0.2).equivalent


@pytest.mark.parametrize("row", table("n"), ids=lambda row: row[0])
def test_the_table_of_n_is_true(row):
    n, normal, lowest, highest = map(int, row)
    floor = Thresholds().min_ci_low
    assert least_successes(n, floor) == normal
    shown = [at_chance(count, n, floor) for count in range(n + 1)]
    assert [count for count in range(n + 1) if shown[count]] == [*range(lowest, highest + 1)]


def test_fifty_episodes_show_no_control_at_chance():
    assert "At n = 50 no control can be shown at chance" in FLAT
    assert not any(at_chance(count, 50) for count in range(51))
