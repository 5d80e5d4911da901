"""A few faults, and whether the campaign would see what it counts."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from studies.faults.__main__ import main, num_wrong
from studies.faults.cases import TRAINING, write_world
from studies.faults.cuts import Uncut, kill
from studies.faults.flips import Kind, Read, try_flips
from studies.faults.kinds import cache_kinds, profile_kind, trials_kind, world_kind
from studies.faults.processes import Ended, run


def test_a_training_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    write_world(tmp_path)
    found = kill(Uncut(TRAINING, tmp_path), 1, np.random.default_rng(0), lambda text: None)
    assert found["cut"] == 1
    assert num_wrong([found]) == 0


def test_flipped_bits_are_noticed(tmp_path: Path) -> None:
    write_world(tmp_path)
    kinds = [profile_kind(tmp_path), trials_kind(tmp_path), world_kind(tmp_path), *cache_kinds(tmp_path)]
    said: list[str] = []
    for kind in kinds:
        before = {path: path.read_bytes() for path in kind.files}
        found = try_flips(kind, 25, np.random.default_rng(0), said.append)
        assert found["refused"] + found["noticed"] == found["tried"] == 25
        assert {path: path.read_bytes() for path in kind.files} == before
    assert said == []


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda path: Read(path.read_bytes()), "accepted"),
        (lambda path: Read(0, path.read_bytes().hex()), "noticed"),
        (lambda path: Read(0), "same"),
        (lambda path: refuse(path, ValueError(f"{path} is damaged")), "refused"),
        (lambda path: refuse(path, ValueError("something is damaged")), "unnamed"),
        (lambda path: refuse(path, IndexError("7")), "tracebacks"),
    ],
)
def test_what_becomes_of_a_flip_is_told_apart(tmp_path: Path, read: Any, outcome: str) -> None:
    (path := tmp_path / "file").write_bytes(b"good")
    found = try_flips(Kind("any", [path], lambda: read(path)), 3, np.random.default_rng(0), lambda text: None)
    assert found == dict.fromkeys(found, 0) | {"tried": 3, outcome: 3}


def refuse(path: Path, error: Exception) -> Read:
    if path.read_bytes() != b"good":
        raise error
    return Read(0)


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, {}),
        ({"code": 3}, {"lost": 1}),
        ({"kept": b"other"}, {"lost": 1}),
        ({"outcome": 2}, {"different": 1}),
        ({"shown": "Traceback (most recent call last)"}, {"tracebacks": 1}),
    ],
)
def test_what_becomes_of_a_cut_run_is_told_apart(tmp_path: Path, changed: dict[str, Any], wrong: Any) -> None:
    good = {"code": 0, "kept": b"log", "outcome": 1, "shown": ""}
    now = dict(good)

    def resumed(root: Path, folder: str, *flags: str) -> Ended:
        if flags:
            now.update(changed)
        return Ended(now["code"], now["shown"], 0.1)

    case = SimpleNamespace(
        name="any", run=resumed, kept=lambda folder: now["kept"], outcome=lambda folder: now["outcome"]
    )
    uncut, tally = Uncut(case, tmp_path), Counter[str]()  # type: ignore[arg-type]
    uncut.resume("cut", tally, lambda text: None)
    assert +tally == wrong


def test_a_process_is_ended_by_its_signal_and_its_words_are_kept(tmp_path: Path) -> None:
    assert run(["--version"], tmp_path).shown.startswith("parley ")
    assert run(["train", "--steps", "none"], tmp_path).code == 2
    assert run(["train", "--folder", "x"], tmp_path, number=signal.SIGKILL, after=0).code == -signal.SIGKILL


@pytest.mark.slow
def test_the_campaign_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--kills", "6", "--disks", "3", "--flips", "400"]
    places = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["faults", *arguments, *places])
    assert main() == 0
    record = json.loads((tmp_path / "faults.json").read_text())
    assert sum(row["tried"] for row in record["flips"]) == 400
    assert "**0 went wrong.**" in (tmp_path / "faults.md").read_text()
