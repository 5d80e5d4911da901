"""A channel, a world or a game that ends the process, or raises anything, is named, and has not passed."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from parley.agents.pair import Pair
from parley.channels.registry import CHANNELS, channel_class, register
from parley.channels.text import TextChannel
from parley.envs.game import GAMES, register_game
from parley.envs.worlds import WORLDS, register_world
from parley.evaluation import gate1
from parley.exit_codes import ExitCode, run_command
from parley.training import run as training

pytestmark = pytest.mark.usefixtures("without_pictures")
ERRORS = (SystemExit(0), SystemExit(1), ValueError("mine"), KeyError("k"), BrokenPipeError("theirs"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is registered here is forgotten, and tracebacks are found."""
    for registry in (CHANNELS, WORLDS, GAMES):
        registry.names()
        monkeypatch.setattr(registry, "_known", dict(registry._known))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(self: Any = None, *_: Any, **__: Any) -> NoReturn:
        raise error

    return fail


def command(main: Callable[[], int], line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["command", *shlex.split(line)])
    return run_command(main)


def check(code: int, named: str, error: BaseException, folder: Path, told: str) -> None:
    assert code == ExitCode.COULD_NOT_RUN, told
    [file] = folder.glob("parley-*.txt")
    line = told.splitlines()[-1]
    assert line.startswith(f"could not run: {named} raised {type(error).__name__}: ")
    assert line.endswith(f"; traceback: {file}")
    assert "in fail" in file.read_text()


@pytest.mark.parametrize(
    ("method", "error"),
    [*(("send", error) for error in ERRORS), ("receive", ERRORS[0]), ("message_bits", ERRORS[0])],
    ids=repr,
)
def test_a_channel_that_crashes_in_the_gate(
    method: str,
    error: BaseException,
    pocket_pair: Pair,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register("rogue")(type("Rogue", (TextChannel,), {method: failing(error), "role": "judged"}))
    monkeypatch.setattr(Pair, "load", lambda *_: pocket_pair)
    code = command(gate1.main, "--channels rogue --episodes 2", monkeypatch)
    told = " ".join(capsys.readouterr().out.split())
    assert code == ExitCode.INVALID, told
    assert f"{type(error).__name__}: " in told
    assert "rogue" in json.loads((elsewhere / "runs/gate1/results.json").read_text())["sentence"]


@pytest.mark.parametrize(
    ("method", "error"),
    [*(("__init__", error) for error in ERRORS), ("calibrate", ERRORS[0]), ("relay", ERRORS[0])],
    ids=repr,
)
def test_a_channel_that_crashes_in_training(
    method: str,
    error: BaseException,
    pocket_pair: Pair,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register("rogue")(type("Rogue", (channel_class("latent"),), {method: failing(error)}))
    monkeypatch.setattr(Pair, "load", lambda *_: pocket_pair)
    few = "--steps 1 --alignment-steps 0 --batch-size 2 --validation-episodes 2 --codec-width 16"
    code = command(training.main, f"--channel rogue {few}", monkeypatch)
    check(code, "channel 'rogue'", error, elsewhere, capsys.readouterr().err)
    assert not list(elsewhere.glob("runs/*/channel.safetensors"))


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("kind", ["world", "game"])
def test_a_world_or_a_game_that_crashes(
    kind: str,
    error: BaseException,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add = {"world": register_world, "game": register_game}[kind]
    add("rogue")(failing(error))  # type: ignore[operator]
    main, flags = (gate1.main, "--channels text") if kind == "world" else (training.main, "")
    code = command(main, f"{flags} --{kind} rogue", monkeypatch)
    check(code, f"{kind} 'rogue'", error, elsewhere, capsys.readouterr().err)
