"""Candidates are distinct, in their split and exchangeable; without a message success is 1/N."""

import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialEpisode, ReferentialGame
from parley.envs.world import SPLITS, objects_world

WORLD = objects_world()
NUM_DRAWS = 20_000
# Under the null hypothesis a count leaves this many standard deviations with probability 6e-5.
MAX_SIGMA = 4.0


@cache
def drawn(num_candidates, resample_probability=0.5):
    """Candidates (n, N, A) and targets (n,) of NUM_DRAWS episodes."""
    config = EpisodeConfig(num_candidates=num_candidates, resample_probability=resample_probability)
    sampler, rng = ReferentialGame(WORLD, config), np.random.default_rng(20_240)
    candidates, targets = zip(*(sampler.draw(rng) for _ in range(NUM_DRAWS)), strict=True)
    return np.stack(candidates), np.array(targets)


def assert_binomial(count, num_draws, probability):
    sigma = np.sqrt(num_draws * probability * (1 - probability))
    assert abs(count - num_draws * probability) <= MAX_SIGMA * sigma


def distances(candidates):
    """(n, N) Hamming distances of each candidate to the others of its episode, summed."""
    return (candidates[:, :, None] != candidates[:, None]).sum(axis=(2, 3))


def distances_to_mode(candidates):
    """(n, N) Hamming distances of each candidate to the attribute-wise most frequent values."""
    counts = (candidates[..., None] == np.arange(WORLD.num_values.max())).sum(axis=1)
    return (candidates != counts.argmax(axis=-1)[:, None]).sum(axis=-1)


MESSAGE_FREE_RECEIVERS = {
    "always first": lambda candidates: np.zeros(len(candidates), dtype=int),
    "always last": lambda candidates: np.full(len(candidates), candidates.shape[1] - 1),
    "most typical": lambda candidates: distances(candidates).argmin(axis=1),
    "odd one out": lambda candidates: distances(candidates).argmax(axis=1),
    "nearest to the mode": lambda candidates: distances_to_mode(candidates).argmin(axis=1),
    "lowest index": lambda candidates: WORLD.index(candidates).argmin(axis=1),
    "random": lambda candidates: np.random.default_rng(7).integers(candidates.shape[1], size=len(candidates)),
}


@pytest.mark.parametrize("num_candidates", [2, 5, 10])
@pytest.mark.parametrize("receiver", MESSAGE_FREE_RECEIVERS)
def test_without_a_message_success_is_chance(receiver, num_candidates):
    candidates, targets = drawn(num_candidates)
    successes = (MESSAGE_FREE_RECEIVERS[receiver](candidates) == targets).sum()
    assert_binomial(successes, NUM_DRAWS, 1 / num_candidates)


@pytest.mark.parametrize("num_candidates", [2, 5, 10])
def test_the_target_is_uniform(num_candidates):
    _, targets = drawn(num_candidates)
    counts = np.bincount(targets, minlength=num_candidates)
    assert len(counts) == num_candidates
    for count in counts:
        assert_binomial(count, NUM_DRAWS, 1 / num_candidates)


def test_the_order_of_candidates_is_exchangeable():
    # With few resampled attributes an order of acceptance would put the base referent first.
    candidates, _ = drawn(5, 0.15)
    for score in (distances_to_mode(candidates), WORLD.index(candidates)):
        unique = (score == score.min(axis=1, keepdims=True)).sum(axis=1) == 1
        counts = np.bincount(score[unique].argmin(axis=1), minlength=5)
        assert unique.sum() > NUM_DRAWS / 2
        for count in counts:
            assert_binomial(count, unique.sum(), 1 / 5)


def test_fewer_resampled_attributes_make_candidates_more_alike():
    shared = [(4 - distances(drawn(5, p)[0]).mean() / 4) / 4 for p in (0.15, 0.5)]
    assert shared[0] > 0.5 > shared[1] > 1 / 8


@given(
    num_candidates=st.integers(2, 10),
    resample_probability=st.floats(0.2, 1.0),
    split=st.sampled_from(SPLITS),
    seed=st.integers(0, 2**32),
)
def test_candidates_are_distinct_and_in_the_split(num_candidates, resample_probability, split, seed):
    config = EpisodeConfig(
        num_candidates=num_candidates, resample_probability=resample_probability, split=split
    )
    sampler = ReferentialGame(WORLD, config)
    episode = sampler.draw(np.random.default_rng(seed))
    assert episode.candidates.shape == (num_candidates, 4)
    assert episode.candidates.dtype == np.int64
    assert len(np.unique(episode.candidates, axis=0)) == num_candidates
    assert WORLD.in_split(episode.candidates, split).all()
    assert 0 <= episode.target < num_candidates
    assert np.array_equal(episode.sender_view, episode.candidates[episode.target])
    again = sampler.draw(np.random.default_rng(seed))
    assert again.target == episode.target
    assert np.array_equal(again.candidates, episode.candidates)


def test_a_split_as_large_as_the_candidate_set_can_be_played():
    config = EpisodeConfig(num_candidates=614, resample_probability=1.0, split="test")
    episode = ReferentialGame(WORLD, config).draw(np.random.default_rng(0))
    assert sorted(WORLD.index(episode.candidates)) == WORLD.index(WORLD.referents("test")).tolist()


def test_the_first_episode_of_seed_0_is_the_one_of_record():
    # Computed once with numpy's PCG64; a change of the sampler changes every stored result.
    episode = ReferentialGame(WORLD, EpisodeConfig()).draw(np.random.default_rng(0))
    assert [WORLD.describe(candidate) for candidate in episode.candidates] == [
        "giant orange wood cube",
        "giant orange glass cube",
        "large green stone cube",
        "medium orange wood cube",
        "small orange wood cube",
    ]
    assert episode.target == 4


def test_check_passes_a_drawn_episode_and_copies_it():
    sampler = ReferentialGame(WORLD, EpisodeConfig())
    episode = sampler.draw(np.random.default_rng(0))
    checked = sampler.check([episode])[0]
    assert checked.target == episode.target
    assert np.array_equal(checked.candidates, episode.candidates)
    assert not np.shares_memory(checked.candidates, episode.candidates)
    assert not np.shares_memory(checked.candidates, sampler.draw(np.random.default_rng(0)).candidates)


def broken_episodes():
    candidates = ReferentialGame(WORLD, EpisodeConfig()).draw(np.random.default_rng(0)).candidates
    outside = candidates.copy()
    outside[1] = WORLD.referents("test")[0]
    repeated = candidates.copy()
    repeated[0] = repeated[1]
    too_high, negative = candidates.copy(), candidates.copy()
    too_high[2, 0], negative[2, 0] = 6, -1
    return [
        (candidates[:4], 0, "candidates must be integers of shape (5, 4), got int64 of (4, 4)"),
        (candidates / 1, 0, "candidates must be integers of shape (5, 4), got float64 of (5, 4)"),
        (too_high, 0, "candidates must be in [0, [6 8 8 8]), got [["),
        (negative, 0, "candidates must be in [0, [6 8 8 8]), got [["),
        (outside, 0, f"candidates must be in the train split, got [{outside[1].tolist()}]"),
        (repeated, 0, f"candidates must be distinct, got {repeated.tolist()}"),
        (candidates, 5, "target must be in [0, 5), got 5"),
        (candidates, -1, "target must be in [0, 5), got -1"),
    ]


@pytest.mark.parametrize(("candidates", "target", "message"), broken_episodes())
def test_check_rejects_what_could_not_have_been_drawn(candidates, target, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ReferentialGame(WORLD, EpisodeConfig()).check([ReferentialEpisode(candidates, target)])[0]


def test_num_candidates_is_bounded_below():
    with pytest.raises(ValueError, match="num_candidates must be at least 2, got 1"):
        EpisodeConfig(num_candidates=1)


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.1, float("nan")])
def test_resample_probability_is_bounded(probability):
    with pytest.raises(
        ValueError, match=re.escape(f"resample_probability must be in [1e-09, 1], got {probability}")
    ):
        EpisodeConfig(resample_probability=probability)


def test_num_candidates_is_bounded_by_the_split():
    message = "num_candidates must be at most 614, the number of referents in the test split, got 615"
    with pytest.raises(ValueError, match=message):
        ReferentialGame(WORLD, EpisodeConfig(num_candidates=615, split="test"))


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'dev'"):
        ReferentialGame(WORLD, EpisodeConfig(split="dev"))
