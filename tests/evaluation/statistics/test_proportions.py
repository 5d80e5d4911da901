"""Intervals of one rate against numbers published elsewhere."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from parley.evaluation.statistics import above_p, wilson

# R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, Table I, method 3.
NEWCOMBE = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
]

# PRIOR_ART.md section 1: the failed experiment's own table, 50 episodes a condition, in percent.
ORIGINAL = [(11, 12.8, 35.2), (12, 14.3, 37.4), (14, 17.5, 41.7), (16, 20.8, 45.8), (10, 11.2, 33.0)]

# PRIOR_ART.md section 3: smallest successes for CI_low >= .30.
SMALLEST = [(50, 22), (100, 39), (200, 73), (400, 138)]


@pytest.mark.parametrize(("successes", "n", "low", "high"), NEWCOMBE)
def test_wilson_agrees_with_newcombe(successes, n, low, high):
    found = wilson(successes, n)
    assert (round(found.ci_low, 4), round(found.ci_high, 4)) == (low, high)
    assert found.rate == successes / n


@pytest.mark.parametrize(("successes", "low", "high"), ORIGINAL)
def test_wilson_agrees_with_the_failed_experiment(successes, low, high):
    found = wilson(successes, 50)
    assert (round(100 * found.ci_low, 1), round(100 * found.ci_high, 1)) == (low, high)


@pytest.mark.parametrize(("n", "smallest"), SMALLEST)
def test_smallest_success_above_the_floor(n, smallest):
    assert wilson(smallest - 1, n).ci_low < 0.30 <= wilson(smallest, n).ci_low


@settings(max_examples=40)
@given(n=st.integers(1, 300), share=st.floats(0, 1))
def test_an_interval_holds_its_rate_and_mirrors(n, share):
    successes = round(share * n)
    found, mirrored = wilson(successes, n), wilson(n - successes, n)
    assert 0 <= found.ci_low <= found.rate <= found.ci_high <= 1
    assert found.ci_low == pytest.approx(1 - mirrored.ci_high, abs=1e-12)


def test_more_confidence_is_a_wider_interval():
    narrow, wide = wilson(20, 50, confidence=0.9), wilson(20, 50, confidence=0.99)
    assert wide.ci_low < narrow.ci_low < narrow.ci_high < wide.ci_high


@pytest.mark.parametrize(
    ("successes", "n", "confidence", "message"),
    [
        (0, 0, 0.95, "n must be at least 1, got 0"),
        (3, 2, 0.95, "successes must be from 0 to n = 2, got 3"),
        (-1, 2, 0.95, "successes must be from 0 to n = 2, got -1"),
        (1, 2, 1.0, "confidence must be between 0 and 1, got 1.0"),
        (1, 2, 0.0, "confidence must be between 0 and 1, got 0.0"),
        (1, 2, math.nan, "confidence must be between 0 and 1, got nan"),
    ],
)
def test_an_undefined_interval_raises(successes, n, confidence, message):
    with pytest.raises(ValueError, match=message):
        wilson(successes, n, confidence=confidence)


def test_a_one_sided_p_is_the_upper_tail():
    """scipy's binom.sf(106, 400, 0.2) is 0.00067, and sf(105, ...) is above 0.001."""
    assert above_p(107, 400, 0.2) == pytest.approx(binom.sf(106, 400, 0.2))
    assert above_p(0, 400, 0.2) == 1
