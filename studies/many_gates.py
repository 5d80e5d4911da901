"""Gate 1 asked of thousands of simulated experiments at once, from their counts.

The arithmetic is the gate's own, asked once for each different count; a test holds the verdicts to those
that the gate gives to one experiment at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaln
from scipy.stats import binom

from parley.evaluation.aggregation.run_data import PairCounts
from parley.evaluation.gates.gate1 import controls
from parley.evaluation.gates.inference import Inference
from studies.simulated import SILENCE, Experiment

Counts = npt.NDArray[np.int64]
Answers = npt.NDArray[np.int8]
YES, NO, OPEN = 1, 0, -1
_ANSWERS = {True: YES, False: NO, None: OPEN}


@dataclass(frozen=True, kw_only=True, eq=False)
class ManyCounts:
    """Counts of E experiments after n episodes each: (E,) by condition, silence among them.

    Args:
        n: episodes.
        successes: by condition.
        both: episodes in which normal and the condition both succeed.
        followed: picks under swap of what the message names.
    """

    n: int
    successes: dict[str, Counts]
    both: dict[str, Counts]
    followed: Counts


def count(experiment: Experiment, looks: list[int]) -> list[ManyCounts]:
    """Count many experiments after each of some numbers of episodes.

    Args:
        experiment: with a first axis of experiments.
        looks: numbers of episodes.
    """
    picks = {**experiment.picks, SILENCE: experiment.silence}
    success = {name: found == experiment.target for name, found in picks.items()}

    def at_looks(flags: npt.NDArray[np.bool_]) -> list[Counts]:
        starts = [0, *looks[:-1]]
        parts = [flags[:, start:stop].sum(axis=1) for start, stop in zip(starts, looks, strict=True)]
        return list(np.cumsum(parts, axis=0))

    successes = {name: at_looks(flags) for name, flags in success.items()}
    both = {name: at_looks(flags & success["normal"]) for name, flags in success.items()}
    followed = at_looks(experiment.picks["swap"] == experiment.swap_target)
    return [
        ManyCounts(
            n=n,
            successes={name: found[look] for name, found in successes.items()},
            both={name: found[look] for name, found in both.items()},
            followed=followed[look],
        )
        for look, n in enumerate(looks)
    ]


def verdicts(found: ManyCounts, num_candidates: int, inference: Inference) -> npt.NDArray[Any]:
    """The verdict of Gate 1 on each experiment.

    Args:
        found: their counts.
        num_candidates: N, of which chance is below the floor.
        inference: the arithmetic.

    Returns:
        (E,) words.
    """
    n, asked, floor = found.n, controls(), inference.thresholds.min_ci_low
    chance, gain = 1 / num_candidates, inference.thresholds.min_gain
    margin = inference.thresholds.margin(chance)
    success = found.successes
    above = _each(lambda k: inference.reaches(k, n, floor), success["normal"])
    at_chance = {
        name: _each(lambda k: inference.stands_at(k, n, chance, margin), success[name])
        for name in (SILENCE, *asked)
    }
    beats_silence = _each(lambda *cells: inference.gains(_pairs(*cells), gain), *_cells(found, SILENCE))
    consistent = _each(lambda k: inference.reaches(k, n, floor), found.followed)
    said = np.array([above, *at_chance.values(), beats_silence, *_beat(found, asked, inference), consistent])
    leaks = _each(lambda k: inference.is_above(k, n, chance), success[SILENCE])
    helps = _each(lambda k: inference.interval(k, n).ci_low > chance, success["swap"])
    left = [at_chance[name] == NO for name in asked]
    invalid = (leaks == YES) | ((above == YES) & (helps == YES)) | np.any(left, axis=0)
    words = np.where((said == OPEN).any(axis=0), "inconclusive", "pass")
    words = np.where((said == NO).any(axis=0), "fail", words)
    return np.where(invalid, "invalid", words)


def _each(question: Callable[..., bool | None], *counts: Counts) -> Answers:
    """Ask once for each different row of counts."""
    rows, place = np.unique(np.stack(counts, axis=1), axis=0, return_inverse=True)
    answers = [_ANSWERS[question(*row)] for row in rows.tolist()]
    return np.array(answers, dtype=np.int8)[place.ravel()]


def _cells(found: ManyCounts, other: str) -> tuple[Counts, Counts, Counts, Counts]:
    """Of normal and another condition: both, only normal, only the other and neither."""
    both, normal, control = found.both[other], found.successes["normal"], found.successes[other]
    return both, normal - both, control - both, found.n - normal - control + both


def _pairs(both: int, only_first: int, only_second: int, neither: int) -> PairCounts:
    return PairCounts(both=both, only_first=only_first, only_second=only_second, neither=neither)


def _beat(found: ManyCounts, asked: list[str], inference: Inference) -> list[Answers]:
    """Whether normal beats each control, p-values corrected by Holm over all of them."""
    alpha = inference.thresholds.mcnemar_alpha
    cells = [_cells(found, name) for name in asked]
    p_values = np.array([_paired_p(first, second, inference) for _, first, second, _ in cells])
    order = np.argsort(p_values, axis=0)
    steps = np.arange(len(asked), 0, -1)[:, None] * np.take_along_axis(p_values, order, axis=0)
    corrected = np.empty_like(p_values)
    np.put_along_axis(corrected, order, np.maximum.accumulate(steps, axis=0), axis=0)
    answers = []
    for p, (_, first, second, neither) in zip(corrected, cells, strict=True):
        hopeless = _paired_p(first + neither, np.zeros_like(first), inference) >= alpha
        otherwise = np.where(hopeless | inference.sequential, OPEN, NO)
        answers.append(np.where((p < alpha) & (first > second), YES, otherwise).astype(np.int8))
    return answers


def _paired_p(first: Counts, second: Counts, inference: Inference) -> npt.NDArray[np.float64]:
    """`Inference.paired_p` for many counts: a fair coin's two tails are alike, and so cost one call."""
    discordant = first + second
    if inference.sequential:
        mixture = betaln(0.5 + first, 0.5 + second) - betaln(0.5, 0.5)
        return np.asarray(np.exp(np.minimum(0.0, discordant * np.log(0.5) - mixture)))
    return np.asarray(np.minimum(2 * binom.cdf(np.minimum(first, second), discordant, 0.5), 1.0))
