"""GATE1.md is the rule in words: its constants and figures are the code's."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
from recorded import perfect

from parley.channels.conditions import condition_names
from parley.evaluation.gates.chance_power import chance_power
from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.gates.inference import Inference
from parley.evaluation.gates.verdict import EXIT_CODES
from parley.evaluation.results import build_results
from parley.evaluation.statistics import least_successes

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
    assert f"both p below {thresholds.equivalence_alpha}" in FLAT
    assert f"differs from chance with p < {thresholds.differs_alpha}" in FLAT
    assert f"one-sided binomial p < {thresholds.differs_alpha}" in FLAT
    assert f"of the difference (Newcombe's, paired) is at least {thresholds.min_gain:.2f}" in FLAT
    assert "it is 9 points at N = 4 and 5, 5 at N = 10 and 1.9 at N = 26" in FLAT
    margins = [thresholds.margin(1 / number) for number in (4, 5, 10, 26)]
    assert [round(100 * margin, 1) for margin in margins] == [9, 9, 5, 1.9]


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


def at_chance(successes, n):
    thresholds = Thresholds()
    return Inference(thresholds=thresholds).stands_at(successes, n, 0.2, thresholds.margin(0.2)) is True


@pytest.mark.parametrize("row", table("n"), ids=lambda row: row[0])
def test_the_table_of_n_is_true(row):
    n, normal, lowest, highest = map(int, row)
    assert least_successes(n, Thresholds().min_ci_low) == normal
    edges = [at_chance(count, n) for count in (lowest - 1, lowest, n // 5, highest, highest + 1)]
    assert edges == [False, True, True, True, False]


def test_the_episodes_that_it_takes_by_number_of_candidates_are_true():
    said = re.findall(
        r"([\d,]+) (?:episodes )?at N = (\d+)", FLAT.split("All five conditions")[1].split(";")[0]
    )
    assert [int(number) for _, number in said] == [4, 5, 10, 26]
    for n, number in said:
        n, number = int(n.replace(",", "")), int(number)
        assert chance_power(n, number) >= 0.95 > chance_power(n - 50, number)


def test_fifty_episodes_show_no_control_at_chance():
    assert "At n = 50 no control can be shown at chance" in FLAT
    assert not any(at_chance(count, 50) for count in range(51))
