"""Clustered success rates against R's survey."""

import inspect
import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.evaluation.statistics import clustered, wilson

# (successes, episodes of each cluster, rate, standard error, ends): R 4.2.2, survey 4.1.1: svymean over
# svydesign(ids = ~cluster), and Wilson's formula with n = rate (1 - rate) / SE^2 and qt(.975, degf).
SURVEY = [
    ([8, 5, 9, 2, 7, 10], [10] * 6, 0.683333333333, 0.119489655526, (0.365373729572, 0.889964810483)),
    ([3, 0, 12, 4, 1], [5, 4, 15, 9, 2], 0.571428571429, 0.136749923002, (0.242567808254, 0.847356565098)),
    ([30, 45], [100, 100], 0.375, 0.075, (0.0314496394386, 0.917265609136)),
    ([5, 4, 6, 5, 5, 4], [10] * 6, 0.483333333333, 0.0307318148576, (0.405708989359, 0.561770397079)),
]


def episodes(successes, sizes):
    success = np.concatenate([np.arange(m) < s for s, m in zip(successes, sizes, strict=True)])
    return success, np.repeat(np.arange(len(sizes)), sizes)


@pytest.mark.parametrize(("successes", "sizes", "rate", "standard_error", "ends"), SURVEY)
def test_clustered_agrees_with_survey(successes, sizes, rate, standard_error, ends):
    found = clustered(*episodes(successes, sizes))
    variance = rate * (1 - rate) / sum(sizes)
    assert found.rate == pytest.approx(rate)
    assert found.design_effect == pytest.approx(standard_error**2 / variance, rel=1e-9)
    assert (found.ci_low, found.ci_high) == pytest.approx(ends, abs=1e-10)
    assert found.num_clusters == len(sizes)


def test_more_confidence_is_a_wider_interval():
    arrays = episodes([8, 5, 9, 2, 7, 10], [10] * 6)
    narrow, wide = clustered(*arrays, confidence=0.8), clustered(*arrays, confidence=0.99)
    assert wide.ci_low < narrow.ci_low < narrow.ci_high < wide.ci_high


@settings(max_examples=30)
@given(n=st.integers(500, 2000), rate=st.floats(0.1, 0.9))
def test_one_episode_a_cluster_comes_close_to_wilson(n, rate):
    successes = round(rate * n)
    found = clustered(*episodes([1] * successes + [0] * (n - successes), [1] * n))
    plain = wilson(successes, n)
    assert found.design_effect == pytest.approx(n / (n - 1))
    assert (found.ci_low, found.ci_high) == pytest.approx((plain.ci_low, plain.ci_high), abs=3e-4)


def test_a_cluster_that_always_agrees_counts_once():
    found = clustered(*episodes([7, 0] * 40, [7] * 80))
    assert 560 / found.design_effect == pytest.approx(79)


def test_the_order_and_the_names_of_clusters_do_not_matter():
    success, clusters = episodes([8, 5, 9, 2, 7, 10], [10] * 6)
    order = np.random.default_rng(0).permutation(len(success))
    found, other = clustered(success, clusters), clustered(success[order], -17 * clusters[order])
    assert astuple(other) == pytest.approx(astuple(found))


def test_coverage_where_contexts_are_shared():
    # each of 40 contexts has a rate of its own, Beta(2, 3), and 10 episodes: Wilson's interval holds the mean
    # in three of four draws
    rng = np.random.default_rng(0)
    draws = rng.binomial(10, rng.beta(2, 3, size=(150, 40)))
    held, plain = 0, 0
    for successes in draws:
        found = clustered(*episodes(successes, [10] * 40))
        naive = wilson(int(successes.sum()), 400)
        held += found.ci_low <= 0.4 <= found.ci_high
        plain += naive.ci_low <= 0.4 <= naive.ci_high
    assert 0.92 <= held / 150 <= 0.99
    assert plain / 150 < 0.85


@pytest.mark.parametrize("successes", [[0, 0], [5, 5]])
def test_a_rate_of_0_or_1_has_no_design_effect(successes):
    found = clustered(*episodes(successes, [5, 5]))
    assert found.rate == successes[0] / 5
    unknown = (found.design_effect, found.ci_low, found.ci_high)
    assert all(math.isnan(value) for value in unknown)


def test_equal_clusters_show_no_variance_to_compute_with():
    found = clustered(*episodes([1, 2, 3], [3, 6, 9]))
    assert found.design_effect == 0
    assert math.isnan(found.ci_low)
    assert math.isnan(found.ci_high)


def test_bad_arguments_raise():
    success, clusters = np.array([True, False]), np.array([0, 1])
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, got 1"):
        clustered(success, clusters, confidence=1)
    with pytest.raises(ValueError, match="clusters must name at least 2 clusters, got 1"):
        clustered(success, np.array([3, 3]))
    with pytest.raises(ValueError, match="clusters must name at least 2 clusters, got 0"):
        clustered(success[:0], clusters[:0])
    for wrong in (np.array([0, 1, 2]), np.array([[0, 1]])):
        with pytest.raises(ValueError, match=r"must be of the same shape \(n,\), got \(2,\) and"):
            inspect.unwrap(clustered)(success, wrong)
