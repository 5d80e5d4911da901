"""A world of listed referents: numbers, splits, words, and combinations that nobody listed."""

import re

import numpy as np
import pytest
from listed_cases import BIRDS, NAMES, bird_world

from parley.envs.listed_world import ListedWorld
from parley.envs.referential_v0 import RECEIVER, SENDER, parallel_env
from parley.envs.world import SPLITS, Attribute, World

WORLD = bird_world()
UNLISTED = np.array([0, 1, 0])  # a barn owl that is a crow


def everyone(world):
    return world.at(np.arange(world.size))


def test_referents_are_numbered_as_they_are_listed():
    assert WORLD.size == 12
    assert WORLD.index(everyone(WORLD)).tolist() == list(range(12))
    assert [WORLD.words(referent) for referent in everyone(WORLD)] == BIRDS
    assert WORLD.describe(everyone(WORLD)[3]) == "rook crows 4"
    assert WORLD.facts(everyone(WORLD)[3]) == (("bird", "rook"), ("family", "crows"), ("clutch", "4"))


def test_values_stand_in_the_order_in_which_they_first_occur():
    assert [attribute.values for attribute in WORLD.attributes[1:]] == [
        ("owls", "crows", "flycatchers"),
        ("5", "3", "4", "6"),
    ]
    assert WORLD.num_values.tolist() == [12, 3, 4]
    assert everyone(WORLD).dtype == np.int64


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3)])
def test_what_is_not_listed_has_the_index_minus_1_in_any_shape(shape):
    assert WORLD.index(np.broadcast_to(UNLISTED, (*shape, 3))).tolist() == np.full(shape, -1).tolist()
    rook = everyone(WORLD)[3]
    assert WORLD.index(np.broadcast_to(rook, (*shape, 3))).tolist() == np.full(shape, 3).tolist()


@pytest.mark.parametrize("values", [(99, 0, 0), (-1, 0, 0)])
def test_values_that_there_are_not_are_no_referent(values):
    assert WORLD.index(np.array(values)) == -1


def test_what_is_not_listed_is_in_no_split():
    assert not any(WORLD.in_split(UNLISTED, split) for split in SPLITS)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_splits_are_disjoint_and_cover_the_list(seed):
    world = bird_world(split_seed=seed)
    indices = [world.index(world.referents(split)) for split in SPLITS]
    assert [len(part) for part in indices] == [7, 3, 2]
    assert sorted(np.concatenate(indices).tolist()) == list(range(12))
    for split, part in zip(SPLITS, indices, strict=True):
        assert part.tolist() == sorted(part.tolist())
        for other in SPLITS:
            assert (world.in_split(world.referents(split), other) == (other == split)).all()


def test_a_list_of_all_combinations_is_divided_as_their_world_is():
    attributes = tuple(Attribute(name=n, values=("1", "2", "3")) for n in "abc")
    grid = World(name="grid", attributes=attributes, split_seed=9)
    words = tuple(grid.words(referent) for referent in grid.at(np.arange(grid.size)))
    listed = ListedWorld(name="listed", attributes=attributes, split_seed=9, listed=words)
    assert ListedWorld.of("listed", "abc", words).attributes == attributes
    for split in SPLITS:
        assert np.array_equal(listed.referents(split), grid.referents(split))


def test_there_may_be_more_combinations_than_numbers():
    names = [f"a{i}" for i in range(30)]
    world = ListedWorld.of("wide", names, [[f"v{line}" for _ in names] for line in range(12)])
    assert (
        world.index(world.referents("test")).tolist()
        == np.flatnonzero(world.in_split(everyone(world), "test")).tolist()
    )


@pytest.mark.parametrize(
    ("names", "listed", "message"),
    [
        (NAMES, [*BIRDS, ("crane", "cranes")], "referent 13 must have 3 values, got 2"),
        (NAMES, [*BIRDS, BIRDS[2]], "referents 3 and 13 read the same"),
        (("a", "b"), [("x", "y z"), ("x y", "z"), *[(str(i), "z") for i in range(9)]],
         "referents 1 and 2 read the same"),
        (NAMES, BIRDS[:8], "world 'made' is too small to split: of its 8 referents 1 are in the validation "
         "split, and an episode needs at least 2"),
        (NAMES, [], "world 'made' is too small to split: of its 0 referents 0 are in the train split"),
        (NAMES, [(bird, "birds", clutch) for bird, _, clutch in BIRDS],
         "attribute 'family' needs at least 2 distinct values, got ('birds',)"),
    ],
)  # fmt: skip
def test_a_list_that_makes_no_world_is_refused(names, listed, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ListedWorld.of("made", names, listed)


def test_a_value_that_the_attribute_has_not_is_refused():
    listed = (*WORLD.listed, ("barn owl", "cranes", "5"))
    with pytest.raises(ValueError, match=r"^referent 13: 'cranes' is no value of 'family'$"):
        bird_world(listed=listed)


def test_fractions_must_sum_to_1():
    message = "split_fractions must be positive and sum to 1, got (0.5, 0.2, 0.2)"
    with pytest.raises(ValueError, match=re.escape(message)):
        bird_world(split_fractions=(0.5, 0.2, 0.2))


def test_the_game_is_played_about_it():
    environment = parallel_env(world=WORLD, num_rounds=3)
    seen, _ = environment.reset(seed=0)
    for _ in range(3):
        assert all(environment.observation_space(agent).contains(seen[agent]) for agent in seen)
        seen, *_ = environment.step({SENDER: seen[SENDER]["target"], RECEIVER: 0})
        candidates = seen[RECEIVER]["candidates"].tolist()
        right = candidates.index(seen[RECEIVER]["message"].tolist())
        seen, rewards, *_ = environment.step({SENDER: seen[SENDER]["target"], RECEIVER: right})
        assert rewards == {SENDER: 1.0, RECEIVER: 1.0}
