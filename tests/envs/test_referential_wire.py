"""The wire is the only way from the target to the choice."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Text
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given, settings
from hypothesis import strategies as st
from referential_cases import (
    LETTERS,
    actions,
    each_interface,
    each_space,
    play_aec,
    play_parallel,
    sampled_episodes,
)

from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialEpisode
from parley.envs.referential_v0 import AGENTS, RECEIVER, SENDER, env, parallel_env, raw_env

EMPTY_MESSAGES = [
    (MultiDiscrete([4, 4]), np.array([0, 0])),
    (MultiDiscrete([4, 4], start=[2, -9]), np.array([2, -6])),
    (Discrete(7), np.int64(0)),
    (Discrete(3, start=-5), np.int64(-3)),
    (Box(-1.0, 1.0, (2,), np.float32), np.zeros(2, np.float32)),
    (Box(0.5, 1.0, (2,), np.float32), np.full(2, 0.5, np.float32)),
    (Text(9, min_length=0, charset=LETTERS), ""),
    (Text(9, min_length=3, charset="ba"), "aaa"),
]


@pytest.mark.parametrize(("space", "empty"), EMPTY_MESSAGES)
def test_before_the_message_the_receiver_has_an_empty_one(space, empty):
    game = raw_env(message_space=space)
    game.reset(seed=0)
    observation = game.observe(RECEIVER)
    assert data_equivalence(observation["message"], empty)
    assert space.contains(observation["message"])
    assert observation["heard"] == 0


@each_space
def test_phases_and_their_flags(message_space):
    game = parallel_env(message_space=message_space, num_rounds=2)
    observations, _ = game.reset(seed=0)
    for _ in range(2):
        empty = observations[RECEIVER]["message"]
        assert (observations[SENDER]["speaking"], observations[RECEIVER]["heard"]) == (1, 0)
        message = game.action_space(SENDER).sample()
        candidates = observations[RECEIVER]["candidates"]
        observations, *_ = game.step({SENDER: message, RECEIVER: 0})
        assert (observations[SENDER]["speaking"], observations[RECEIVER]["heard"]) == (0, 1)
        assert data_equivalence(observations[RECEIVER]["message"], message)
        assert np.array_equal(observations[RECEIVER]["candidates"], candidates)
        observations, *_ = game.step({SENDER: message, RECEIVER: 0})
    assert data_equivalence(observations[RECEIVER]["message"], message)
    assert data_equivalence(empty, game.reset()[0][RECEIVER]["message"])


@each_interface
def test_the_receiver_sees_nothing_that_depends_on_the_target(make):
    (episode,) = sampled_episodes(1, num_candidates=6)
    seen = []
    for target in range(6):
        game = make(config=EpisodeConfig(num_candidates=6))
        game.reset(seed=target, options={"episodes": [ReferentialEpisode(episode.candidates, target)]})
        before = game.observe(RECEIVER)
        message = np.zeros(4, dtype=np.int64)
        game.step({SENDER: message} if make is parallel_env else message)
        seen.append((before, game.observe(RECEIVER)))
        assert np.array_equal(game.observe(SENDER)["target"], episode.candidates[target])
    assert all(data_equivalence(seen[0], other) for other in seen)
    assert set(seen[0][0]) == {"candidates", "message", "heard"}


@each_interface
def test_the_sender_never_sees_the_candidates(make):
    (episode,) = sampled_episodes(1)
    referent = episode.sender_view
    others = [e for e in sampled_episodes(400, seed=1) if not (e.candidates == referent).all(axis=1).any()]
    seen = []
    for other in [episode, *others[:5]]:
        candidates = other.candidates.copy()
        candidates[episode.target] = referent
        game = make()
        game.reset(options={"episodes": [ReferentialEpisode(candidates, episode.target)]})
        seen.append(game.observe(SENDER))
        assert seen[-1]["target"].base is None  # a view would carry the candidates along
    assert all(data_equivalence(seen[0], observation) for observation in seen)
    assert set(seen[0]) == {"target", "speaking"}


def test_a_buffer_written_to_after_sending_changes_nothing():
    for space in (MultiDiscrete([9, 9]), Box(-1.0, 1.0, (2,), np.float32)):
        game = raw_env(message_space=space)
        game.reset(seed=0)
        message = np.ones(2, dtype=space.dtype)
        game.step(message)
        message[:] = 77
        assert game.observe(RECEIVER)["message"].tolist() == [1, 1]


def test_a_message_arrives_in_the_type_of_its_space():
    class Marked(str):
        secret = "the target"  # what a subclass carries must not cross

    for space, sent in (
        (MultiDiscrete([9, 9]), [3, 4]),
        (Discrete(9), 3),
        (Text(9, charset=LETTERS), Marked("red")),
    ):
        game = raw_env(message_space=space)
        game.reset(seed=0)
        game.step(sent)
        message = game.observe(RECEIVER)["message"]
        assert type(message) is type(space.sample())
        assert getattr(message, "dtype", str) == space.dtype


# --- rewards, infos and termination ---


@given(seed=st.integers(0, 2**31), num_rounds=st.integers(1, 6), num_candidates=st.integers(2, 8))
@settings(deadline=None, max_examples=40)
def test_rewards_infos_and_terminations_follow_the_choices(seed, num_rounds, num_candidates):
    config = EpisodeConfig(num_candidates=num_candidates)
    episodes = sampled_episodes(num_rounds, seed=seed, num_candidates=num_candidates)
    game = parallel_env(config=config, num_rounds=num_rounds)
    plan = actions(game, num_rounds, seed)
    steps = play_parallel(game, plan, options={"episodes": episodes})
    success = 0
    for number, (_, rewards, terminations, truncations, infos) in enumerate(steps):
        finished = number // 2
        if number and number % 2 == 0:
            success = int(plan[finished - 1][1] == episodes[finished - 1].target)
        expected_reward = float(success) if number and number % 2 == 0 else 0.0
        assert rewards == dict.fromkeys(AGENTS, expected_reward)
        assert infos == {agent: {"round": finished, "success": success} for agent in AGENTS}
        assert terminations == dict.fromkeys(AGENTS, number == 2 * num_rounds)
        assert truncations == dict.fromkeys(AGENTS, False)


def test_each_agent_collects_the_reward_once_in_the_cycle():
    episodes = sampled_episodes(3)
    game = env(num_rounds=3)
    game.reset(options={"episodes": episodes})
    collected = dict.fromkeys(AGENTS, 0.0)
    for agent in game.agent_iter():
        _, reward, terminated, _, info = game.last()
        collected[agent] += reward
        choice = episodes[info["round"] % 3].target
        game.step(None if terminated else choice if agent == RECEIVER else np.zeros(4, dtype=np.int64))
    assert collected == {SENDER: 3.0, RECEIVER: 3.0}


def match(observation):
    """The position of the candidate that the message names."""
    return int((observation["candidates"] == observation["message"]).all(axis=1).argmax())


@pytest.mark.parametrize("num_candidates", [2, 5, 10])
def test_naming_and_matching_always_succeeds_and_nothing_else_does(num_candidates):
    num_rounds = 300
    game = parallel_env(config=EpisodeConfig(num_candidates=num_candidates), num_rounds=num_rounds)
    informed = silent = 0.0
    observations, _ = game.reset(seed=1)
    while game.agents:
        message = observations[SENDER]["target"]
        observations, rewards, *_ = game.step({SENDER: message, RECEIVER: match(observations[RECEIVER])})
        informed += rewards[SENDER]
    game.reset(seed=1)
    while game.agents:
        _, rewards, *_ = game.step({SENDER: np.zeros(4, dtype=np.int64), RECEIVER: 0})
        silent += rewards[RECEIVER]
    assert informed == num_rounds
    chance = 1 / num_candidates
    assert abs(silent - num_rounds * chance) <= 4 * np.sqrt(num_rounds * chance * (1 - chance))


# --- given episodes ---


def test_given_episodes_are_played_as_given_in_every_environment():
    config = EpisodeConfig(num_candidates=3, split="test")
    episodes = sampled_episodes(4, num_candidates=3, split="test")
    for make, play in ((env, play_aec), (raw_env, play_aec), (parallel_env, play_parallel)):
        game = make(config=config, num_rounds=4)
        steps = play(game, actions(game, 4, seed=0), options={"episodes": episodes})
        for (observations, *_), episode in zip(steps[::2], episodes, strict=False):
            assert np.array_equal(observations[RECEIVER]["candidates"], episode.candidates)
            assert np.array_equal(observations[SENDER]["target"], episode.sender_view)
        game.reset()
        assert not np.array_equal(game.observe(RECEIVER)["candidates"], episodes[0].candidates)


def test_given_episodes_take_nothing_from_the_stream_and_are_not_written_to():
    game, other = parallel_env(), parallel_env()
    episodes = sampled_episodes(1)
    before = episodes[0].candidates.copy()
    game.reset(seed=9, options={"episodes": episodes})[0][RECEIVER]["candidates"][:] = 0
    assert np.array_equal(episodes[0].candidates, before)
    assert data_equivalence(game.reset()[0], other.reset(seed=9)[0])


@each_interface
def test_given_episodes_are_checked(make):
    game = make(num_rounds=2)
    with pytest.raises(ValueError, match="episodes must be num_rounds = 2 episodes, got 1"):
        game.reset(options={"episodes": sampled_episodes(1)})
    with pytest.raises(ValueError, match="candidates must be in the train split, got "):
        game.reset(options={"episodes": sampled_episodes(2, split="test")})
    with pytest.raises(ValueError, match=r"unknown option 'episode', did you mean 'episodes'\?"):
        game.reset(options={"episode": sampled_episodes(2)})
