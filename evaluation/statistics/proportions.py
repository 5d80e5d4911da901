"""The statistics that the gate reads: scipy does the arithmetic, each result is a frozen dataclass.

Functions take counts. What is undefined raises; nothing here returns 0 for want of an answer.
"""

from dataclasses import dataclass

from scipy.stats import binomtest


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

    def gap(self, other: "Proportion") -> float:
        """Distance between two intervals: 0 or less if they share a point, else the empty space between."""
        return max(self.ci_low - other.ci_high, other.ci_low - self.ci_high)


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Exact McNemar test of two conditions on the same episodes.

    Args:
        only_first: episodes in which only the first condition succeeds.
        only_second: episodes in which only the second condition succeeds.
        num_pairs: episodes that both conditions played, at least 1.
        p_value: two-sided.
    """

    only_first: int
    only_second: int
    num_pairs: int
    p_value: float


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
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be from 0 to n = {n}, got {successes}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    interval = binomtest(successes, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Proportion(
        successes=successes,
        n=n,
        rate=successes / n,
        ci_low=float(interval.low),
        ci_high=float(interval.high),
        confidence=confidence,
    )


def mcnemar_exact(*, only_first: int, only_second: int, num_pairs: int) -> PairedTest:
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
        The counts and the two-sided p-value, which does not say which condition is the better.

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
    p_value = float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0
    return PairedTest(only_first=only_first, only_second=only_second, num_pairs=num_pairs, p_value=p_value)
