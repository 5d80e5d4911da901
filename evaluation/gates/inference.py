"""How a gate concludes from counts: with n fixed beforehand, or valid at every n at once.

Both answer the same questions with True, False or None, so that the rules are written once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from parley.evaluation.aggregation.run_data import PairCounts
from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.statistics import (
    Difference,
    Proportion,
    above_p,
    confidence_sequence,
    difference_sequence,
    equivalence,
    mcnemar_exact,
    paired_difference,
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
        """Whether a rate is shown to be within the margin of a reference; False if it differs from it.

        Many episodes show both, and then it differs: what has no part in the target succeeds at chance
        exactly, not nearly.
        """
        alpha = self.thresholds.equivalence_alpha
        if self.sequential:
            inner = self.interval(successes, n, 1 - 2 * alpha)
            p_differs = sequential_p(successes, n, null_rate=reference)
            shown = reference - margin < inner.ci_low and inner.ci_high < reference + margin
        else:
            test = equivalence(successes, n, reference=reference, margin=margin, alpha=alpha)
            p_differs, shown = test.p_differs, test.equivalent
        if p_differs < self.thresholds.differs_alpha:
            return False
        return True if shown else None

    def is_above(self, successes: int, n: int, rate: float) -> bool:
        """Whether the true rate is shown to be above another, whatever n is."""
        if self.sequential:
            p = sequential_p(successes, n, null_rate=rate) if successes > n * rate else 1.0
        else:
            p = above_p(successes, n, rate)
        return p < self.thresholds.differs_alpha

    def difference(self, pairs: PairCounts) -> Difference:
        """The first rate less the second, with Newcombe's paired interval or one for every n."""
        confidence = self.thresholds.confidence
        if self.sequential:
            return difference_sequence(
                only_first=pairs.only_first,
                only_second=pairs.only_second,
                num_pairs=pairs.num_pairs,
                confidence=confidence,
            )
        return paired_difference(**asdict(pairs), confidence=confidence)

    def gains(self, pairs: PairCounts, margin: float) -> bool | None:
        """Whether the first rate is shown to be above the second by a margin; None if no outcome could."""
        found = self.difference(pairs)
        if found.ci_low >= margin:
            return True
        if self.sequential:
            return False if found.ci_high < margin else None
        best = replace(pairs, only_first=pairs.only_first + pairs.neither, neither=0)
        return None if self.difference(best).ci_low < margin else False

    def paired_p(self, only_first: int, only_second: int, num_pairs: int) -> float:
        """Two-sided p of the hypothesis that two conditions succeed equally often; 1 without a difference."""
        if self.sequential:
            discordant = only_first + only_second
            return sequential_p(only_first, discordant) if discordant else 1.0
        return mcnemar_exact(only_first=only_first, only_second=only_second, num_pairs=num_pairs)
