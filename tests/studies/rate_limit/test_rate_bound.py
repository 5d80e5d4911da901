"""The bound against all partitions of tiny worlds, and the law of the candidates against all orders."""

import itertools
import math

import numpy as np
import pytest
from rate_cases import TINY, TINY_RATES, law_of, optimum, sets_of_candidates

from parley.envs.world import objects_world
from studies.rate_limit.bound import SLACK, bound_by_cells, bound_by_pairs, success_bound, upper_bound


@pytest.mark.parametrize(("num_values", "num_candidates", "probability", "num_messages"), TINY_RATES)
def test_the_bound_is_above_the_best_of_all_codes(num_values, num_candidates, probability, num_messages):
    law = law_of(num_values, num_candidates, probability)
    best = optimum(num_values, num_candidates, probability, num_messages)
    assert best - 1e-12 <= success_bound(law, num_messages) <= 1
    if 1 < num_messages < law.size:
        assert best <= bound_by_pairs(law, num_messages)
        assert best <= bound_by_cells(law, num_messages)


@pytest.mark.parametrize(("num_values", "num_candidates", "probability"), TINY)
def test_the_law_of_a_pair_is_that_of_all_orders(num_values, num_candidates, probability):
    law = law_of(num_values, num_candidates, probability)
    expected = np.zeros(2 ** len(num_values))
    for drawn, chance in sets_of_candidates(num_values, num_candidates, probability).items():
        for x, y in itertools.combinations(drawn, 2):
            differ = (law.referents[x] != law.referents[y]) @ (2 ** np.arange(len(num_values))[::-1])
            expected[differ] += chance / math.comb(num_candidates, 2)
    np.testing.assert_allclose(law.pair, expected, atol=1e-9)


def hit_chance(cell, base, law):
    """The chance that a cell holds one of the N first distinct variants, over all orders."""
    differ = (law.referents != law.referents[base]) @ (2 ** np.arange(len(law.num_values))[::-1])
    rates, hit = law.rates[differ], 0.0
    for order in itertools.permutations(range(law.size), law.num_candidates):
        chance, left = 1.0, 1.0
        for referent in order:
            chance *= rates[referent] / left
            left -= rates[referent]
        hit += chance * bool(cell & set(order))
    return float(rates[list(cell)].sum()), hit


@pytest.mark.parametrize(("num_values", "num_candidates", "probability"), TINY[:5])
def test_no_cell_is_hit_more_often_than_its_limit(num_values, num_candidates, probability):
    law = law_of(num_values, num_candidates, probability)
    touched = 0
    for num_members in range(1, law.size - num_candidates + 1):
        for cell in itertools.combinations(range(law.size), num_members):
            weight, hit = hit_chance(set(cell), 0, law)
            assert hit <= law.hit_limit(weight) + 1e-9
            if 0 in cell:
                limit = law.hit_limit(weight, with_base=True)
                assert hit <= limit + 1e-9
                touched += hit == pytest.approx(limit, abs=1e-9)
    assert touched  # some cell leaves exactly the heaviest referents outside


@pytest.mark.parametrize(
    "law", [law_of((6, 8, 8, 8), 5, 0.5), law_of((3, 4), 3, 0.2), law_of((4, 4), 4, 1.0)]
)
def test_the_limit_of_a_cell_is_concave(law):
    base = float(law.rates[0])
    weights = np.linspace(0.0003, 0.9, 200)
    alone = [law.hit_limit(q) for q in weights]
    joined = [law.hit_limit(base + (1 - base) * q, with_base=True) for q in weights]
    assert np.diff(alone).min() > -1e-12
    assert np.diff(alone, 2).max() < 1e-9
    assert np.diff(joined, 2).max() < 1e-9


def test_the_bound_by_cells_is_the_highest_over_all_weights_of_the_base_s_cell():
    # F rises from 1.99596 at the least weight, 0.745, to 2 at 0.798: both cells hit in every episode
    assert bound_by_cells(law_of((2, 3), 3, 0.3), 2) == pytest.approx(2 / 3 + SLACK, abs=1e-9)


def test_candidates_that_are_all_referents_are_told_apart_as_far_as_messages_go():
    assert [success_bound(law_of((2, 3), 6, 0.5), m) for m in (1, 2, 5, 6)] == [1 / 6, 2 / 6, 5 / 6, 1.0]


def test_the_bound_of_the_default_game():
    # 0.7919 +- 0.0003 and 0.9494 +- 0.0001 are reached by codes that the search finds (seed 0)
    bounds = [upper_bound(objects_world(), num_messages=2**b) for b in (1, 3, 5, 8)]
    np.testing.assert_allclose(bounds, [0.38930, 0.79278, 0.95250, 0.99855], atol=1e-5)


def test_the_bound_rises_with_messages_from_chance_to_certainty():
    law = law_of((3, 4, 4), 4, 0.5)
    bounds = [success_bound(law, m) for m in (*range(1, 16), 24, 36, 47, 48)]
    assert np.diff(bounds).min() >= -SLACK
    assert (bounds[0], bounds[-1]) == (0.25, 1.0)
    assert all(bound < 1 for bound in bounds[:-1])
