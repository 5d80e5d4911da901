"""How likely silence and the controls are all shown at chance, where they do stand there."""

from __future__ import annotations

from scipy.stats import binom

from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.gates.gate1 import controls
from parley.evaluation.gates.inference import Inference
from parley.evaluation.statistics.proportions import check_counts

_FAR = 1e-7  # of the probability in either tail that is not looked at


def chance_power(n: int, num_candidates: int, thresholds: Thresholds | None = None) -> float:
    """The chance that criterion 2 of Gate 1 is met in full, if it should be.

    Args:
        n: episodes a condition, at least 1.
        num_candidates: N, at least 2.
        thresholds: the constants, by default the frozen ones.

    Returns:
        The probability for silence and controls whose guesses are independent, which is the hardest case:
        where they are alike, one that is at chance brings the others with it. 0 where chance is not below the
        floor, since then the gate cannot be asked.

    Raises:
        ValueError: if an argument is out of its range.
    """
    check_counts(0, n)
    if num_candidates < 2:
        raise ValueError(f"num_candidates must be at least 2, got {num_candidates}")
    inference = Inference(thresholds=thresholds or Thresholds())
    chance = 1 / num_candidates
    if chance >= inference.thresholds.min_ci_low:
        return 0.0  # the gate cannot be asked
    margin = inference.thresholds.margin(chance)
    likely = range(int(binom.ppf(_FAR, n, chance)), int(binom.isf(_FAR, n, chance)) + 1)
    shown = [k for k in likely if inference.stands_at(k, n, chance, margin)]
    return float(binom.pmf(shown, n, chance).sum()) ** (1 + len(controls()))


def episodes_for_chance(power: float, num_candidates: int, step: int = 50, most: int = 10_000) -> int | None:
    """The least multiple of `step` episodes at which that chance reaches `power`; None up to `most`."""
    return next((n for n in range(step, most + 1, step) if chance_power(n, num_candidates) >= power), None)
