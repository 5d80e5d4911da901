"""A perfect policy wins every round under each of PettingZoo's conversions and wrappers, or is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pettingzoo.utils import conversions, wrappers

from parley.envs.referential_v0 import RECEIVER, SENDER, env, parallel_env, raw_env

to_aec, to_parallel = conversions.parallel_to_aec, conversions.aec_to_parallel
in_turns = conversions.turn_based_aec_to_parallel
AEC: dict[str, Callable[..., Any]] = {
    "env": env,
    "raw_env": raw_env,
    "parallel_to_aec": lambda **given: to_aec(parallel_env(**given)),
    "aec_wrapper_fn": conversions.aec_wrapper_fn(parallel_env),
    "turns and back": lambda **given: to_aec(in_turns(env(**given))),
    "base": lambda **given: wrappers.BaseWrapper(env(**given)),
    "bounds": lambda **given: wrappers.AssertOutOfBoundsWrapper(env(**given)),
    "printed": lambda **given: wrappers.CaptureStdoutWrapper(env(render_mode="human", **given)),
}
PARALLEL: dict[str, Callable[..., Any]] = {
    "parallel_env": parallel_env,
    "turn_based_aec_to_parallel": lambda **given: in_turns(env(**given)),
    "there and back": lambda **given: to_parallel(to_aec(parallel_env(**given))),
    "there, and converted": lambda **given: to_parallel(
        conversions.parallel_to_aec_wrapper(parallel_env(**given))
    ),
    "base": lambda **given: wrappers.BaseParallelWrapper(parallel_env(**given)),
}
NUM_ROUNDS = 3


def act(agent: str, observation: dict[str, Any]) -> Any:
    """The target itself is the message; the receiver picks it, or the first where it heard another."""
    if agent == SENDER:
        return observation["target"]
    return int(np.argmax((observation["candidates"] == observation["message"]).all(axis=1)))


def play_in_turns(game: Any, seed: int) -> float:
    paid = 0.0
    game.reset(seed=seed)
    for agent in game.agent_iter():
        observation, reward, terminated, truncated, _ = game.last()
        paid += reward if agent == RECEIVER else 0.0
        game.step(None if terminated or truncated else act(agent, observation))
    return paid


def play_together(game: Any, seed: int) -> float:
    paid = 0.0
    observations, _ = game.reset(seed=seed)
    while game.agents:
        played = {agent: act(agent, observations[agent]) for agent in game.agents}
        observations, rewards, *_ = game.step(played)
        paid += rewards[RECEIVER]
    return paid


@pytest.mark.parametrize("make", AEC.values(), ids=AEC)
def test_a_perfect_policy_succeeds_in_turns(make: Callable[..., Any]) -> None:
    assert [play_in_turns(make(num_rounds=NUM_ROUNDS), seed) for seed in range(5)] == [NUM_ROUNDS] * 5


@pytest.mark.parametrize("make", PARALLEL.values(), ids=PARALLEL)
def test_a_perfect_policy_succeeds_in_phases(make: Callable[..., Any]) -> None:
    assert [play_together(make(num_rounds=NUM_ROUNDS), seed) for seed in range(5)] == [NUM_ROUNDS] * 5


@pytest.mark.parametrize("make", [env, raw_env, parallel_env])
def test_several_episodes_in_one(make: Callable[..., Any]) -> None:
    parallel = make is parallel_env
    several = wrappers.MultiEpisodeParallelEnv if parallel else wrappers.MultiEpisodeEnv
    play = play_together if parallel else play_in_turns
    assert play(several(make(num_rounds=NUM_ROUNDS), 2), seed=0) == 2 * NUM_ROUNDS


def test_a_wrapper_leaves_other_environments_as_they_are() -> None:
    wrappers.CaptureStdoutWrapper(env(render_mode="human")).metadata["render_modes"].append("tape")
    assert env().metadata["render_modes"] == ["human", "ansi"]


@pytest.mark.parametrize("make", [env, raw_env])
def test_what_would_show_the_receiver_a_stale_message_is_refused(make: Callable[..., Any]) -> None:
    """`aec_to_parallel` lets all agents act on what they saw before any of them did."""
    assert make().metadata["is_parallelizable"] is False
    with pytest.raises(AssertionError, match="is_parallelizable"):
        to_parallel(make())
