"""Two conditions compared: on the same episodes, or on episodes of their own."""

import math
from dataclasses import dataclass

from parley.evaluation.statistics.proportions import Proportion, two_sided_p, wilson


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much more often the first of two conditions succeeds, with its interval.

    Args:
        estimate: rate of the first less rate of the second, -1 to 1.
        ci_low: lower end of the interval, -1 to 1.
        ci_high: upper end of the interval, -1 to 1.
    """

    estimate: float
    ci_low: float
    ci_high: float


def mcnemar_exact(*, only_first: int, only_second: int, num_pairs: int) -> float:
    """Exact McNemar test: are the discordant pairs split evenly between two conditions?

    Under the hypothesis of no difference the discordant pairs fall to either side like fair coins. With no
    discordant pair there is one possible outcome and it has probability 1, so p is 1: the exact value and no
    stand-in (R's exact2x2 and Exact say the same). With no pair at all there is no test, and it raises.

    Source: Q. McNemar, Psychometrika 12 (1947) 153-157; exact and two-sided as in M. P. Fay, Biostatistics 11
    (2010) 373-374.

    Args:
        only_first: pairs in which only the first condition succeeds, at least 0.
        only_second: pairs in which only the second condition succeeds, at least 0.
        num_pairs: all pairs, at least 1 and at least the sum of the two.

    Returns:
        The two-sided p-value, which does not say which condition is the better.

    Raises:
        ValueError: if a count is out of its range.
    """
    if num_pairs < 1:
        raise ValueError(f"num_pairs must be at least 1, got {num_pairs}")
    if min(only_first, only_second) < 0 or only_first + only_second > num_pairs:
        raise ValueError(
            f"only_first and only_second must be at least 0 and sum to at most num_pairs = {num_pairs}, "
            f"got {only_first} and {only_second}"
        )
    discordant = only_first + only_second
    return two_sided_p(only_first, discordant, 0.5) if discordant else 1.0


def paired_difference(
    *, both: int, only_first: int, only_second: int, neither: int, confidence: float = 0.95
) -> Difference:
    """Difference of two success rates on the same episodes, with Newcombe's square-and-add interval.

    The Wilson interval of each rate lends its distances to the rates, less what the correlation phi of the
    two conditions takes away: the lower end lies sqrt(a^2 - 2 phi a b + b^2) below the estimate, where a is
    the first rate less its lower end and b the second's upper end less the second rate; the upper end
    likewise with the other two. It does not shrink to a point if nothing is discordant, as Wald's does.

    Source: method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17 (1998) 2635-2650.

    Args:
        both: episodes in which both conditions succeed, at least 0.
        only_first: episodes in which only the first condition succeeds, at least 0.
        only_second: episodes in which only the second condition succeeds, at least 0.
        neither: episodes in which both conditions fail, at least 0.
        confidence: nominal coverage, between 0 and 1.

    Returns:
        The difference and its interval.

    Raises:
        ValueError: if an argument is out of its range.
    """
    counts = {"both": both, "only_first": only_first, "only_second": only_second, "neither": neither}
    for name, count in counts.items():
        if count < 0:
            raise ValueError(f"{name} must be at least 0, got {count}")
    num_pairs = sum(counts.values())
    if num_pairs < 1:
        raise ValueError("both, only_first, only_second and neither must sum to at least 1, got 0")
    first = wilson(both + only_first, num_pairs, confidence=confidence)
    second = wilson(both + only_second, num_pairs, confidence=confidence)
    return _square_and_add(first, second, phi=_phi(both, only_first, only_second, neither))


def difference(first: Proportion, second: Proportion) -> Difference:
    """Difference of two success rates on independent episodes, with Newcombe's square-and-add interval.

    Of each proportion only the counts and the confidence are read: the intervals that are squared and added
    are always Wilson's.

    Source: method 10 of R. G. Newcombe, "Interval estimation for the difference between independent
    proportions: comparison of eleven methods", Statistics in Medicine 17 (1998) 873-890.

    Args:
        first: successes of the first condition.
        second: successes of the second condition, at the same confidence.

    Returns:
        The difference and its interval.

    Raises:
        ValueError: if the two differ in confidence.
    """
    if first.confidence != second.confidence:
        raise ValueError(
            f"first and second must have the same confidence, got {first.confidence} and {second.confidence}"
        )
    intervals = [wilson(rate.successes, rate.n, confidence=rate.confidence) for rate in (first, second)]
    return _square_and_add(*intervals, phi=0.0)


def _phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Correlation of two conditions, brought nearer to 0 by a continuity correction if it is positive.

    0 if a condition always or never succeeds: then nothing is known of how they vary together.
    """
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    covariance: float = both * neither - only_first * only_second
    if covariance > 0:
        covariance = max(covariance - (both + only_first + only_second + neither) / 2, 0)
    return covariance / math.sqrt(margins)


def _square_and_add(first: Proportion, second: Proportion, *, phi: float) -> Difference:
    """The interval from two Wilson intervals and the correlation of the two conditions."""
    estimate = first.rate - second.rate
    below = _root(first.rate - first.ci_low, second.ci_high - second.rate, phi)
    above = _root(second.rate - second.ci_low, first.ci_high - first.rate, phi)
    return Difference(
        estimate=estimate,
        ci_low=max(estimate - below, -1.0),
        ci_high=min(estimate + above, 1.0),
    )


def _root(a: float, b: float, phi: float) -> float:
    # the square is never negative, but for the last digit
    return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))
