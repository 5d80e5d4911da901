"""A game that is no referential one goes through Gate 1 by its name alone."""

import json
import sys
from pathlib import Path

import pytest

from parley.agents.command_line import ExitCode
from parley.envs.game import GAMES
from parley.evaluation import gate1
from parley.evaluation.playing.plan import PlayConfig


@pytest.fixture
def next_number(monkeypatch):
    """The toy game of tests/envs, registered as a plug-in would register it."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "envs")
    GAMES.names()
    monkeypatch.setattr(GAMES, "_known", dict(GAMES._known))
    toy_game = __import__("toy_game")
    GAMES.register("next_number")(toy_game.NextNumber)
    yield toy_game.NextNumber
    sys.modules.pop("toy_game", None)


def test_its_episodes_are_played_under_every_condition_and_judged(next_number, tmp_path, monkeypatch):
    monkeypatch.setattr("parley.evaluation.diagnostics.flops.COUNTED_EPISODES", 1)
    play = PlayConfig(episodes=20, num_candidates=3, game="next_number")
    config = gate1.Gate1Config(
        channels=("text", "silence"), folder=tmp_path / "out", runs=tmp_path, play=play
    )
    assert gate1.run(config, []) == ExitCode.INCONCLUSIVE  # nothing that was trained
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["provenance"]["world"] == "numbers"
    assert results["chance"] == pytest.approx(1 / 3)
    assert {row["n"] for row in results["channels"]["text"]["conditions"].values()} == {20}
    records = [json.loads(line) for line in (tmp_path / "out" / "episodes.jsonl").read_text().splitlines()]
    shown = [record["candidates"] for record in records if "candidates" in record]
    assert len(shown) == 20
    assert all(number.isdigit() for candidates in shown for number in candidates)
