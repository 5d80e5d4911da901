"""A run in two halves, on two machines if need be, and when its seed is drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from parley.agents.pair import ModelConfig
from parley.channels.conditions import Told
from parley.evaluation.playing import gate_run
from parley.evaluation.playing.gate_run import GateRun
from parley.evaluation.playing.plan import PlayConfig
from parley.evaluation.sealing.messages_file import read_messages, write_messages
from parley.evaluation.sealing.roster import Wanted
from parley.evaluation.sealing.sealed import SealedChannel


@pytest.fixture
def run(tmp_path, pocket_pair, monkeypatch):
    """Text and silence on a few episodes, without diagnostics and reports."""
    monkeypatch.setattr(gate_run, "load_pair", lambda *_: pocket_pair)
    monkeypatch.setattr(gate_run, "measure", lambda *_: ({}, {}))
    written = lambda results, folder, *_: (folder / "results.json").write_text(json.dumps(results))  # noqa: E731
    monkeypatch.setattr(gate_run, "write_run", written)
    return GateRun(
        wanted=Wanted(channels=("text",)),
        play=PlayConfig(episodes=6, episodes_at_once=4),
        models=ModelConfig(device="cpu"),
        folder=tmp_path / "run",
    )


def records(folder: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "episodes.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def quiet() -> Console:
    return Console(file=StringIO())


def test_a_run_in_two_halves_is_the_same_run(run, tmp_path, monkeypatch):
    whole = replace(run, seed=7)
    whole.judge(quiet())
    said = tmp_path / "messages.jsonl"
    replace(run, seed=7, folder=tmp_path / "said").say(said, quiet())
    monkeypatch.delattr(SealedChannel, "send")  # nobody is asked again
    heard = replace(run, hear=said, folder=tmp_path / "heard")
    results = heard.judge(quiet())
    assert records(heard.folder) == records(whole.folder)
    assert results["provenance"]["seeds"] == {"evaluation": 7}
    assert {line.split('"')[1] for line in said.read_text().splitlines()[1:]} == {"silence", "text"}


def test_what_was_said_in_another_run_is_not_heard(run, tmp_path):
    said = tmp_path / "messages.jsonl"
    replace(run, seed=7).say(said, quiet())
    longer = replace(run, hear=said, play=PlayConfig(episodes=7, episodes_at_once=4))
    with pytest.raises(ValueError, match=r"play\.episodes is 6 there and 7 here"):
        longer.judge(quiet())


def test_a_seed_is_drawn_when_the_channels_are_there_and_kept_by_who_resumes(run, monkeypatch):
    happened: list[str] = []
    assemble = gate_run.assemble
    monkeypatch.setattr(gate_run, "assemble", lambda *told: happened.append("channels") or assemble(*told))
    monkeypatch.setattr(gate_run.secrets, "randbelow", lambda most: happened.append("seed") or most - 1)
    results = run.judge(quiet())
    assert happened == ["channels", "seed"]
    assert results["provenance"]["seeds"] == {"evaluation": 2**31 - 2}
    assert (results["provenance"]["sealed"], results["provenance"]["seed_chosen"]) == (True, False)
    (run.folder / "results.json").unlink()
    monkeypatch.setattr(gate_run.secrets, "randbelow", lambda _: 1)
    before = records(run.folder)
    again = replace(run, resume=True).judge(quiet())
    assert again["provenance"]["seeds"] == {"evaluation": 2**31 - 2}
    assert records(run.folder) == before


def test_messages_survive_their_file(tmp_path):
    path = tmp_path / "messages.jsonl"
    said = [("mine", Told(0, 1), b"\0\xff"), ("mine", Told(0, 2), b""), ("hers", Told(0, 1), b"x")]
    assert list(write_messages(path, {"play": {"seed": 3}}, said)) == [1, 2, 3]
    found = read_messages(path)
    assert found.definition == {"play": {"seed": 3}}
    assert found.sent == {"mine": {Told(0, 1): b"\0\xff", Told(0, 2): b""}, "hers": {Told(0, 1): b"x"}}
    with pytest.raises(FileExistsError):
        list(write_messages(path, {}, said))


@pytest.mark.parametrize(
    ("lines", "lesson"),
    [
        ([], "line 1: "),
        (["[]"], "line 1: it does not say what run the messages are of"),
        (
            ['{"play": {}}', '["mine", 0, 1, "AA=="]', '["mine", 0, 1, "AA=="]'],
            "line 3: mine speaks twice of",
        ),
        (['{"play": {}}', '["mine", 0, 1, "A"]'], "line 2: "),
        (['{"play": {}}', '["mine", 0, 1]'], "line 2: "),
        (['{"play": {}}', '["mine", 0, 1, "AA=="'], "line 2: "),
    ],
)
def test_a_damaged_file_of_messages_is_named_with_its_line(tmp_path, lines, lesson):
    path = tmp_path / "messages.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(ValueError, match=f"messages.jsonl, {lesson}"):
        read_messages(path)
