"""A success rate and its interval.

scipy does the arithmetic, each result is a frozen dataclass. What is undefined raises; nothing here returns 0
for want of an answer.
"""

from dataclasses import dataclass
from functools import lru_cache

from scipy.stats import binomtest

REMEMBERED = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Proportion:
    """A success rate with its interval.

    Args:
        successes: number of successes, 0 to n.
        n: number of episodes, at least 1.
        rate: successes / n.
        ci_low: lower end of the interval, 0 to 1.
        ci_high: upper end of the interval, 0 to 1.
        confidence: nominal coverage of the interval.
    """

    successes: int
    n: int
    rate: float
    ci_low: float
    ci_high: float
    confidence: float


@lru_cache(maxsize=REMEMBERED)
def wilson(successes: int, n: int, *, confidence: float = 0.95) -> Proportion:
    """Success rate with the Wilson score interval, without continuity correction.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
    (1927) 209-212; method 3 of R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872.

    Args:
        successes: 0 to n.
        n: number of episodes, at least 1.
        confidence: nominal coverage, between 0 and 1.

    Returns:
        The rate and its interval.

    Raises:
        ValueError: if an argument is out of its range.
    """
    check_counts(successes, n)
    check_between_0_and_1("confidence", confidence)
    interval = binomtest(successes, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Proportion(
        successes=successes,
        n=n,
        rate=successes / n,
        ci_low=float(interval.low),
        ci_high=float(interval.high),
        confidence=confidence,
    )


def check_counts(successes: int, n: int) -> None:
    """Refuse a number of successes that n episodes cannot have.

    Raises:
        ValueError: naming the argument, its bound and its value.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be from 0 to n = {n}, got {successes}")


def check_between_0_and_1(name: str, value: float) -> None:
    """Refuse a value that does not lie strictly between 0 and 1.

    Raises:
        ValueError: naming the argument, its bounds and its value.
    """
    if not 0 < value < 1:
        raise ValueError(f"{name} must be between 0 and 1, got {value}")


@lru_cache(maxsize=REMEMBERED)
def above_p(successes: int, n: int, rate: float) -> float:
    """Exact one-sided binomial p-value of the hypothesis that the true rate is at most this."""
    return float(binomtest(successes, n, rate, alternative="greater").pvalue)


@lru_cache(maxsize=REMEMBERED)
def two_sided_p(successes: int, n: int, rate: float) -> float:
    """Exact two-sided binomial p-value; remembered, since simulations ask for the same counts often."""
    return float(binomtest(successes, n, rate).pvalue)
