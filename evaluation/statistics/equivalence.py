"""Is a rate as good as its reference? Two one-sided exact tests."""

from dataclasses import dataclass
from functools import lru_cache

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
        p_above: one-sided, of the hypothesis that the true rate is at least reference + margin.
        p_below: one-sided, of the hypothesis that the true rate is at most reference - margin; 0 if that is
            not above 0, since no rate lies farther below the reference than the margin.
        equivalent: whether both are below the level.
        p_differs: two-sided, of the hypothesis that the true rate equals the reference. It answers the
            opposite question: neither is the other's complement, and both can be large or small.
    """

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
    check_between_0_and_1("reference", reference)
    check_between_0_and_1("alpha", alpha)
    if not (margin > 0 and reference + margin < 1):
        raise ValueError(
            f"margin must be above 0 and below 1 - reference = {1 - reference:.6g}, got {margin}"
        )
    p_above, p_below = _both_sides(successes, n, reference, margin)
    return Equivalence(
        p_above=p_above,
        p_below=p_below,
        equivalent=max(p_above, p_below) < alpha,
        p_differs=two_sided_p(successes, n, reference),
    )


@lru_cache(maxsize=REMEMBERED)
def _both_sides(successes: int, n: int, reference: float, margin: float) -> tuple[float, float]:
    """The p-values against a rate above and a rate below the margin."""
    p_above = float(binom.cdf(successes, n, reference + margin))
    return p_above, float(binom.sf(successes - 1, n, reference - margin)) if reference > margin else 0.0
