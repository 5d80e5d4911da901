"""Every round can be followed by a person."""

import string

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Text
from referential_cases import LETTERS

from parley.envs.game import EpisodeConfig
from parley.envs.referential_v0 import RECEIVER, SENDER, env, parallel_env, raw_env

FIRST_ROUND = """\
round 1 of 2
  A  giant orange wood cube
  B  giant orange glass cube
  C  large green stone cube
  D  medium orange wood cube
  E  small orange wood cube  <- target
message: {message}
choice:  {choice}"""
VECTORS = np.full((2, 8), 0.25, dtype=np.float32)


@pytest.mark.parametrize(
    ("space", "message", "shown"),
    [
        (MultiDiscrete([64] * 4), np.array([3, 0, 63, 7]), "3 0 63 7"),
        (Discrete(9), 5, "5"),
        (Box(-1.0, 1.0, (2, 8), np.float32), VECTORS, "shape (2, 8), norm 1.000"),
        (Text(20, charset=LETTERS + '"\n'), 'a "small\none', r'"a \"small\none"'),
    ],
)
def test_render_lets_a_person_follow_the_round(space, message, shown):
    game = raw_env(message_space=space, num_rounds=2, render_mode="ansi")
    game.reset(seed=0)
    assert game.render() == FIRST_ROUND.format(message="-", choice="-")
    game.step(message)
    assert game.render() == FIRST_ROUND.format(message=shown, choice="-")
    game.step(4)
    first, second = game.render().split("\n\n")
    assert first == FIRST_ROUND.format(message=shown, choice="E, success")
    assert second.startswith("round 2 of 2\n  A  ")
    assert second.endswith("message: -\nchoice:  -")
    game.step(message)
    named = (game.observe(RECEIVER)["candidates"] == game.observe(SENDER)["target"]).all(axis=1)
    game.step((int(named.argmax()) + 1) % 5)
    last = game.render()
    assert last.startswith("round 2 of 2\n")
    assert last.endswith("failure")
    assert "round 1" not in last


def test_render_has_letters_for_more_than_26_candidates():
    game = parallel_env(config=EpisodeConfig(num_candidates=28), render_mode="ansi")
    game.reset(seed=0)
    letters = [line.split()[0] for line in game.render().splitlines()[1:-2]]
    assert letters == [*string.ascii_uppercase, "AA", "BB"]


def test_human_render_prints_and_returns_nothing(capsys):
    game = env(num_rounds=2, render_mode="human")
    game.reset(seed=0)
    assert game.render() is None
    assert capsys.readouterr().out == FIRST_ROUND.format(message="-", choice="-") + "\n"
