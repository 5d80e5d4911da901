"""Errors name the argument, its bound and the value, and change nothing."""

import re
from functools import partial

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, Sequence, Text
from gymnasium.utils.env_checker import data_equivalence
from referential_cases import each_interface

from parley.envs.game import EpisodeConfig
from parley.envs.referential_v0 import AGENTS, RECEIVER, SENDER, parallel_env, raw_env


@each_interface
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_rounds": 0}, "num_rounds must be at least 1, got 0"),
        ({"render_mode": "rgb_array"}, "render_mode must be None, 'human' or 'ansi', got 'rgb_array'"),
        (
            {"message_space": Sequence(MultiBinary(4))},
            "message_space must be a MultiDiscrete, MultiBinary, Discrete, bounded Box or Text, or a Dict "
            "or Tuple of them, got Sequence(MultiBinary(4)",
        ),
        (
            {"message_space": Box(-np.inf, np.inf, (2,), np.float32)},
            "message_space must be a MultiDiscrete, MultiBinary, Discrete, bounded Box or Text, or a Dict "
            "or Tuple of them, got Box(",
        ),
        ({"config": EpisodeConfig(num_candidates=4000)}, "num_candidates must be at most 1843, "),
    ],
)
def test_bad_arguments(make, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**arguments)


@each_interface
@pytest.mark.parametrize(
    ("space", "bad", "message"),
    [
        (
            None,
            np.array([6, 0, 0, 0]),
            "message must be in MultiDiscrete([6 8 8 8]), got array([6, 0, 0, 0])",
        ),
        (
            None,
            np.zeros(3, dtype=np.int64),
            "message must be in MultiDiscrete([6 8 8 8]), got array([0, 0, 0])",
        ),
        (None, None, "message must be in MultiDiscrete([6 8 8 8]), got None"),
        (Discrete(4), 4, "message must be in Discrete(4), got 4"),
        (Text(4, charset="ab"), "abc", "message must be in Text(1, 4, charset=ab), got 'abc'"),
        (Text(4, charset="ab"), "ababa", "message must be in Text(1, 4, charset=ab), got 'ababa'"),
        (
            Box(-1.0, 1.0, (2,), np.float32),
            np.array([0.0, np.nan], dtype=np.float32),
            "message must be in Box(-1.0, 1.0, (2,), float32), got array([ 0., nan], dtype=float32)",
        ),
    ],
)
def test_a_bad_message_raises_and_changes_nothing(make, space, bad, message):
    game = make(message_space=space)
    game.reset(seed=0)
    before = game.observe(RECEIVER)
    with pytest.raises(ValueError, match=re.escape(message)):
        game.step({SENDER: bad, RECEIVER: 0} if make is parallel_env else bad)
    assert data_equivalence(game.observe(RECEIVER), before)


@each_interface
@pytest.mark.parametrize("bad", [5, -1, 1.0, None])
def test_a_bad_choice_raises_and_changes_nothing(make, bad):
    game = make()
    game.reset(seed=0)
    message = game.action_space(SENDER).sample()
    game.step({SENDER: message} if make is parallel_env else message)
    with pytest.raises(ValueError, match=re.escape(f"choice must be in [0, 5), got {bad}")):
        game.step({RECEIVER: bad} if make is parallel_env else bad)
    assert game.observe(RECEIVER)["heard"] == 1
    assert len(game.agents) == 2


def test_the_parallel_step_needs_the_action_of_the_phase_alone():
    game = parallel_env()
    game.reset(seed=0)
    with pytest.raises(ValueError, match=r"actions must hold an action of sender_0, got \['receiver_0'\]"):
        game.step({RECEIVER: 0})
    game.step({SENDER: np.zeros(4, dtype=np.int64), RECEIVER: "not a choice"})
    with pytest.raises(ValueError, match=r"actions must hold an action of receiver_0, got \[\]"):
        game.step({})
    game.step({SENDER: "not a message", RECEIVER: 0})
    assert game.agents == []


@pytest.mark.parametrize("make", [raw_env, parallel_env])
def test_calls_before_reset_and_after_the_end_say_so(make):
    game = make(render_mode="ansi")
    over = make()
    over.reset()
    for action in (np.zeros(4, dtype=np.int64), 0, None, None)[: 2 if make is parallel_env else 4]:
        over.step(dict.fromkeys(AGENTS, action) if make is parallel_env else action)
    for call in (
        partial(game.step, {}),
        partial(game.observe, SENDER),
        game.render,
        partial(over.step, {}),
    ):
        with pytest.raises(ValueError, match=re.escape("no round is in play: call reset() first")):
            call()


def test_render_without_a_mode_and_unknown_agents_raise():
    game = raw_env()
    game.reset()
    with pytest.raises(ValueError, match="render_mode must be 'human' or 'ansi' to render, got None"):
        game.render()
    with pytest.raises(ValueError, match="agent must be one of sender_0, receiver_0, got 'sender'"):
        game.observe("sender")


def test_a_terminated_agent_can_only_pass():
    game = raw_env()
    game.reset()
    game.step(np.zeros(4, dtype=np.int64))
    game.step(0)
    with pytest.raises(ValueError, match="the only valid action is None"):
        game.step(0)
