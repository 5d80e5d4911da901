"""Transmitted bits, over channels whose mutual information is known."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binom, entropy, norm

from parley.evaluation.statistics import confusion_information, fano_bound, min_transmitted_bits, wilson
from parley.evaluation.statistics.information import _jackknife


def symmetric(size, error):
    law = np.full((size, size), error / (size - 1))
    np.fill_diagonal(law, 1 - error)
    return law / size


def erasing(size, erased):
    return np.hstack([(1 - erased) * np.eye(size), np.full((size, 1), erased)]) / size


def stuck(size, moved):
    """Always the first candidate, but for a share of episodes that are right."""
    law = moved * np.eye(size)
    law[:, 0] += 1 - moved
    return law / size


# (channel, its mutual information): T. M. Cover and J. A. Thomas, "Elements of Information Theory" (2006),
# sections 7.1 (capacities at a uniform input): symmetric log N - h(e) - e log(N - 1), erasing (1 - a) log N
CHANNELS = {
    "noiseless": (symmetric(5, 0.0), math.log2(5)),
    "nearly noiseless": (symmetric(5, 0.002), 2.297114),
    "symmetric": (symmetric(5, 0.2), 1.2),
    "binary symmetric": (symmetric(2, 0.11), 0.500084),
    "nearly useless": (symmetric(2, 0.45), 0.0072259),
    "useless": (symmetric(5, 0.8), 0.0),
    "erasing": (erasing(5, 0.25), 0.75 * math.log2(5)),
    # an erased message is guessed: a symmetric channel with e = 4/5 of what is erased
    "erased and guessed": (0.75 * np.eye(5) / 5 + 0.25 / 25, 1.2),
    "merging": (np.array([[1, 0], [1, 0], [0, 1], [0, 1]]) / 4, 1.0),
    "nearly stuck": (stuck(5, 0.02), 0.0371976),
}


def tables_of(law, size):
    """Tables of 400 episodes each."""
    return np.random.default_rng(0).multinomial(400, law.ravel(), size=size).reshape(-1, *law.shape)


def bits_of(table):
    law = table / table.sum()
    return entropy(law.sum(axis=0), base=2) + entropy(law.sum(axis=1), base=2) - entropy(law.ravel(), base=2)


@pytest.mark.parametrize(("law", "bits"), CHANNELS.values(), ids=CHANNELS.keys())
def test_the_channels_have_the_information_that_the_book_gives(law, bits):
    assert bits_of(law) == pytest.approx(bits, abs=1e-5)


@pytest.mark.parametrize(("law", "bits"), CHANNELS.values(), ids=CHANNELS.keys())
def test_the_interval_covers_and_the_estimate_has_no_bias(law, bits):
    found = [confusion_information(table) for table in tables_of(law, 100)]
    held = np.mean([one.ci_low <= bits + 1e-12 and bits <= one.ci_high + 1e-12 for one in found])
    assert held >= 0.92
    assert np.mean([one.bits for one in found]) == pytest.approx(bits, abs=0.015)


@pytest.mark.parametrize("name", ["symmetric", "binary symmetric", "erasing", "erased and guessed"])
def test_the_interval_does_not_cover_by_being_wide(name):
    tables = tables_of(CHANNELS[name][0], 300)
    spread = np.std([_jackknife(table.astype(float))[0] for table in tables])
    found = [confusion_information(table) for table in tables[:20]]
    assert np.mean([one.ci_high - one.ci_low for one in found]) < 1.2 * 2 * norm.ppf(0.975) * spread


@pytest.mark.parametrize("table", [[[30, 2, 0], [4, 50, 1], [0, 0, 9]], [[3, 1], [0, 2]]])
def test_the_jackknife_leaves_out_one_episode_at_a_time(table):
    table = np.array(table)
    n, left_out = int(table.sum()), []
    for cell in np.argwhere(table):
        less = table.copy()
        less[tuple(cell)] -= 1
        left_out += [bits_of(less)] * table[tuple(cell)]
    estimate, standard_error = _jackknife(table.astype(float))
    assert len(left_out) == n
    assert estimate == pytest.approx(n * bits_of(table) - (n - 1) * np.mean(left_out))
    assert standard_error == pytest.approx(math.sqrt((n - 1) * np.var(left_out)))


def test_no_error_seen_is_no_certainty():
    # between the rule of three, at most 3 / n errors, and Wilson's upper end for none, about z^2 / n
    found = confusion_information(np.diag([100, 100, 100, 100]))
    assert found.bits == found.ci_high == 2.0
    assert fano_bound(1 - 3.84 / 400, 4) < found.ci_low < fano_bound(1 - 3 / 400, 4)


def test_an_estimate_below_0_does_not_lower_the_upper_end():
    table = np.full((2, 2), 100)
    assert _jackknife(table.astype(float))[0] < -0.001
    found = confusion_information(table)
    assert found.bits == 0
    assert found.ci_high >= norm.ppf(0.975) ** 2 / 400


def test_a_receiver_that_never_varies_is_no_certainty_either():
    counts = np.zeros((5, 5), dtype=np.int64)
    counts[:, 0] = 80
    found = confusion_information(counts)
    assert (found.bits, found.ci_low) == pytest.approx((0, 0), abs=1e-10)
    assert found.ci_high == pytest.approx(norm.ppf(0.975) ** 2 / 400 * math.log2(5))


def test_permuting_what_is_meant_or_chosen_changes_nothing():
    table = np.array([[30, 2, 0], [4, 50, 1], [0, 0, 9]])
    found, other = confusion_information(table), confusion_information(table[[2, 0, 1]][:, [1, 2, 0]])
    turned = confusion_information(table.T)
    for one in (other, turned):
        assert (one.bits, one.ci_low, one.ci_high) == pytest.approx(
            (found.bits, found.ci_low, found.ci_high), abs=1e-12
        )


def test_more_confidence_is_a_wider_interval():
    table = np.array([[30, 10], [14, 50]])
    narrow, wide = confusion_information(table, confidence=0.8), confusion_information(table, confidence=0.99)
    assert wide.ci_low < narrow.ci_low < narrow.bits < narrow.ci_high < wide.ci_high


@settings(max_examples=60)
@given(
    table=hnp.arrays(np.int64, st.tuples(st.integers(2, 6), st.integers(2, 6)), elements=st.integers(0, 40)),
    capacity=st.none() | st.floats(0, 3),
)
def test_nothing_exceeds_the_ceiling(table, capacity):
    if table.sum() == 0:
        return
    found = confusion_information(table, capacity_bits=capacity)
    most = math.log2(min(table.shape))
    assert found.ceiling_bits == (most if capacity is None else min(most, capacity))
    if table.sum() < 2 or np.count_nonzero(table.sum(axis=1)) < 2:
        assert all(math.isnan(value) for value in (found.bits, found.ci_low, found.ci_high))
    else:
        assert 0 <= found.ci_low <= found.bits <= found.ci_high <= found.ceiling_bits


def test_nothing_was_asked_where_all_episodes_intend_the_same():
    assert math.isnan(confusion_information(np.array([[3, 4], [0, 0]])).bits)
    assert math.isnan(confusion_information(np.array([[1, 0], [0, 0]])).ci_high)
    assert confusion_information(np.array([[1, 0], [0, 1]])).ci_high == 1


@pytest.mark.parametrize(
    ("rate", "num_candidates", "bits"),
    [
        # by hand: log2 5 - h(0.2) - 0.2 log2 4 = 2.321928 - 0.721928 - 0.4
        (0.8, 5, 1.2),
        # the capacity 1 - h(0.11) of the binary symmetric channel, Cover and Thomas, section 7.1.4
        (0.89, 2, 0.500084),
        (1.0, 5, math.log2(5)),
        (0.2, 5, 0.0),
        (0.05, 5, 0.0),
    ],
)
def test_fano_s_bound(rate, num_candidates, bits):
    assert fano_bound(rate, num_candidates) == pytest.approx(bits, abs=1e-6)


@settings(max_examples=50)
@given(law=hnp.arrays(np.float64, (4, 4), elements=st.floats(0, 1)))
def test_no_channel_of_a_uniform_target_has_less_than_fano_s_bound(law):
    law = (law + 1e-6) / (law + 1e-6).sum(axis=1, keepdims=True) / 4
    assert fano_bound(min(float(np.trace(law)), 1.0), 4) <= bits_of(law) + 1e-9


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999), st.integers(2, 20))
def test_fano_s_bound_rises_with_the_rate(one, other, num_candidates):
    low, high = sorted((one, other))
    assert fano_bound(low, num_candidates) <= fano_bound(high, num_candidates) + 1e-12


def test_at_least_that_many_bits_are_transmitted():
    assert min_transmitted_bits(300, 400, 5) == fano_bound(wilson(300, 400).ci_low, 5) > 0.8
    assert min_transmitted_bits(80, 400, 5) == 0
    bounds = np.array([min_transmitted_bits(count, 100, 5) for count in range(101)])
    assert 0.01 < binom.pmf(np.arange(101), 100, 0.8)[bounds > 1.2].sum() < 0.03
    assert min_transmitted_bits(300, 400, 5, confidence=0.99) < min_transmitted_bits(
        300, 400, 5, confidence=0.9
    )


@pytest.mark.parametrize(
    ("table", "settings", "message"),
    [
        ([[1, 2]], {}, r"counts must be a table of at least 2 rows and 2 columns, got shape \(1, 2\)"),
        ([[1], [2]], {}, r"counts must be a table of at least 2 rows and 2 columns, got shape \(2, 1\)"),
        ([1, 2], {}, r"counts must be a table of at least 2 rows and 2 columns, got shape \(2,\)"),
        ([[1, -2], [3, 4]], {}, "counts must be at least 0, got -2"),
        ([[0, 0], [0, 0]], {}, "counts must sum to at least 1, got 0"),
        ([[1, 2], [3, 4]], {"capacity_bits": -1.0}, "capacity_bits must be at least 0, got -1.0"),
        ([[1, 2], [3, 4]], {"capacity_bits": math.nan}, "capacity_bits must be at least 0, got nan"),
        ([[1, 2], [3, 4]], {"confidence": 1.0}, "confidence must be between 0 and 1, got 1.0"),
    ],
)
def test_bad_tables_raise(table, settings, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(confusion_information)(np.array(table), **settings)


@pytest.mark.parametrize(
    ("rate", "num_candidates", "message"),
    [
        (0.5, 1, "num_candidates must be at least 2, got 1"),
        (-0.1, 2, "rate must be from 0 to 1, got -0.1"),
        (1.1, 2, "rate must be from 0 to 1, got 1.1"),
    ],
)
def test_a_bound_without_a_choice_or_a_rate_raises(rate, num_candidates, message):
    with pytest.raises(ValueError, match=message):
        fano_bound(rate, num_candidates)
