"""Games by name: one file adds one."""

import sys

import numpy as np
import pytest
from toy_game import NUMBERS, NextNumber

from parley import envs
from parley.envs.game import GAMES, EpisodeConfig, find_game
from parley.envs.referential import ReferentialGame
from parley.envs.referential_v0 import parallel_env
from parley.envs.rules import RECEIVER, SENDER
from parley.envs.world import objects_world

NEW_GAME = """
from toy_game import NextNumber
from parley.envs.game import register_game

register_game("next_number")(NextNumber)
"""


@pytest.fixture
def fresh_registry(monkeypatch):
    GAMES.names()
    monkeypatch.setattr(GAMES, "_known", dict(GAMES._known))
    monkeypatch.setattr(GAMES, "_begun", set())


def test_the_game_that_ships():
    assert GAMES.names() == ["referential"]
    game = find_game("referential", objects_world(), EpisodeConfig(num_candidates=4, split="test"))
    assert isinstance(game, ReferentialGame)
    assert (game.num_choices, game.chance) == (4, 0.25)


@pytest.mark.usefixtures("fresh_registry")
def test_a_new_game_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "next_number.py").write_text(NEW_GAME)
    monkeypatch.setattr(envs, "__path__", [*envs.__path__, str(tmp_path)])
    try:
        assert GAMES.names() == ["next_number", "referential"]
        game = find_game("next_number", objects_world(), EpisodeConfig())
        assert game.world is NUMBERS
    finally:
        sys.modules.pop("parley.envs.next_number", None)


def test_an_unknown_game_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"unknown game 'referentail', did you mean 'referential'\?"):
        find_game("referentail", objects_world(), EpisodeConfig())


def test_any_game_plays_in_the_pettingzoo_environment():
    env = parallel_env(game=NextNumber(), render_mode="ansi")
    observations, _ = env.reset(seed=0)
    number = observations[SENDER]["target"]
    env.step({SENDER: number})
    shown = observations[RECEIVER]["candidates"]
    right = int(np.flatnonzero((shown == (number + 1) % 30).all(1))[0])
    _, rewards, terminations, _, _ = env.step({RECEIVER: right})
    assert rewards == {SENDER: 1.0, RECEIVER: 1.0}
    assert all(terminations.values())
    assert "success" in env.render()


def test_a_swapped_message_of_the_referential_game_is_about_the_other_candidate():
    game = ReferentialGame(objects_world(), EpisodeConfig())
    episode = game.draw(np.random.default_rng(0))
    other = game.retargeted(episode, (episode.target + 1) % 5)
    assert other.target == (episode.target + 1) % 5
    assert other.receiver_view is episode.receiver_view
    assert np.array_equal(other.sender_view, episode.candidates[other.target])
    order = np.array([4, 3, 2, 1, 0])
    turned = game.reordered(episode, order)
    assert np.array_equal(turned.sender_view, episode.sender_view)
    assert game.succeeds(turned, turned.target)
