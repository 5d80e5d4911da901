"""Codes against all partitions of tiny worlds, and success against a receiver who plays."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rate_cases import (
    MAX_SIGMA,
    TINY,
    TINY_RATES,
    exact_success,
    law_of,
    optimum,
    partitions,
    sets_of_candidates,
    tiny_game,
    tiny_world,
)

from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialGame
from parley.envs.world import objects_world
from studies.rate_limit.bound import fewest_collisions, success_bound, upper_bound
from studies.rate_limit.codes import (
    SampledGame,
    best_code,
    draw_candidates,
    improve,
    measure,
    product_cells,
    product_code,
    product_collisions,
    sample_game,
    word_code,
)


@pytest.mark.parametrize(("num_values", "num_candidates", "probability", "num_messages"), TINY_RATES)
def test_the_search_finds_the_best_of_all_codes(num_values, num_candidates, probability, num_messages):
    game = tiny_game(num_values, num_candidates, probability)
    found = best_code(game, num_messages=num_messages, rng=np.random.default_rng(2), effort=4)
    assert len(np.unique(found.cells)) <= num_messages
    exact = exact_success(found.cells.tolist(), num_values, num_candidates, probability)
    assert exact == pytest.approx(optimum(num_values, num_candidates, probability, num_messages), abs=1e-12)
    assert abs(found.success - exact) <= MAX_SIGMA * found.standard_error + 1e-12


@pytest.mark.parametrize(("num_values", "num_candidates", "probability"), TINY)
def test_collisions_are_counted_exactly_and_never_below_the_linear_program(
    num_values, num_candidates, probability
):
    game = tiny_game(num_values, num_candidates, probability)
    chances = sets_of_candidates(num_values, num_candidates, probability)
    for num_messages in range(1, game.law.size + 1):
        least = fewest_collisions(game.law, game.law.pair, num_messages)
        for cells in itertools.islice(partitions(game.law.size, num_messages), 0, None, 7):
            colliding = sum(
                p * np.mean([cells[x] == cells[y] for x, y in itertools.combinations(drawn, 2)])
                for drawn, p in chances.items()
            )
            assert game.collisions(np.array(cells)) == pytest.approx(colliding, abs=1e-6)
            assert colliding >= least - 1e-9


@pytest.mark.parametrize("num_candidates", [2, 5])
def test_one_message_is_chance_and_a_message_for_each_referent_is_enough(num_candidates):
    world = objects_world()
    bound = partial(upper_bound, world, num_candidates=num_candidates)
    assert bound(num_messages=1) == 1 / num_candidates
    assert bound(num_messages=world.size) == bound(num_messages=10**9) == 1.0
    game = tiny_game((3, 4), num_candidates, 0.5)
    for num_messages, success in [(1, 1 / num_candidates), (12, 1.0), (13, 1.0)]:
        found = best_code(game, num_messages=num_messages, rng=np.random.default_rng(0))
        product = product_code(game, num_messages=num_messages)
        assert found[1:] == product.code[1:] == (success, 0.0)
    assert product_code(game, num_messages=12).groups == (3, 4)


def test_codes_get_better_with_messages():
    game = tiny_game((3, 4, 4), 4, 0.5)
    found = [best_code(game, num_messages=m, rng=np.random.default_rng(m)) for m in (1, 2, 4, 8, 16, 32, 48)]
    products = [product_code(game, num_messages=m).code for m in (1, 2, 4, 8, 16, 32, 48)]
    for codes in (found, products):
        assert np.diff([code.success for code in codes]).min() > 0
    for best, product in zip(found, products, strict=True):
        assert best.success >= product.success - MAX_SIGMA * product.standard_error
    for m, best in zip((1, 2, 4, 8, 16, 32, 48), found, strict=True):
        assert best.success <= success_bound(game.law, m) + MAX_SIGMA * best.standard_error


def test_the_search_beats_random_codes_and_products():
    game = tiny_game((4, 4, 4), 4, 0.5)
    found = best_code(game, num_messages=4, rng=np.random.default_rng(0), effort=1)
    random = game.measure(np.random.default_rng(1).integers(4, size=64))
    assert found.success > random.success + 0.01
    assert found.success > product_code(game, num_messages=4).code.success + 0.01
    # the sum of the value numbers modulo 4 tells all neighbours apart; nothing collides less
    least = fewest_collisions(game.law, game.law.pair, 4)
    assert game.collisions(game.law.referents.sum(axis=1) % 4) == pytest.approx(least, abs=1e-6)
    assert game.collisions(found.cells) == pytest.approx(least, abs=2e-3)


@pytest.mark.parametrize("num_messages", [3, 7, 20])
def test_no_move_of_one_referent_improves_an_improved_code(num_messages):
    game, rng = tiny_game((3, 4, 4), 4, 0.5), np.random.default_rng(3)
    start = rng.integers(num_messages, size=48)
    before = start.copy()
    cells = improve(game, start, num_messages, rng)
    met = game.meets @ np.eye(num_messages)[cells]  # (size, M) what each referent meets in each cell
    assert (met[np.arange(48), cells] <= met.min(axis=1) + 1e-5).all()
    assert game.collisions(cells) < game.collisions(start) - 0.01
    assert np.array_equal(start, before)


def test_a_search_improves_its_starts():
    game = tiny_game((5, 5, 5), 3, 0.5)  # a world in which weighted sums leave something to gain
    found = best_code(game, num_messages=9, rng=np.random.default_rng(0), effort=1).cells
    assert np.array_equal(improve(game, found, 9, np.random.default_rng(1)), found)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), num_messages=st.integers(1, 6))
def test_success_is_that_of_a_receiver_who_guesses_among_the_named(seed, num_messages):
    rng = np.random.default_rng(seed)
    game = tiny_game((2, 3), 3, 0.5)
    cells = rng.integers(num_messages, size=6)
    successes = []
    for candidates in game.fresh:
        target = candidates[rng.integers(3)]
        named = [c for c in candidates if cells[c] == cells[target]]
        successes.append(named[rng.integers(len(named))] == target)
    measured = measure(cells, game.fresh)
    sigma = math.sqrt(0.25 / len(successes))
    assert abs(np.mean(successes) - measured.success) <= MAX_SIGMA * sigma
    assert measured.success == pytest.approx(
        np.mean([len(set(cells[candidates])) for candidates in game.fresh]) / 3
    )


def test_the_control_variate_is_unbiased_and_narrows_the_error():
    law, world, cells = law_of((3, 4), 4, 0.7), tiny_world((3, 4)), np.arange(12) % 3
    exact = exact_success(cells.tolist(), (3, 4), 4, 0.7)
    plain, corrected = [], []
    for seed in range(40):
        game = sample_game(world, law, 100, np.random.default_rng(seed))
        plain.append(measure(cells, game.fresh))
        corrected.append(game.measure(cells))
    assert np.mean([c.standard_error for c in corrected]) < np.mean([p.standard_error for p in plain]) / 2
    for codes in (plain, corrected):
        errors = np.array([(code.success - exact) / code.standard_error for code in codes])
        assert abs(errors.mean()) < MAX_SIGMA / math.sqrt(40)
        assert 0.6 < errors.std() < 1.5


def test_codes_are_chosen_and_measured_on_different_episodes():
    game, cells = tiny_game((2, 3), 4, 0.7), np.array([0, 1, 2, 1, 0, 0])
    shared = game.collisions(cells)
    chosen, fresh = (measure(cells, drawn, collisions=shared)[1:] for drawn in (game.choosing, game.fresh))
    assert (game.try_out(cells), game.measure(cells)[1:]) == (chosen[0], fresh)
    assert chosen != fresh


def test_an_error_is_never_0_for_want_of_a_rare_episode():
    law = law_of((2, 3), 2, 0.5)  # of two candidates none is a third: D = N - P in every episode
    game = sample_game(tiny_world((2, 3)), law, 50, np.random.default_rng(0))
    assert game.measure(np.array([0, 0, 1, 1, 2, 2])).standard_error == 1 / 50 / 2


def test_words_name_whole_attributes():
    game = tiny_game((2, 3, 5), 4, 0.5)
    words = [word_code(game, j) for j in range(4)]
    assert [word.groups for word in words] == [(1, 1, 1), (1, 1, 5), (1, 3, 5), (2, 3, 5)]
    assert words[0].code.success == 0.25
    assert words[3].code.success == 1.0
    assert np.array_equal(words[1].code.cells, game.law.referents[:, 2])


@pytest.mark.parametrize("num_messages", range(1, 12))
def test_no_product_of_groups_is_better(num_messages):
    game = tiny_game((3, 4), 3, 0.5)
    fitting = [g for g in itertools.product(range(1, 4), range(1, 5)) if math.prod(g) <= num_messages]
    exact = {g: exact_success(product_cells(game.law, g), (3, 4), 3, 0.5) for g in fitting}
    chosen = product_code(game, num_messages=num_messages)
    assert exact[chosen.groups] == pytest.approx(max(exact.values()), abs=3e-3)
    assert abs(chosen.code.success - exact[chosen.groups]) <= MAX_SIGMA * chosen.code.standard_error + 1e-12


def test_collisions_of_products_follow_from_the_patterns():
    game = tiny_game((3, 4, 4), 4, 0.5)
    for groups in [(1, 1, 1), (2, 3, 1), (3, 2, 4), (3, 4, 4)]:
        counted = game.collisions(product_cells(game.law, groups))
        assert product_collisions(game.law, groups) == pytest.approx(counted, abs=1e-6)


def test_groups_are_as_even_as_they_can_be():
    law = law_of((6, 8), 2, 0.5)
    cells = product_cells(law, (4, 3)).reshape(6, 8)
    assert np.array_equal(cells[:, 0] // 3, [0, 0, 1, 2, 2, 3])
    assert np.array_equal(cells[0] % 3, [0, 0, 0, 1, 1, 1, 2, 2])


def test_episodes_are_those_of_the_sampler():
    world, law = objects_world(), law_of((6, 8, 8, 8), 5, 0.5)
    drawn = draw_candidates(world, law, "test", 20, np.random.default_rng(4))
    sampler, rng = ReferentialGame(world, EpisodeConfig(split="test")), np.random.default_rng(4)
    assert np.array_equal(drawn, [world.index(sampler.draw(rng).candidates) for _ in range(20)])
    whole = sample_game(world, law, 400, np.random.default_rng(4))
    assert not np.array_equal(whole.choosing, whole.fresh)
    assert len(np.unique(whole.fresh)) > 614  # the size of the test split


def test_sampled_pairs_follow_the_law():
    world, law = tiny_world((3, 4, 5)), law_of((3, 4, 5), 5, 0.4)
    drawn = law.referents[draw_candidates(world, law, "train", 4_000, np.random.default_rng(5))]
    differ = (drawn[:, :, None] != drawn[:, None]) @ np.array([4, 2, 1])
    counts = np.stack([(differ == pattern).sum(axis=(1, 2)) / 20 for pattern in range(1, 8)])
    sigma = counts.std(axis=1) / math.sqrt(4_000)
    assert (abs(counts.mean(axis=1) - law.pair[1:]) <= MAX_SIGMA * sigma).all()


def test_a_game_keeps_its_matrix_of_meetings():
    game = tiny_game((2, 3), 3, 0.3)
    assert isinstance(game, SampledGame)
    np.testing.assert_allclose(game.meets.sum(axis=1), 1, atol=1e-6)
    assert (np.diag(game.meets) == 0).all()
    assert np.array_equal(game.meets, game.meets.T)
