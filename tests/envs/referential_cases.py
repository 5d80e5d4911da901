"""What the tests of the referential environment share: message spaces, scripts and rollouts."""

import pickle
import string

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Text

from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialGame
from parley.envs.referential_v0 import AGENTS, RECEIVER, SENDER, env, parallel_env, raw_env
from parley.envs.world import objects_world

WORLD = objects_world()
LETTERS = string.ascii_lowercase + " "
MESSAGE_SPACES = {
    "referent": None,
    "codes": MultiDiscrete([64] * 4),
    "grid": MultiDiscrete([[3, 4], [5, 6]]),
    "symbol": Discrete(7),
    "vectors": Box(-4.0, 4.0, (3, 8), np.float32),
    "text": Text(12, min_length=0, charset=LETTERS),
    "wordy text": Text(12, min_length=2, charset=LETTERS),
}
each_space = pytest.mark.parametrize("message_space", MESSAGE_SPACES.values(), ids=MESSAGE_SPACES)
each_length = pytest.mark.parametrize("num_rounds", [1, 3])
each_interface = pytest.mark.parametrize("make", [env, raw_env, parallel_env])


def sampled_episodes(num_episodes, seed=0, **config):
    sampler, rng = ReferentialGame(WORLD, EpisodeConfig(**config)), np.random.default_rng(seed)
    return [sampler.draw(rng) for _ in range(num_episodes)]


def actions(game, num_rounds, seed):
    """A message and a choice for each round."""
    space = pickle.loads(pickle.dumps(game.action_space(SENDER)))
    space.seed(seed)
    rng = np.random.default_rng(seed)
    return [(space.sample(), int(rng.integers(game.game.config.num_candidates))) for _ in range(num_rounds)]


def play_aec(game, plan, **reset_arguments):
    """What both agents observe, get and are told: after reset, then after each step."""

    def now():
        return (
            {agent: game.observe(agent) for agent in AGENTS},
            dict(game.rewards),
            dict(game.terminations),
            dict(game.truncations),
            dict(game.infos),
        )

    game.reset(**reset_arguments)
    steps = [now()]
    for action in (action for pair in plan for action in pair):
        game.step(action)
        steps.append(now())
    assert all(game.terminations.values())
    return steps


def play_parallel(game, plan, **reset_arguments):
    """The same for the parallel interface; the agent whose phase it is not acts at random."""
    nothing = dict.fromkeys(AGENTS, 0.0), dict.fromkeys(AGENTS, False), dict.fromkeys(AGENTS, False)
    observations, infos = game.reset(**reset_arguments)
    steps = [(observations, *nothing, infos)]
    for message, choice in plan:
        steps.append(game.step({SENDER: message, RECEIVER: game.action_space(RECEIVER).sample()}))
        steps.append(game.step({SENDER: game.action_space(SENDER).sample(), RECEIVER: choice}))
    assert game.agents == []
    return steps
