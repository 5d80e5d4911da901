"""Two conditions compared, against numbers published elsewhere."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.evaluation.statistics import (
    confidence_sequence,
    difference,
    mcnemar_exact,
    paired_difference,
    wilson,
)

# (only first, only second, pairs, p), as printed by R's exact2x2::mcnemar.exact: A. Agresti's approval
# ratings, and the vignette "Exact McNemar's Test and Matching Confidence Intervals" (M. P. Fay).
EXACT2X2 = [(86, 150, 1600, 3.716e-05), (2, 9, 44, 0.06543)]

# (both, only first, only second, neither, low, high): method "Newcombe square-and-add" of
# M. W. Fagerland, S. Lydersen and P. Laake, Statistics in Medicine 33 (2014) 2850-2875 on the data of Bentur
# et al. (2009), and the tests of their R package contingencytables on the data of Cavo et al. (2012).
CONTINGENCY_TABLES = [(1, 1, 7, 12, -0.507, -0.026), (59, 6, 16, 80, -0.1186, -0.0046)]

# Successes and n of each condition, low, high: R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890,
# Table II, method 10; the same from statsmodels 0.15, confint_proportions_2indep(method="newcomb").
NEWCOMBE = [
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (10, 10, 0, 10, 0.6075, 1.0),
]


@pytest.mark.parametrize(("only_first", "only_second", "num_pairs", "p_value"), EXACT2X2)
def test_mcnemar_agrees_with_exact2x2(only_first, only_second, num_pairs, p_value):
    found = mcnemar_exact(only_first=only_first, only_second=only_second, num_pairs=num_pairs)
    assert found == pytest.approx(p_value, rel=5e-4)
    mirrored = mcnemar_exact(only_first=only_second, only_second=only_first, num_pairs=num_pairs)
    assert mirrored == found


def test_mcnemar_of_no_discordant_pair_is_one():
    # R's Exact::mcnemar.2x2: min(1, 2 * pbinom(0, 0, 0.5)) = 1.
    assert mcnemar_exact(only_first=0, only_second=0, num_pairs=50) == 1.0


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((0, 0, 0), "num_pairs must be at least 1, got 0"),
        ((3, 3, 5), "sum to at most num_pairs = 5, got 3 and 3"),
        ((-1, 3, 5), "got -1 and 3"),
    ],
)
def test_an_undefined_mcnemar_raises(counts, message):
    only_first, only_second, num_pairs = counts
    with pytest.raises(ValueError, match=message):
        mcnemar_exact(only_first=only_first, only_second=only_second, num_pairs=num_pairs)


@pytest.mark.parametrize(("both", "first", "second", "neither", "low", "high"), CONTINGENCY_TABLES)
def test_the_paired_difference_agrees_with_contingencytables(both, first, second, neither, low, high):
    found = paired_difference(both=both, only_first=first, only_second=second, neither=neither)
    digits = 3 if low == -0.507 else 4
    assert (round(found.ci_low, digits), round(found.ci_high, digits)) == (low, high)
    assert found.estimate == pytest.approx((first - second) / (both + first + second + neither))


def test_a_negative_correlation_is_not_corrected():
    # by hand from Newcombe's formula: rates 15/40 and 15/40, Wilson's ends 0.242230 and 0.529676,
    # phi = (2 * 12 - 13 * 13) / (15 * 25) = -0.386667, the distances 0.132770 and 0.154676
    found = paired_difference(both=2, only_first=13, only_second=13, neither=12)
    assert found.ci_high == -found.ci_low == pytest.approx(0.239654, abs=2e-6)


def test_a_small_positive_correlation_counts_as_none():
    # 11 * 11 - 9 * 9 = 40 is above 0 and not above n / 2 = 20: phi is (40 - 20) / 400; but 10 * 10 - 9 * 10
    # = 10 is below 39 / 2, and so phi is 0 and the interval that of independent episodes
    found = paired_difference(both=10, only_first=9, only_second=10, neither=10)
    apart = difference(wilson(19, 39), wilson(20, 39))
    assert (found.ci_low, found.ci_high) == (apart.ci_low, apart.ci_high)
    nearer = paired_difference(both=11, only_first=9, only_second=9, neither=11)
    half_width = difference(wilson(20, 40), wilson(20, 40)).ci_high
    assert nearer.ci_high == pytest.approx(half_width * math.sqrt(1 - 20 / 400))


def test_a_condition_that_always_succeeds_has_no_correlation():
    found = paired_difference(both=30, only_first=10, only_second=0, neither=0)
    apart = difference(wilson(40, 40), wilson(30, 40))
    assert (found.ci_low, found.ci_high) == (apart.ci_low, apart.ci_high)


def test_no_discordant_pair_is_no_certainty():
    found = paired_difference(both=20, only_first=0, only_second=0, neither=20)
    assert found.ci_low < 0 < found.ci_high


@pytest.mark.parametrize(("s", "m", "t", "n", "low", "high"), NEWCOMBE)
def test_the_difference_agrees_with_newcombe(s, m, t, n, low, high):
    found = difference(wilson(s, m), wilson(t, n))
    assert (round(found.ci_low, 4), round(found.ci_high, 4)) == (low, high)
    assert found.estimate == s / m - t / n


def test_the_difference_reads_only_counts_and_confidence():
    expected = difference(wilson(9, 10, confidence=0.9), wilson(3, 10, confidence=0.9))
    first, second = (confidence_sequence(successes, 10, confidence=0.9) for successes in (9, 3))
    assert difference(first, second) == expected


@settings(max_examples=60)
@given(*[st.integers(0, 60) for _ in range(4)])
def test_a_difference_holds_its_estimate_and_mirrors(both, first, second, neither):
    if both + first + second + neither == 0:
        return
    found = paired_difference(both=both, only_first=first, only_second=second, neither=neither)
    mirrored = paired_difference(both=both, only_first=second, only_second=first, neither=neither)
    assert -1 <= found.ci_low <= found.estimate <= found.ci_high <= 1
    assert found.ci_low == pytest.approx(-mirrored.ci_high, abs=1e-12)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((-1, 2, 3, 4), "both must be at least 0, got -1"),
        ((1, -2, 3, 4), "only_first must be at least 0, got -2"),
        ((1, 2, -3, 4), "only_second must be at least 0, got -3"),
        ((1, 2, 3, -4), "neither must be at least 0, got -4"),
        ((0, 0, 0, 0), "both, only_first, only_second and neither must sum to at least 1, got 0"),
    ],
)
def test_an_undefined_difference_raises(counts, message):
    both, first, second, neither = counts
    with pytest.raises(ValueError, match=message):
        paired_difference(both=both, only_first=first, only_second=second, neither=neither)


def test_a_difference_has_one_confidence():
    with pytest.raises(ValueError, match=r"must have the same confidence, got 0\.95 and 0\.9"):
        difference(wilson(1, 2), wilson(1, 2, confidence=0.9))
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, got 2"):
        paired_difference(both=1, only_first=2, only_second=3, neither=4, confidence=2)
