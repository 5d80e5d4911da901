"""The environment keeps PettingZoo's contracts, for whole rollouts too."""

import pickle
from functools import partial

import numpy as np
import pytest
from gymnasium.spaces import Discrete, MultiDiscrete, Text
from gymnasium.utils.env_checker import data_equivalence
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, render_test, seed_test
from pettingzoo.utils.conversions import parallel_to_aec
from referential_cases import (
    LETTERS,
    WORLD,
    actions,
    each_interface,
    each_length,
    each_space,
    play_aec,
    play_parallel,
)

from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialGame
from parley.envs.referential_v0 import AGENTS, RECEIVER, SENDER, env, parallel_env, raw_env

# PettingZoo's advice for fixed-size box games; none of it can hold where agents differ in kind.
api_advice = [
    pytest.mark.filterwarnings(f"ignore:{start}:UserWarning")
    for start in (
        "Observation is not a NumPy array",
        "Observation space for each agent probably should be",
        "Action space for each agent probably should be",
        "Agents have different observation space sizes",
    )
]


def advised(test):
    for mark in api_advice:
        test = mark(test)
    return test


# --- PettingZoo's own contracts ---


@advised
@each_space
@each_length
@pytest.mark.parametrize("make", [env, raw_env])
def test_aec_api(make, message_space, num_rounds):
    api_test(make(message_space=message_space, num_rounds=num_rounds))


@each_space
@each_length
def test_parallel_api(message_space, num_rounds):
    parallel_api_test(parallel_env(message_space=message_space, num_rounds=num_rounds))


@each_space
@each_length
def test_seeds(message_space, num_rounds):
    arguments = {"message_space": message_space, "num_rounds": num_rounds}
    seed_test(partial(env, **arguments))
    parallel_seed_test(partial(parallel_env, **arguments))


@each_space
@each_length
def test_render_api(message_space, num_rounds):
    render_test(partial(env, message_space=message_space, num_rounds=num_rounds))


@advised
def test_the_parallel_interface_converts():
    api_test(parallel_to_aec(parallel_env(num_rounds=2)))


def test_metadata():
    assert env().metadata["name"] == "referential_v0"
    assert parallel_env.metadata["render_modes"] == ["human", "ansi"]
    assert raw_env.metadata["is_parallelizable"] is False
    assert str(raw_env()) == str(parallel_env()) == str(env()) == "referential_v0"
    assert env().possible_agents == parallel_env().possible_agents == ["sender_0", "receiver_0"]


# --- rollouts: PettingZoo's checks stop after one episode or one step ---


@each_space
def test_same_seed_and_actions_give_the_same_rollout_in_both_interfaces(message_space):
    arguments = {"message_space": message_space, "num_rounds": 25}
    plan = actions(env(**arguments), 25, seed=3)
    rollout = play_aec(env(**arguments), plan, seed=11)
    assert data_equivalence(rollout, play_aec(env(**arguments), plan, seed=11))
    assert data_equivalence(rollout, play_aec(raw_env(**arguments), plan, seed=11))
    assert data_equivalence(rollout, play_parallel(parallel_env(**arguments), plan, seed=11))
    assert not data_equivalence(rollout, play_aec(env(**arguments), plan, seed=12))
    game = env(**arguments)
    for observations, *_ in rollout:
        for agent in AGENTS:
            assert game.observation_space(agent).contains(observations[agent])


def test_without_a_seed_the_stream_goes_on():
    first, second = raw_env(num_rounds=5), parallel_env(num_rounds=5)
    plan = actions(first, 5, seed=0)
    begun = play_aec(first, plan, seed=5)
    continued = play_aec(first, plan)
    assert not data_equivalence(begun, continued)
    assert not data_equivalence(continued, play_aec(first, plan))
    play_parallel(second, plan, seed=5)
    assert data_equivalence(continued, play_parallel(second, plan))
    assert data_equivalence(begun, play_aec(first, plan, seed=5))


def test_without_any_seed_two_environments_differ():
    plan = actions(env(num_rounds=5), 5, seed=0)
    first, second = (play_aec(env(num_rounds=5), plan) for _ in range(2))
    assert not data_equivalence(first, second)


def test_a_game_cut_off_anywhere_can_be_reset():
    game = raw_env(num_rounds=2)
    plan = actions(game, 2, seed=0)
    whole = play_aec(game, plan, seed=1)
    for num_steps in range(6):
        game.reset(seed=0)
        for action in [*(a for pair in plan for a in pair), None, None][:num_steps]:
            game.step(action)
        assert data_equivalence(whole, play_aec(game, plan, seed=1))
        game.step(None)
        assert game.agents == [RECEIVER]
        game.step(None)
        assert game.agents == []


def test_the_first_episode_of_seed_0_is_the_one_of_record():
    # gymnasium's np_random(0) and numpy's default_rng(0) are the same PCG64 stream.
    expected = ReferentialGame(WORLD, EpisodeConfig()).draw(np.random.default_rng(0))
    observations, _ = parallel_env().reset(seed=0)
    assert np.array_equal(observations[RECEIVER]["candidates"], expected.candidates)
    assert observations[SENDER]["target"].tolist() == [1, 1, 1, 0]  # small orange wood cube


# --- spaces ---


@each_interface
def test_spaces_are_the_same_object_and_never_shared(make):
    given = Text(5, charset=LETTERS)
    first, second = make(message_space=given), make(message_space=given)
    spaces = [given]
    for game in (first, second):
        for agent in AGENTS:
            assert game.observation_space(agent) is game.observation_space(agent)
            assert game.action_space(agent) is game.action_space(agent)
            spaces += [game.action_space(agent), *game.observation_space(agent).spaces.values()]
        assert game.action_space(SENDER) == game.observation_space(RECEIVER)["message"] == given
    generators = {id(space.np_random) for space in spaces}
    assert len(generators) == len(spaces) == 15
    assert first.action_space(RECEIVER) == Discrete(5)
    assert first.observation_space(RECEIVER)["candidates"] == MultiDiscrete([[6, 8, 8, 8]] * 5)
    assert first.observation_space(SENDER)["target"] == MultiDiscrete([6, 8, 8, 8])


def test_seeding_one_environment_leaves_another_alone():
    space = Discrete(1_000_000)
    first, second = raw_env(message_space=space), raw_env(message_space=space)
    second.action_space(SENDER).seed(1)
    expected = Discrete(1_000_000, seed=1).sample()
    first.action_space(SENDER).seed(2)
    first.observation_space(RECEIVER).seed(3)
    space.seed(4)
    assert second.action_space(SENDER).sample() == expected


@each_interface
def test_environments_pickle_in_mid_game(make):
    game = make(num_rounds=3)
    game.reset(seed=0)
    message = np.array([1, 2, 3, 4])
    game.step({SENDER: message} if make is parallel_env else message)
    copy = pickle.loads(pickle.dumps(game.unwrapped))
    for agent in AGENTS:
        assert data_equivalence(copy.observe(agent), game.observe(agent))
    for played in (copy, game):
        played.step({RECEIVER: 1} if make is parallel_env else 1)
    assert data_equivalence(copy.observe(RECEIVER), game.observe(RECEIVER))
