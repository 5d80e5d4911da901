"""The confidence sequence against numeric integration and confseq, and its promise in exact probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from parley.evaluation.statistics import (
    confidence_sequence,
    difference_sequence,
    least_successes,
    sequential_p,
    wilson,
)
from parley.evaluation.statistics.sequence import _lower_end

# (successes, n, confidence, low, high): R 4.2.2, the mixture by `integrate` over Beta(1/2, 1/2) and its ends
# by `uniroot`.
INTEGRATED = [
    (15, 50, 0.95, 0.126754651485, 0.52512437416),
    (138, 400, 0.95, 0.264980825375, 0.431383825841),
    (0, 30, 0.95, 0.0, 0.161182468408),
    (30, 30, 0.9, 0.858423961981, 1.0),
    (1, 200, 0.99, 9.99429378951e-07, 0.0532197004651),
    (7, 8, 0.8, 0.468071271622, 0.99733216746),
]
INTEGRATED_P = [(150, 400, 0.3, 0.147020246952), (40, 50, 0.5, 0.000582278047865), (15, 50, 0.3, 1.0)]

# (successes, n, p): confseq 0.0.11, exp(-beta_binomial_log_mixture(S - n / 2, n / 4, v_opt, 0.5, 0.5, 0.05,
# False)) with v_opt = 3.96808, at which its mixture is Beta(1/2, 1/2).
CONFSEQ = [(40, 50, 0.000582278047865), (0, 12, 0.00151470551255), (250, 400, 8.178632063607e-05)]


@pytest.mark.parametrize(("successes", "n", "confidence", "low", "high"), INTEGRATED)
def test_the_ends_agree_with_integration(successes, n, confidence, low, high):
    found = confidence_sequence(successes, n, confidence=confidence)
    assert found.ci_low == pytest.approx(low, rel=1e-9, abs=0)
    assert found.ci_high == pytest.approx(high, rel=1e-9)
    assert (found.successes, found.n, found.rate, found.confidence) == (
        successes, n, successes / n, confidence,
    )  # fmt: skip


@pytest.mark.parametrize(("successes", "n", "null_rate", "p"), INTEGRATED_P)
def test_the_p_value_agrees_with_integration(successes, n, null_rate, p):
    assert sequential_p(successes, n, null_rate=null_rate) == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize(("successes", "n", "p"), CONFSEQ)
def test_the_p_value_agrees_with_confseq(successes, n, p):
    assert sequential_p(successes, n) == pytest.approx(p, rel=1e-9)


@settings(max_examples=60)
@given(n=st.integers(1, 3000), share=st.floats(0, 1), confidence=st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_the_interval_is_what_the_p_value_does_not_reject(n, share, confidence):
    successes = round(share * n)
    found = confidence_sequence(successes, n, confidence=confidence)
    assert 0 <= found.ci_low <= found.rate <= found.ci_high <= 1
    assert (found.ci_low == 0) == (successes == 0)
    assert (found.ci_high == 1) == (successes == n)
    for end in {found.ci_low, found.ci_high} - {0.0, 1.0}:
        assert sequential_p(successes, n, null_rate=end) == pytest.approx(1 - confidence, rel=1e-3)


@settings(max_examples=30)
@given(n=st.integers(1, 500), share=st.floats(0, 1))
def test_it_mirrors_and_is_wider_than_wilson(n, share):
    successes = round(share * n)
    found, mirrored = confidence_sequence(successes, n), confidence_sequence(n - successes, n)
    assert found.ci_low == pytest.approx(1 - mirrored.ci_high, abs=1e-12)
    plain = wilson(successes, n)
    assert found.ci_high - found.ci_low > plain.ci_high - plain.ci_low


def ever_reaches(floor, step, leasts):
    """The exact chance that a channel whose true rate is the floor ever has the least successes at a look."""
    law, new, reached = np.ones(1), binom.pmf(np.arange(step + 1), step, floor), 0.0
    for least in leasts:  # after `step` episodes more
        law = np.convolve(law, new)
        reached += law[least:].sum()
        law[least:] = 0  # the run stops here
        law[law < 1e-100] = 0  # numbers near the smallest are slow
    return reached


def sequence_needs(floor, looks):
    """The least successes for which the lower end of the confidence sequence is at the floor."""
    least = 0
    for n in looks:
        while least <= n and _lower_end(least, n, 0.95) < floor:
            least += 1
        yield least


def test_peeking_deceives_wilson_and_not_the_sequence():
    looks = range(50, 1001, 50)
    naive = [least_successes(n, 0.3) for n in looks]
    assert ever_reaches(0.3, 400, [least_successes(400, 0.3)]) == pytest.approx(0.0293, abs=1e-4)
    assert ever_reaches(0.3, 50, naive) == pytest.approx(0.1297, abs=1e-4)
    assert 0.001 < ever_reaches(0.3, 50, sequence_needs(0.3, looks)) < 0.025


def test_looking_after_every_episode_is_allowed():
    # below 5% for both ends together, so that a single end has about half of it
    looks = range(1, 1001)
    assert 0.01 < ever_reaches(0.3, 1, sequence_needs(0.3, looks)) < 0.03


def test_the_p_value_is_rarely_small_at_any_time():
    law, reached = np.ones(1), 0.0
    for n in range(1, 101):
        law = np.convolve(law, [0.5, 0.5])
        small = np.array([sequential_p(count, n) <= 0.05 for count in range(n + 1)])
        reached += law[small].sum()
        law[small] = 0
    assert 0.01 < reached < 0.05


@pytest.mark.parametrize(
    ("successes", "n", "share", "message"),
    [
        (0, 0, 0.5, "n must be at least 1, got 0"),
        (3, 2, 0.5, "successes must be from 0 to n = 2, got 3"),
        (1, 2, 0.0, "NAME must be between 0 and 1, got 0.0"),
        (1, 2, 1.0, "NAME must be between 0 and 1, got 1.0"),
    ],
)
def test_bad_arguments_raise(successes, n, share, message):
    with pytest.raises(ValueError, match=message.replace("NAME", "confidence")):
        confidence_sequence(successes, n, confidence=share)
    with pytest.raises(ValueError, match=message.replace("NAME", "null_rate")):
        sequential_p(successes, n, null_rate=share)


def test_a_difference_in_sequence_is_that_of_two_sequences_at_half_the_error():
    found = difference_sequence(only_first=160, only_second=40, num_pairs=400, confidence=0.95)
    first, second = (confidence_sequence(count, 400, confidence=0.975) for count in (160, 40))
    assert found.estimate == pytest.approx(0.3)
    assert found.ci_low == pytest.approx(first.ci_low - second.ci_high)
    assert found.ci_high == pytest.approx(first.ci_high - second.ci_low)
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, got 1"):
        difference_sequence(only_first=1, only_second=1, num_pairs=3, confidence=1)


def test_a_difference_in_sequence_errs_rarely_however_often_one_looks():
    """Of 100 runs of 500 pairs without any difference, looked at after every 20, few ever show one."""
    rng, erred = np.random.default_rng(0), 0
    for _ in range(100):
        first, second = (rng.random((2, 500)) < 0.2).cumsum(axis=1)
        looks = range(20, 501, 20)
        found = [
            difference_sequence(only_first=int(first[n - 1]), only_second=int(second[n - 1]), num_pairs=n)
            for n in looks
        ]
        erred += any(interval.ci_low > 0 or interval.ci_high < 0 for interval in found)
    assert erred <= 5
