"""The simulation keeps its promises, the failures are caught, and the page is made of what was simulated."""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from parley.evaluation.aggregation.run_data import gather
from parley.evaluation.gates.chance_power import chance_power
from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.gates.gate1 import ASKED
from parley.evaluation.gates.inference import Inference
from parley.evaluation.gates.judged import judge_channels
from parley.evaluation.gates.run_validity import run_checks
from parley.evaluation.gates.verdict import overall_verdict
from parley.evaluation.results import build_results
from parley.evaluation.stated import Stated
from studies import calibration
from studies.calibration import CalibrationConfig, write_page
from studies.calibration_plan import CANDIDATES, EPISODES, USUAL_CANDIDATES, Cell, cells, truths
from studies.failures import FAILURES, judge_failure, original_records
from studies.many_gates import count, verdicts
from studies.simulated import CHANNEL, SILENCE, Experiment, Truth, outcomes_of, records_of, simulate

MANY = 20_000
ROOT = Path(__file__).parents[2]


def rates(truth, seed=0):
    played = simulate(truth, MANY, np.random.default_rng(seed))
    found = {name: float((picks == played.target).mean()) for name, picks in played.picks.items()}
    swap_consistent = float((played.picks["swap"] == played.swap_target).mean())
    return found, swap_consistent, float((played.silence == played.target).mean())


@pytest.mark.parametrize("success", [0.25, 0.5, 0.95])
def test_a_simulated_channel_has_its_true_success(success):
    found, swap_consistent, silence = rates(Truth.of_success(success))
    assert found["normal"] == pytest.approx(success, abs=0.01)
    assert swap_consistent == pytest.approx(success, abs=0.01)
    assert found["swap"] == pytest.approx((1 - success) / 4, abs=0.01)
    for rate in (found["null"], found["random"], found["shuffle"], silence):
        assert rate == pytest.approx(0.2, abs=0.01)


def test_a_priming_channel_lifts_its_conditions_alike():
    found, swap_consistent, silence = rates(Truth.of_lift(0.2))
    assert all(found[condition] == pytest.approx(0.4, abs=0.011) for condition in ASKED)
    assert swap_consistent == pytest.approx(0.15, abs=0.01)
    assert silence == pytest.approx(0.2, abs=0.01)


def test_a_truth_below_chance_is_refused():
    with pytest.raises(ValueError, match=r"rate must be from chance, 0\.2, to 1, got 0\.1"):
        Truth.of_success(0.1)


def test_the_short_way_and_the_records_agree():
    played = simulate(Truth.of_success(0.6), 60, np.random.default_rng(3))
    short, long = outcomes_of(played, 5), gather(records_of(played, 5))
    for name, channel in long.channels.items():
        for condition, outcomes in channel.conditions.items():
            other = short.channels[name].conditions[condition]
            for field in ("episode_ids", "success", "choice", "target", "intended"):
                assert (getattr(outcomes, field) == getattr(other, field)).all(), (name, condition, field)


MIXED = (
    Truth(), Truth.of_success(0.36), Truth.of_success(0.4), Truth.of_success(0.8), Truth.of_lift(0.08),
    Truth.of_lift(0.1, [*ASKED, SILENCE]), Truth.of_success(0.7, common=0.7), Truth.of_lift(0.5, ["normal"]),
    Truth.of_success(0.6, lifts={"matched": 0.12}), Truth.of_success(0.5, 10), Truth.of_success(0.9, 4),
)  # fmt: skip


def one(experiment, row):
    """One of many experiments, as if it had been the only one."""
    return Experiment(
        target=experiment.target[row],
        swap_target=experiment.swap_target[row],
        picks={name: picks[row] for name, picks in experiment.picks.items()},
        silence=experiment.silence[row],
    )


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("n", [40, 400])
def test_many_at_once_are_judged_as_one_by_one(n, sequential):
    """The short arithmetic of the study is the gate's: the same verdicts, of many kinds."""
    inference, seen = Inference(thresholds=Thresholds(), sequential=sequential), set()
    for seed, truth in enumerate(MIXED):
        played, number = simulate(truth, n, np.random.default_rng(seed), 4), truth.num_candidates
        (counts,) = count(played, [n])
        for row, said in enumerate(verdicts(counts, number, inference)):
            outcomes = outcomes_of(one(played, row), number)
            judged = judge_channels(outcomes, number, inference, Stated())
            checks = run_checks(outcomes, number, Stated(), inference)
            assert said == overall_verdict({CHANNEL: judged[CHANNEL]}, checks, (1,)), (seed, row)
            seen.add(said)
    assert seen >= ({"fail", "inconclusive"} if n == 40 else {"pass", "fail", "invalid"})


def test_looks_count_what_was_played_until_then():
    played = simulate(Truth.of_success(0.6), 100, np.random.default_rng(0), 3)
    early, late = count(played, [50, 100])
    (alone,) = count(played.first(50), [50])
    assert (early.successes["null"] == alone.successes["null"]).all()
    assert (late.followed == (played.picks["swap"] == played.swap_target).sum(axis=1)).all()


def test_a_cell_is_the_same_however_it_is_run():
    cell = Cell(truth="true success 95%", n=100, experiments=5, seed=1)
    assert cell.run() == cell.run()
    assert sum(cell.run()["verdicts"].values()) == 5


def test_stopping_early_plays_fewer_episodes():
    found = Cell(truth="true success 95%", n=800, until_decided=True, experiments=20, seed=0).run()
    assert 50 <= found["mean_n"] < 800
    useless = Cell(truth="says nothing", n=400, until_decided=True, experiments=20, seed=0).run()
    assert "pass" not in useless["verdicts"]


def test_the_margin_is_the_least_whole_number_of_points_that_the_goal_allows():
    """GATE1.md: more than 95% of runs of 400 episodes at N = 5 show all five conditions at chance."""
    margins = [points / 100 for points in range(5, 11)]
    enough = [chance_power(400, 5, Thresholds(most_margin=margin)) > 0.95 for margin in margins]
    assert margins[enough.index(True)] == Thresholds().most_margin
    assert Thresholds().margin(1 / 26) == pytest.approx(1 / 52)


def test_the_plan_has_every_truth_at_every_n_and_number_of_candidates():
    planned = [
        (cell.truth, cell.num_candidates, cell.n, cell.until_decided, cell.margin) for cell in cells(1, 0)
    ]
    assert len(planned) == len(set(planned))
    usual = Thresholds().most_margin
    for name in truths(USUAL_CANDIDATES):
        for number in CANDIDATES:
            assert {(name, number, n, False, usual) for n in EPISODES} <= set(planned)


# the criterion or check that is there for the failure
MEANT = {
    1: "reports_bits", 2: "controls_with_p0", 3: "injection_active", 5: "shuffle_deranges",
    6: "controls_with_p0", 9: "injection_active", 11: "normal_above_floor", 14: "no_text_leak",
    15: "normal_above_floor", 16: "charged_honestly", 18: "environment_loaded", 20: "environment_loaded",
}  # fmt: skip


judge_once = cache(judge_failure)


@pytest.mark.parametrize("failure", [f for f in FAILURES if f.records], ids=lambda f: str(f.number))
def test_no_failure_passes_and_each_is_caught_by_what_is_there_for_it(failure):
    caught = judge_once(failure)
    assert caught.verdict in ("fail", "invalid", "refused")
    if failure.number in MEANT:
        assert MEANT[failure.number] in caught.by


def test_all_failures_are_listed_and_what_leaves_no_records_is_held_by_something_that_exists():
    assert [failure.number for failure in FAILURES] == list(range(1, 26))
    for failure in FAILURES:
        if failure.records is None:
            path, name = failure.held_by.split("::")
            assert f"def {name}(" in (ROOT / path).read_text(), failure
            with pytest.raises(ValueError, match=f"failure {failure.number} leaves no trace"):
                judge_failure(failure)


def test_the_original_experiment_fails_and_says_that_its_conditions_are_alike():
    results = build_results(original_records(), {})
    assert results["verdict"] == "fail"
    assert (
        "The four conditions normal, null, random and shuffle of latent are indistinguishable"
        in results["sentence"]
    )
    assert set(results["channels"]) == {"latent", "silence"}


def test_the_page_is_made_of_the_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "judge_failure", judge_once)
    monkeypatch.setattr(calibration, "episodes_for_chance", lambda power, number: 1000 + number)
    rows = [
        {
            **asdict(cell), "experiments": 1000, "seed": 0, "verdicts": {"pass": 123, "fail": 877},
            "mean_n": 210.0,
        }
        for cell in cells(1000, 0)
    ]  # fmt: skip
    write_page(json.loads(json.dumps(rows)), tmp_path)
    page = (tmp_path / "calibration.md").read_text()
    assert "| says nothing | 12.3 | 12.3 |" in page
    assert "The worst cell is 12.30%" in page
    assert "1,026 episodes at N = 26" in page
    assert "400: missed" in page
    assert page.count("![") == 1
    assert (tmp_path / "calibration.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "original_experiment.jsonl").read_text().splitlines()) == 250


@pytest.mark.parametrize(("name", "value"), [("experiments", 0), ("seed", -1), ("jobs", 0)])
def test_bad_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*got {value}"):
        CalibrationConfig(**{name: value})
