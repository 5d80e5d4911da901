"""The splits are disjoint, complete and stable; referents and their names are one to one."""

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parley.envs.world import SPLITS, Attribute, World, objects_world


def make_world(sizes, **arguments):
    attributes = tuple(
        Attribute(name=f"a{i}", values=tuple(f"v{i}_{v}" for v in range(size)))
        for i, size in enumerate(sizes)
    )
    return World(name="made", attributes=attributes, **arguments)


@st.composite
def worlds(draw):
    sizes = draw(st.lists(st.integers(2, 6), min_size=3, max_size=4))
    fractions = draw(st.sampled_from([(0.6, 0.2, 0.2), (0.4, 0.3, 0.3), (0.2, 0.5, 0.3)]))
    try:
        return make_world(sizes, split_fractions=fractions, split_seed=draw(st.integers(0, 99)))
    except ValueError as error:
        assert "too small to split" in str(error)  # noqa: PT017 (the draw is retried)
        assume(False)


@given(world=worlds())
def test_splits_are_disjoint_cover_the_world_and_hold_every_value(world):
    indices = [world.index(world.referents(split)) for split in SPLITS]
    assert sorted(np.concatenate(indices).tolist()) == list(range(world.size))
    for split, fraction in zip(SPLITS, world.split_fractions, strict=True):
        referents = world.referents(split)
        assert abs(len(referents) - fraction * world.size) <= 1
        for position, size in enumerate(world.num_values):
            assert set(referents[:, position]) == set(range(size))
        for other in SPLITS:
            assert (world.in_split(referents, other) == (other == split)).all()


@given(world=worlds())
def test_index_numbers_each_referent_once_for_any_leading_shape(world):
    grid = np.stack(np.meshgrid(*map(np.arange, world.num_values), indexing="ij"), axis=-1)
    numbers = world.index(grid)
    assert numbers.shape == tuple(world.num_values)
    assert sorted(numbers.ravel().tolist()) == list(range(world.size))
    assert world.index(grid[0, 1, 0]).shape == grid.shape[3:-1]


@given(world=worlds())
def test_descriptions_are_one_to_one(world):
    referents = np.concatenate([world.referents(split) for split in SPLITS])
    assert len({world.describe(referent) for referent in referents}) == world.size


def test_objects_world_has_3072_referents_with_the_stated_names():
    world = objects_world()
    assert world.size == 3072
    assert world.num_values.tolist() == [6, 8, 8, 8]
    assert [len(world.referents(split)) for split in SPLITS] == [1843, 615, 614]
    referent = np.array([1, 0, 0, 0])
    assert world.describe(referent) == "small red metal cube"
    assert world.words(referent) == ("small", "red", "metal", "cube")
    assert world.facts(referent) == (
        ("size", "small"),
        ("colour", "red"),
        ("material", "metal"),
        ("shape", "cube"),
    )


def test_the_split_of_the_objects_world_is_the_one_of_record():
    # Computed once with numpy's PCG64 under split_seed 0; a change would move test referents into training.
    first = {split: objects_world().index(objects_world().referents(split))[:6].tolist() for split in SPLITS}
    assert first == {
        "train": [1, 2, 4, 5, 7, 11],
        "validation": [8, 15, 17, 19, 21, 23],
        "test": [0, 3, 6, 9, 10, 16],
    }


def test_the_split_follows_its_seed_alone():
    first, again, other = (make_world((6, 6, 6), split_seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.referents("test"), again.referents("test"))
    assert not np.array_equal(first.referents("test"), other.referents("test"))


@pytest.mark.parametrize("values", [("only",), ("twice", "twice")])
def test_attribute_needs_two_distinct_values(values):
    with pytest.raises(ValueError, match=r"attribute 'size' needs at least 2 distinct values, got "):
        Attribute(name="size", values=values)


@pytest.mark.parametrize("fractions", [(0.5, 0.2, 0.2), (0.8, 0.2, 0.0), (1.2, -0.1, -0.1)])
def test_fractions_must_be_positive_and_sum_to_1(fractions):
    message = f"split_fractions must be positive and sum to 1, got {fractions}"
    with pytest.raises(ValueError, match=re.escape(message)):
        make_world((6, 6, 6), split_fractions=fractions)


def test_a_world_too_small_to_split_says_what_is_missing():
    message = r"world 'made' is too small to split: \d of \d values of 'a\d' do not occur in the \w+ split"
    with pytest.raises(ValueError, match=message):
        make_world((2, 2))


def test_an_unknown_split_lists_the_valid_ones_and_the_nearest():
    message = "split must be one of train, validation, test, got 'tset', did you mean 'test'?"
    with pytest.raises(ValueError, match=re.escape(message)):
        objects_world().referents("tset")


def test_an_index_outside_the_world_raises():
    with pytest.raises(ValueError, match="invalid entry in coordinates array"):
        objects_world().index(np.array([6, 0, 0, 0]))


def test_the_game_imports_no_tensors():
    program = (
        "import sys; from parley.envs import batched, world, worlds, referential_v0;"
        "worlds.find_world('elements');"
        "print(sorted({'torch', 'transformers', 'peft', 'accelerate'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == "[]\n"
