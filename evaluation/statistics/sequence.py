"""Looking as often as one likes: an interval and a p-value that hold at every n at once."""

import math
from functools import lru_cache

from scipy.optimize import brentq
from scipy.special import betaln

from parley.evaluation.statistics.paired import Difference
from parley.evaluation.statistics.proportions import (
    REMEMBERED,
    Proportion,
    check_between_0_and_1,
    check_counts,
)

_PRIOR = 0.5  # a = b of the beta mixture: Jeffreys' prior, which favours no rate


def confidence_sequence(successes: int, n: int, *, confidence: float = 0.95) -> Proportion:
    """Success rate with an interval that covers the true rate at all n at once.

    Whoever looks after every episode and stops where it suits still errs with probability at most
    1 - confidence. The price is width: about 1.8 times Wilson's at n = 400. The interval holds all p with

        log B(a + S, b + n - S) - log B(a, b) - S log p - (n - S) log(1 - p) < log(1 / (1 - confidence)),

    S the successes, B the beta function and a = b = 1/2. The left side is the log likelihood ratio of the
    mixture of all rates to p: a martingale of mean 1 if p is true, and so rarely large (Ville's inequality).

    Source: H. Robbins, Annals of Mathematical Statistics 41 (1970) 1397-1409; S. R. Howard, A. Ramdas,
    J. McAuliffe and J. Sekhon, Annals of Statistics 49 (2021) 1055-1080.

    Args:
        successes: 0 to n.
        n: number of episodes so far, at least 1.
        confidence: least coverage over all n together, between 0 and 1.

    Returns:
        The rate and its interval at this n. The intersection of the intervals up to n is valid as well.

    Raises:
        ValueError: if an argument is out of its range.
    """
    check_counts(successes, n)
    check_between_0_and_1("confidence", confidence)
    return Proportion(
        successes=successes,
        n=n,
        rate=successes / n,
        ci_low=_lower_end(successes, n, confidence),
        ci_high=1.0 - _lower_end(n - successes, n, confidence),
        confidence=confidence,
    )


def difference_sequence(
    *, only_first: int, only_second: int, num_pairs: int, confidence: float = 0.95
) -> Difference:
    """Difference of two success rates on the same episodes, with an interval that holds at every n at once.

    The difference is the rate of pairs in which only the first succeeds, less that of the opposite pairs.
    Each of the two has a confidence sequence at half the error, and the interval is their difference.

    Args:
        only_first: pairs in which only the first condition succeeds, at least 0.
        only_second: pairs in which only the second does, at least 0.
        num_pairs: all pairs so far, at least 1 and at least the sum of the two.
        confidence: least coverage over all n together, between 0 and 1.

    Returns:
        The difference and its interval at this n.

    Raises:
        ValueError: if an argument is out of its range.
    """
    check_between_0_and_1("confidence", confidence)
    each = (1 + confidence) / 2
    first = confidence_sequence(only_first, num_pairs, confidence=each)
    second = confidence_sequence(only_second, num_pairs, confidence=each)
    return Difference(
        estimate=first.rate - second.rate,
        ci_low=first.ci_low - second.ci_high,
        ci_high=first.ci_high - second.ci_low,
    )


def sequential_p(successes: int, n: int, *, null_rate: float = 0.5) -> float:
    """Two-sided p-value that a true rate equals the null rate, valid however often one looks.

    It is the inverse of the likelihood ratio of `confidence_sequence` to the null rate, at most 1: below
    1 - confidence exactly where that interval excludes the null rate. If the null holds, the chance that it
    ever falls to alpha is at most alpha. The least p up to now is valid too, and the caller's to keep.

    With null_rate 1/2 and successes among the discordant pairs it is a sequential McNemar test.

    Source: as `confidence_sequence`; the p-value is that of R. Johari, P. Koomen, L. Pekelis and D. Walsh,
    Operations Research 70 (2022) 1806-1821.

    Args:
        successes: 0 to n.
        n: number of episodes so far, at least 1.
        null_rate: between 0 and 1.

    Returns:
        A p-value of at most 1, at this n alone.

    Raises:
        ValueError: if an argument is out of its range.
    """
    check_counts(successes, n)
    check_between_0_and_1("null_rate", null_rate)
    likelihood = successes * math.log(null_rate) + (n - successes) * math.log1p(-null_rate)
    return math.exp(min(0.0, likelihood - _mixture(successes, n)))


def _mixture(successes: int, n: int) -> float:
    """Log likelihood of the mixture of all rates."""
    return float(betaln(_PRIOR + successes, _PRIOR + n - successes) - betaln(_PRIOR, _PRIOR))


@lru_cache(maxsize=REMEMBERED)
def _lower_end(successes: int, n: int, confidence: float) -> float:
    """The rate below the observed one at which the ratio is 1 / (1 - confidence); 0 without a success."""
    if successes == 0:
        return 0.0
    # the log likelihood at the end; without the failures' term, which is not above 0, it is reached sooner
    target, failures = _mixture(successes, n) + math.log1p(-confidence), n - successes
    lowest = math.exp(target / successes)
    if failures == 0:
        return lowest
    end = brentq(
        lambda p: successes * math.log(p) + failures * math.log1p(-p) - target,
        0.999 * lowest,
        successes / n,
        xtol=1e-15,
    )
    return float(end)
