"""What the calibration study simulates, and how experiments are judged; written down before it was run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.gates.gate1 import ASKED, controls
from parley.evaluation.gates.inference import Inference
from studies.many_gates import count, verdicts
from studies.simulated import SILENCE, Truth, simulate

EPISODES = (100, 200, 400, 800, 1600)
POWER_EPISODES = (*EPISODES, 3200)
CANDIDATES = (4, 5, 10, 26)
USUAL_N, USUAL_CANDIDATES = 400, 5
LOOK_EVERY, MOST_EPISODES = 50, 800
MARGINS = (0.05, 0.06, 0.07, 0.08, 0.09, 0.10)
# goals, set before the first run: passes of what carries nothing or is broken, and of a true success of 50%
MOST_FALSE_PASSES, LEAST_PASSES = 0.01, 0.95

SUCCESS = (0.30, 0.35, 0.40, 0.45, 0.50, 0.60, 0.80, 0.95)
WORKS, HALF = 0.80, 0.50
_EVERYWHERE = (*ASKED, SILENCE)
_OWN_LOOKS = tuple(name for name in ASKED if name not in ("null", "random"))
FALSE: Mapping[str, Truth] = {
    "says nothing": Truth(),
    "says nothing; every guess of an episode is the same": Truth(common=1.0),
    "says nothing; six guesses of ten fall on the first place": Truth(favoured=0.6),
    **{
        f"its presence helps, +{100 * lift:.0f} points whatever is delivered": Truth.of_lift(lift)
        for lift in (0.05, 0.10, 0.20)
    },
    "told from noise, its presence helps by 20 points": Truth.of_lift(0.20, _OWN_LOOKS),
    "knows the target under normal alone, +60 points (frames, memory, a patched model)": Truth.of_lift(
        0.60, ["normal"]
    ),
    "wrong messages do harm, and normal gains 20 points": replace(
        Truth.of_lift(0.20, ["normal"]), harm=dict.fromkeys([*controls(), "swap"], 0.5)
    ),
    **{
        f"the task gives the target away, +{100 * lift:.0f} points, in silence too": Truth.of_lift(
            lift, _EVERYWHERE
        )
        for lift in (0.05, 0.20)
    },
}
"""Channels that carry nothing."""
BROKEN: Mapping[str, Truth] = {
    "random keeps a norm that names the target, +15 points": Truth.of_lift(0.15, ["random"]),
    "matched keeps what names the target, +15 points": Truth.of_lift(0.15, ["matched"]),
    "null delivers a text, +30 points": Truth.of_lift(0.30, ["null"]),
    "shuffle delivers some messages to their own episodes, +15 points": Truth.of_lift(0.15, ["shuffle"]),
    "the task gives the target away, +2 points": Truth.of_lift(0.02, _EVERYWHERE),
    "the task gives the target away, +5 points": Truth.of_lift(0.05, _EVERYWHERE),
    "the task gives the target away, +10 points": Truth.of_lift(0.10, _EVERYWHERE),
}
"""Faults beside a message that is understood: what is measured is not what the message alone does."""
ALIKE = "all guesses alike"
HABITS: Mapping[str, Mapping[str, float]] = {
    "guesses independent": {},
    "half of the guesses alike": {"common": 0.5},
    ALIKE: {"common": 1.0},
    "half of the guesses on the first place": {"favoured": 0.5},
}
"""What a receiver does where it does not understand."""


def truths(num_candidates: int) -> dict[str, Truth]:
    """Everything that is simulated, by name, for some number of candidates."""
    understood = Truth.of_success(WORKS, num_candidates).understood
    named = {
        **FALSE,
        **{name: replace(truth, understood=understood) for name, truth in BROKEN.items()},
        **{success(rate): Truth.of_success(rate, num_candidates) for rate in SUCCESS},
        **{habit: Truth.of_success(HALF, num_candidates, **how) for habit, how in HABITS.items() if how},
    }
    return {name: truth.among(num_candidates) for name, truth in named.items()}


def success(rate: float) -> str:
    """The name of an honest channel."""
    return f"true success {100 * rate:.0f}%"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Experiments of one truth, one number of candidates and one of episodes.

    Args:
        truth: key of `truths`.
        num_candidates: N.
        n: episodes a condition; with `until_decided` the most that are played.
        until_decided: whether a look is taken every LOOK_EVERY episodes, and the run stops once it is
            settled.
        margin: the most that a control may be off chance, by default the rule's.
        experiments: how many.
        seed: of the study.
    """

    truth: str
    num_candidates: int = USUAL_CANDIDATES
    n: int = USUAL_N
    until_decided: bool = False
    margin: float = Thresholds().most_margin
    experiments: int
    seed: int

    def run(self) -> dict[str, Any]:
        """Counts of verdicts, and the mean number of episodes."""
        found = truths(self.num_candidates)
        place = list(found).index(self.truth)
        rng = np.random.default_rng([self.seed, place, self.num_candidates, self.n, self.until_decided])
        experiment = simulate(found[self.truth], self.n, rng, self.experiments)
        inference = Inference(thresholds=Thresholds(most_margin=self.margin), sequential=self.until_decided)
        looks = [*range(LOOK_EVERY, self.n + 1, LOOK_EVERY)] if self.until_decided else [self.n]
        said = [verdicts(counts, self.num_candidates, inference) for counts in count(experiment, looks)]
        words, mean_n = _first_settled(np.array(said), np.array(looks))
        return {
            "truth": self.truth,
            "num_candidates": self.num_candidates,
            "n": self.n,
            "until_decided": self.until_decided,
            "margin": self.margin,
            "experiments": self.experiments,
            "seed": self.seed,
            "verdicts": dict(sorted(Counter(words.tolist()).items())),
            "mean_n": mean_n,
        }


def cells(experiments: int, seed: int) -> list[Cell]:
    """All cells of the study."""
    how: dict[str, Any] = {"experiments": experiments, "seed": seed}
    names = list(truths(USUAL_CANDIDATES))
    half = [success(HALF), *(habit for habit, parts in HABITS.items() if parts)]
    return [
        *(
            Cell(truth=name, num_candidates=number, n=n, **how)
            for name in names
            for number in CANDIDATES
            for n in (POWER_EPISODES if name in half else EPISODES)
        ),
        *(Cell(truth=name, n=MOST_EPISODES, until_decided=True, **how) for name in names),
        *(
            Cell(truth=name, n=n, margin=margin, **how)
            for name in (half[0], ALIKE)
            for margin in MARGINS
            for n in EPISODES
            if margin != Thresholds().most_margin
        ),
    ]


def _first_settled(said: npt.NDArray[np.str_], looks: npt.NDArray[np.int64]) -> tuple[Any, float]:
    """The verdict at the first look (looks, E) that is not inconclusive, else at the last; mean n there."""
    settled = said != "inconclusive"
    settled[-1] = True
    first = settled.argmax(axis=0)
    return said[first, np.arange(said.shape[1])], float(looks[first].mean())
