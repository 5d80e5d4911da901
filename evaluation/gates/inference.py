"""How a gate concludes from counts: with n fixed beforehand, or valid at every n at once.

Both answer the same questions with True, False or None, so that the rules are written once.
"""

from __future__ import annotations

from dataclasses import dataclass

from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.statistics import (
    Proportion,
    confidence_sequence,
    equivalence,
    mcnemar_exact,
    sequential_p,
    wilson,
)


@dataclass(frozen=True, kw_only=True)
class Inference:
    """The arithmetic behind the criteria.

    Args:
        thresholds: the constants.
        sequential: whether n was left open, so that a look must be valid at every n.
    """

    thresholds: Thresholds
    sequential: bool = False

    def interval(self, successes: int, n: int, confidence: float | None = None) -> Proportion:
        """Wilson's interval, or the confidence sequence at n; by default at the gate's confidence."""
        interval = confidence_sequence if self.sequential else wilson
        return interval(successes, n, confidence=confidence or self.thresholds.confidence)

    def reaches(self, successes: int, n: int, floor: float) -> bool | None:
        """Whether the lower end of the interval is at least the floor; None if no count of n could be."""
        measured = self.interval(successes, n)
        if measured.ci_low >= floor:
            return True
        if self.sequential:
            return False if measured.ci_high < floor else None
        return None if self.interval(n, n).ci_low < floor else False

    def stands_at(self, successes: int, n: int, reference: float, margin: float) -> bool | None:
        """Whether a rate is shown to be within the margin of a reference; False if it has left it."""
        if self.sequential:
            level = 1 - 2 * self.thresholds.equivalence_alpha
            inner, outer = self.interval(successes, n, level), self.interval(successes, n)
            if reference - margin < inner.ci_low and inner.ci_high < reference + margin:
                return True
            outside = outer.ci_low > reference + margin or outer.ci_high < reference - margin
            return False if outside else None
        test = equivalence(
            successes, n, reference=reference, margin=margin, alpha=self.thresholds.equivalence_alpha
        )
        if test.equivalent:
            return True
        return False if test.p_differs < self.thresholds.differs_alpha else None

    def paired_p(self, only_first: int, only_second: int, num_pairs: int) -> float:
        """Two-sided p of the hypothesis that two conditions succeed equally often; 1 without a difference."""
        if self.sequential:
            discordant = only_first + only_second
            return sequential_p(only_first, discordant) if discordant else 1.0
        return mcnemar_exact(only_first=only_first, only_second=only_second, num_pairs=num_pairs)
