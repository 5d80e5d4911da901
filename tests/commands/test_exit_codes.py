"""1 is the gate's verdict alone: whatever a command raises ends with another code, and one line says why."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from parley.agents.command_line import ExitCode, RunError, run_command
from parley.agents.language_model import ModelError
from parley.channels.base import check_range
from parley.channels.text import TextChannel
from parley.exit_codes import Ended, exit_with


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise SystemExit(0)


def raiser(error: BaseException) -> Callable[[], int]:
    def command() -> NoReturn:
        raise error

    return command


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tracebacks go."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SystemExit(0), "SystemExit: 0 (test_exit_codes.py, line "),
        (SystemExit(), "SystemExit (test_exit_codes.py, line "),
        (SystemExit("done"), "SystemExit: done (test_exit_codes.py, line "),
        (GeneratorExit(), "GeneratorExit (test_exit_codes.py, line "),
        (RuntimeError("two\nlines"), "RuntimeError: two lines (test_exit_codes.py, line "),
        (AssertionError(), "AssertionError (test_exit_codes.py, line "),
        (ValueError("[bold]not mine"), "ValueError: [bold]not mine (test_exit_codes.py, line "),
        (MemoryError(), "MemoryError (test_exit_codes.py, line "),
        (SpeechlessError(), "SpeechlessError: it has no words (test_exit_codes.py, line "),
        (UnicodeError("\udcff"), "UnicodeError: "),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_a_crash_is_3_with_its_cause_in_a_line_and_its_traceback_in_a_file(
    error: BaseException, words: str, kept: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Ended) as end:
        exit_with(raiser(error))
    assert end.value.code == ExitCode.COULD_NOT_RUN
    line = capfd.readouterr().err
    assert line.startswith(f"could not run: {words}")
    assert line.count("\n") == 1
    [file] = kept.glob("parley-*.txt")
    assert line.endswith(f", in command); traceback: {file}\n")
    assert "in run_command" in file.read_text()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ModelError("no such model"), ExitCode.COULD_NOT_RUN, "could not run: no such model\n"),
        (RunError("stopped"), ExitCode.COULD_NOT_RUN, "could not run: stopped\n"),
        (OSError(28, "No space left"), ExitCode.COULD_NOT_RUN, "could not run: [Errno 28] No space left\n"),
        (KeyboardInterrupt(), ExitCode.COULD_NOT_RUN, "interrupted\n"),
    ],
)
def test_what_was_foreseen_has_no_traceback(
    error: BaseException, code: int, line: str, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(raiser(error)) == code
    assert capsys.readouterr().err == line
    assert not list(kept.iterdir())


@dataclasses.dataclass(frozen=True)
class PluginSettings:
    volume: int

    def __post_init__(self) -> None:
        if self.volume > 11:
            raise ValueError(f"volume must be at most 11, got {self.volume}")


@pytest.mark.parametrize("ask", [lambda: check_range("volume", 12, 0, 11), lambda: PluginSettings(12)])
def test_a_value_that_parley_or_a_plug_in_s_settings_refuse_is_usage(
    ask: Callable[[], Any], kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(ask) == ExitCode.USAGE
    assert re.fullmatch(r"usage: volume must be .*11, got 12\n", capsys.readouterr().err)
    assert not list(kept.iterdir())


def test_a_value_error_that_nobody_meant_is_a_crash(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was said of the user's value by whoever called `int`."""
    assert run_command(lambda: int("x")) == ExitCode.COULD_NOT_RUN
    assert "could not run: ValueError: invalid literal" in capsys.readouterr().err


def test_the_registered_thing_that_crashed_is_named(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def send(self: TextChannel, utterance: Any) -> NoReturn:
        raise SystemExit(0)

    monkeypatch.setattr(TextChannel, "send", send)
    channel = object.__new__(TextChannel)
    assert run_command(lambda: channel.send(None)) == ExitCode.COULD_NOT_RUN  # type: ignore[arg-type]
    assert capsys.readouterr().err.startswith("could not run: channel 'text' raised SystemExit: 0 (")


def test_where_no_file_can_be_written_the_traceback_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError(28, "No space left")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    assert run_command(raiser(RuntimeError("why"))) == ExitCode.COULD_NOT_RUN
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last):")
    assert shown.endswith("; traceback: above, for no file could be written ([Errno 28] No space left)\n")


def test_a_command_that_gives_no_code_has_not_passed(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: None) == ExitCode.COULD_NOT_RUN  # type: ignore[arg-type, return-value]
