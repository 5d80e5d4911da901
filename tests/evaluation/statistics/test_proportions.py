"""Intervals and tests against numbers published elsewhere."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.statistics import mcnemar_exact, wilson

# R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, Table I, method 3.
NEWCOMBE = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
]

# PRIOR_ART.md section 1: the failed experiment's own table, 50 episodes a condition, in percent.
ATTEMPT_02 = [(11, 12.8, 35.2), (12, 14.3, 37.4), (14, 17.5, 41.7), (16, 20.8, 45.8), (10, 11.2, 33.0)]

# PRIOR_ART.md section 3: smallest successes for CI_low >= .30.
SMALLEST = [(50, 22), (100, 39), (200, 73), (400, 138)]

# (only first, only second, pairs, p), as printed by R's exact2x2::mcnemar.exact: A. Agresti's approval
# ratings, and the vignette "Exact McNemar's Test and Matching Confidence Intervals" (M. P. Fay).
EXACT2X2 = [(86, 150, 1600, 3.716e-05), (2, 9, 44, 0.06543)]


@pytest.mark.parametrize(("successes", "n", "low", "high"), NEWCOMBE)
def test_wilson_agrees_with_newcombe(successes, n, low, high):
    found = wilson(successes, n)
    assert (round(found.ci_low, 4), round(found.ci_high, 4)) == (low, high)
    assert found.rate == successes / n


@pytest.mark.parametrize(("successes", "low", "high"), ATTEMPT_02)
def test_wilson_agrees_with_the_failed_experiment(successes, low, high):
    found = wilson(successes, 50)
    assert (round(100 * found.ci_low, 1), round(100 * found.ci_high, 1)) == (low, high)


@pytest.mark.parametrize(("n", "smallest"), SMALLEST)
def test_smallest_success_above_the_floor(n, smallest):
    assert wilson(smallest - 1, n).ci_low < 0.30 <= wilson(smallest, n).ci_low


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 300), share=st.floats(0, 1))
def test_wilson_holds_its_rate_and_mirrors(n, share):
    successes = round(share * n)
    found, mirrored = wilson(successes, n), wilson(n - successes, n)
    assert 0 <= found.ci_low <= found.rate <= found.ci_high <= 1
    assert found.ci_low == pytest.approx(1 - mirrored.ci_high, abs=1e-12)


def test_more_confidence_is_a_wider_interval():
    narrow, wide = wilson(20, 50, confidence=0.9), wilson(20, 50, confidence=0.99)
    assert wide.ci_low < narrow.ci_low < narrow.ci_high < wide.ci_high


def test_gap_is_the_space_between_two_intervals():
    low, high, middle = wilson(5, 100), wilson(95, 100), wilson(6, 100)
    assert low.gap(high) == high.gap(low) == high.ci_low - low.ci_high > 0
    assert low.gap(middle) < 0


@pytest.mark.parametrize(
    ("successes", "n", "confidence", "message"),
    [
        (0, 0, 0.95, "n must be at least 1, got 0"),
        (3, 2, 0.95, "successes must be from 0 to n = 2, got 3"),
        (-1, 2, 0.95, "successes must be from 0 to n = 2, got -1"),
        (1, 2, 1.0, "confidence must be between 0 and 1, got 1.0"),
        (1, 2, 0.0, "confidence must be between 0 and 1, got 0.0"),
    ],
)
def test_an_undefined_interval_raises(successes, n, confidence, message):
    with pytest.raises(ValueError, match=message):
        wilson(successes, n, confidence=confidence)


@pytest.mark.parametrize(("only_first", "only_second", "num_pairs", "p_value"), EXACT2X2)
def test_mcnemar_agrees_with_exact2x2(only_first, only_second, num_pairs, p_value):
    found = mcnemar_exact(only_first=only_first, only_second=only_second, num_pairs=num_pairs)
    assert found.p_value == pytest.approx(p_value, rel=5e-4)
    mirrored = mcnemar_exact(only_first=only_second, only_second=only_first, num_pairs=num_pairs)
    assert mirrored.p_value == found.p_value


def test_mcnemar_of_no_discordant_pair_is_one():
    # R's Exact::mcnemar.2x2: min(1, 2 * pbinom(0, 0, 0.5)) = 1.
    assert mcnemar_exact(only_first=0, only_second=0, num_pairs=50).p_value == 1.0


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
