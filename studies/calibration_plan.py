"""What the calibration study simulates, and how one experiment is judged; written down before it was run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from parley.evaluation.aggregation.run_data import RunOutcomes
from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.gates.inference import Inference
from parley.evaluation.gates.validity import run_checks
from parley.evaluation.gates.verdict import overall_verdict
from parley.evaluation.results import judge_channels
from studies.simulated import CHANNEL, Experiment, Truth, outcomes_of, simulate

EPISODES = (50, 100, 200, 400)
LOOK_EVERY = 50
CANDIDATES = 5
# goals, set before the first run: false passes of the useless and the priming channels, passes at .50
MOST_FALSE_PASSES, LEAST_PASSES = 0.01, 0.99

SUCCESS = (0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.60, 0.70, 0.80, 0.90, 0.95)
LIFTS = (0.05, 0.10, 0.20)
FALSE: Mapping[str, Truth] = {
    "useless": Truth(),
    **{f"priming, +{100 * lift:.0f} points": Truth.of_priming(lift) for lift in LIFTS},
}
TRUTHS: Mapping[str, Truth] = {
    **FALSE,
    **{f"true success {100 * rate:.0f}%": Truth.of_success(rate) for rate in SUCCESS},
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Experiments of one truth and one number of episodes.

    Args:
        truth: key of TRUTHS.
        n: episodes a condition; with `until_decided` the most that are played.
        until_decided: whether a look is taken every LOOK_EVERY episodes, and the run stops once it is
            settled.
        experiments: how many.
        seed: of the study.
    """

    truth: str
    n: int
    until_decided: bool
    experiments: int
    seed: int

    def run(self) -> dict[str, Any]:
        """Counts of verdicts, and the mean number of episodes."""
        place = list(TRUTHS).index(self.truth)
        rng = np.random.default_rng([self.seed, place, self.n, self.until_decided])
        verdicts, played = Counter[str](), 0
        for _ in range(self.experiments):
            experiment = simulate(TRUTHS[self.truth], self.n, rng)
            verdict, n = (_until_decided if self.until_decided else _at_n)(experiment)
            verdicts[verdict] += 1
            played += n
        return {
            "truth": self.truth,
            "n": self.n,
            "until_decided": self.until_decided,
            "experiments": self.experiments,
            "seed": self.seed,
            "verdicts": dict(verdicts),
            "mean_n": played / self.experiments,
        }


def cells(experiments: int, seed: int) -> list[Cell]:
    """All cells of the study."""
    return [
        Cell(truth=truth, n=n, until_decided=until_decided, experiments=experiments, seed=seed)
        for truth in TRUTHS
        for n, until_decided in (*((n, False) for n in EPISODES), (EPISODES[-1], True))
    ]


def _at_n(experiment: Experiment) -> tuple[str, int]:
    return _judge(outcomes_of(experiment, CANDIDATES), Inference(thresholds=Thresholds())), len(
        experiment.target
    )


def _until_decided(experiment: Experiment) -> tuple[str, int]:
    """Look every LOOK_EVERY episodes; stop as soon as the channel has passed or failed."""
    inference = Inference(thresholds=Thresholds(), sequential=True)
    most = len(experiment.target)
    for n in range(LOOK_EVERY, most + 1, LOOK_EVERY):
        verdict = _judge(outcomes_of(experiment.first(n), CANDIDATES), inference)
        if verdict != "inconclusive":
            break
    return verdict, n


def _judge(outcomes: RunOutcomes, inference: Inference) -> str:
    """The verdict of Gate 1 with the checks of validity."""
    judged = judge_channels(outcomes, CANDIDATES, inference)
    checks = run_checks(outcomes, CANDIDATES, None, inference)
    return overall_verdict({CHANNEL: judged[CHANNEL]}, checks, (1,))
