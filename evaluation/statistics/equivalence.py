"""Is a rate as good as its reference? Two one-sided exact tests, and the counts that pass them."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from parley.evaluation.statistics.proportions import (
    REMEMBERED,
    check_between_0_and_1,
    check_counts,
    two_sided_p,
)


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Whether a rate is shown to lie within a margin of its reference.

    Args:
        rate: successes / n.
        n: number of episodes, at least 1.
        reference: the rate it is held against.
        margin: the distance from the reference that is to be excluded.
        alpha: level of the test.
        p_value: the larger of p_above and p_below, which is the p-value of the two tests together.
        p_above: one-sided, of the hypothesis that the true rate is at least reference + margin.
        p_below: one-sided, of the hypothesis that the true rate is at most reference - margin; 0 if that is
            not above 0, since no rate lies farther below the reference than the margin.
        equivalent: whether p_value is below alpha.
        p_differs: two-sided, of the hypothesis that the true rate equals the reference. It answers the
            opposite question: neither is the other's complement, and both can be large or small.
    """

    rate: float
    n: int
    reference: float
    margin: float
    alpha: float
    p_value: float
    p_above: float
    p_below: float
    equivalent: bool
    p_differs: float


def equivalence(
    successes: int, n: int, *, reference: float, margin: float, alpha: float = 0.05
) -> Equivalence:
    """Exact test that a rate lies within a margin of a reference, by two one-sided binomial tests.

    The hypothesis is that it does not, so few episodes never show equivalence. Each of the two tests has
    level alpha, and so have they together.

    Source: D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987) 657-680, with exact
    binomial tails in the place of Student's t.

    Args:
        successes: 0 to n.
        n: number of episodes, at least 1.
        reference: between 0 and 1.
        margin: above 0 and below 1 - reference.
        alpha: level, between 0 and 1.

    Returns:
        The tests and their verdict.

    Raises:
        ValueError: if an argument is out of its range.
    """
    check_counts(successes, n)
    _check(reference, margin, alpha)
    p_above, p_below = _both_sides(successes, n, reference, margin)
    p_value = max(p_above, p_below)
    return Equivalence(
        rate=successes / n,
        n=n,
        reference=reference,
        margin=margin,
        alpha=alpha,
        p_value=p_value,
        p_above=p_above,
        p_below=p_below,
        equivalent=p_value < alpha,
        p_differs=two_sided_p(successes, n, reference),
    )


def acceptance(n: int, *, reference: float, margin: float, alpha: float = 0.05) -> tuple[int, int] | None:
    """The counts of n that `equivalence` calls equivalent: all from the smallest to the largest.

    Args:
        n: number of episodes, at least 1.
        reference: between 0 and 1.
        margin: above 0 and below 1 - reference.
        alpha: level, between 0 and 1.

    Returns:
        The smallest and the largest count; None if n is too small for any.

    Raises:
        ValueError: if an argument is out of its range.
    """
    check_counts(0, n)
    _check(reference, margin, alpha)
    # one tail falls and the other rises with the count, so no count between two accepted ones is refused
    accepted = np.flatnonzero(np.maximum(*_one_sided(np.arange(n + 1), n, reference, margin)) < alpha)
    return (int(accepted[0]), int(accepted[-1])) if len(accepted) else None


@lru_cache(maxsize=REMEMBERED)
def _both_sides(successes: int, n: int, reference: float, margin: float) -> tuple[float, float]:
    """The two one-sided p-values of one count."""
    p_above, p_below = _one_sided(np.array([successes]), n, reference, margin)
    return float(p_above[0]), float(p_below[0])


def _one_sided(
    counts: NDArray[np.int64], n: int, reference: float, margin: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The p-values against a rate above and a rate below the margin, each (len(counts),)."""
    above = binom.cdf(counts, n, reference + margin)
    if reference - margin <= 0:
        return above, np.zeros(len(counts))
    return above, binom.sf(counts - 1, n, reference - margin)


def _check(reference: float, margin: float, alpha: float) -> None:
    check_between_0_and_1("reference", reference)
    check_between_0_and_1("alpha", alpha)
    if not (margin > 0 and reference + margin < 1):
        raise ValueError(
            f"margin must be above 0 and below 1 - reference = {1 - reference:.6g}, got {margin}"
        )
