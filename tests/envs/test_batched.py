"""The batched environment plays by the rules of `referential_v0`: both side by side, action by action."""

import numpy as np
import pytest
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given, settings
from hypothesis import strategies as st
from referential_cases import MESSAGE_SPACES, WORLD, sampled_episodes
from toy_game import NextNumber

from parley.envs.batched import BatchedEnv
from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialEpisode, ReferentialGame
from parley.envs.referential_v0 import parallel_env
from parley.envs.rules import AGENTS, RECEIVER, SENDER

GAMES = {"referential": ReferentialGame(WORLD, EpisodeConfig()), "toy": NextNumber()}


def one_of(values, row, size):
    """An episode's own part of what holds for B episodes."""
    assert len(values) == size
    return values[row]


def same(batch, single, row, size):
    """Whether B episodes' values hold, in one row, what a single environment says."""
    observations, rewards, terminations, truncations, infos = single
    for agent in AGENTS:
        seen = {name: one_of(values, row, size) for name, values in batch[0][agent].items()}
        assert seen.keys() == observations[agent].keys()
        assert all(
            data_equivalence(observations[agent][name], type(observations[agent][name])(value))
            if np.isscalar(value) and not isinstance(value, str)
            else np.array_equal(observations[agent][name], value)
            for name, value in seen.items()
        )
        told = {name: one_of(values, row, size) for name, values in batch[4][agent].items()}
        assert told == infos[agent]
        for ours, theirs in zip(batch[1:4], (rewards, terminations, truncations), strict=True):
            assert one_of(ours[agent], row, size) == theirs[agent]


@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES)
@pytest.mark.parametrize("name", ["referent", "codes", "symbol", "vectors", "text"])
@settings(max_examples=4)
@given(seed=st.integers(0, 2**31 - 1), size=st.integers(1, 7))
def test_it_plays_as_single_environments_do(game, name, seed, size):
    rng = np.random.default_rng(seed)
    space, episodes = MESSAGE_SPACES[name], game.draw_many(size, rng)
    many = BatchedEnv(game, space)
    singles = [parallel_env(game=game, message_space=space) for _ in range(size)]
    sampled = many.action_space(SENDER)
    sampled.seed(seed)
    messages, choices = [sampled.sample() for _ in episodes], rng.integers(game.num_choices, size=size)
    nothing = [dict.fromkeys(AGENTS, value) for value in (0.0, False, False)]

    observed, infos = many.reset(options={"episodes": episodes})
    empty = [{agent: [value] * size for agent in AGENTS} for value in (0.0, False, False)]
    for row, (single, episode) in enumerate(zip(singles, episodes, strict=True)):
        alone, told = single.reset(options={"episodes": [episode]})
        same((observed, *empty, infos), (alone, *nothing, told), row, size)
    for agent, actions in ((SENDER, messages), (RECEIVER, choices)):
        batch = many.step({agent: actions})
        for row, (single, action) in enumerate(zip(singles, actions, strict=True)):
            same(batch, single.step({agent: action}), row, size)
    assert many.agents == []


def test_the_game_s_own_rule_pays():
    game = NextNumber()
    episodes = game.draw_many(50, np.random.default_rng(0))
    env = BatchedEnv(game)
    env.reset(options={"episodes": episodes})
    env.step({SENDER: [episode.sender_view for episode in episodes]})
    rewards = env.step({RECEIVER: [episode.target for episode in episodes]}).rewards
    assert (rewards[SENDER] == 1).all()
    assert (rewards[RECEIVER] == 1).all()
    env.reset(options={"episodes": episodes})
    env.step({SENDER: [episode.sender_view for episode in episodes]})
    beside = [(episode.target + 1) % game.num_choices for episode in episodes]
    assert not env.step({RECEIVER: beside}).rewards[RECEIVER].any()


def test_a_seed_decides_what_is_drawn_and_without_one_it_goes_on():
    env = BatchedEnv(GAMES["referential"])
    first, _ = env.reset(seed=3, options={"num_episodes": 4})
    second, _ = env.reset(options={"num_episodes": 4})
    again, _ = env.reset(seed=3, options={"num_episodes": 4})
    assert first[RECEIVER]["candidates"].shape == (4, 5, 4)
    assert np.array_equal(first[RECEIVER]["candidates"], again[RECEIVER]["candidates"])
    assert not np.array_equal(first[RECEIVER]["candidates"], second[RECEIVER]["candidates"])


def test_what_crosses_is_a_copy_in_the_space_s_own_type():
    space, [episode] = MultiDiscrete([4, 4]), sampled_episodes(1)
    env = BatchedEnv(GAMES["referential"], space)
    env.reset(options={"episodes": [episode]})
    sent = np.array([1, 2, 9, 9])[:2]
    [delivered] = env.step({SENDER: [sent]}).observations[RECEIVER]["message"]
    sent[0] = 3
    assert delivered.tolist() == [1, 2]
    assert delivered.base is None


def test_errors_name_what_is_wrong_and_play_nothing():
    env = BatchedEnv(GAMES["referential"], Discrete(7))
    with pytest.raises(ValueError, match=r"no episodes are in play: call reset\(\) first"):
        env.step({SENDER: [0]})
    episodes = sampled_episodes(2)
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        env.reset(options={"episodes": []})
    with pytest.raises(ValueError, match=r"target must be in \[0, 5\), got 5"):
        env.reset(options={"episodes": [episodes[0], ReferentialEpisode(episodes[1].candidates, 5)]})
    env.reset(options={"episodes": episodes})
    with pytest.raises(ValueError, match=r"actions must hold actions of sender_0, got \['receiver_0'\]"):
        env.step({RECEIVER: [0, 0]})
    with pytest.raises(ValueError, match="sender_0 must act in all 2 episodes, got 1 actions"):
        env.step({SENDER: [0]})
    with pytest.raises(ValueError, match=r"message must be in Discrete\(7\), got 7"):
        env.step({SENDER: [0, 7]})
    env.step({SENDER: [0, 6]})
    with pytest.raises(ValueError, match=r"choice must be in \[0, 5\), got 5"):
        env.step({RECEIVER: [5, 0]})
    assert env.step({RECEIVER: [4, 0]}).terminations[RECEIVER].all()
