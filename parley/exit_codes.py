"""How every command ends: its exit code, and one clear line on stderr for what went wrong.

1 is Gate 1's verdict `fail` and nothing else. What was not foreseen ends with 3, whatever was raised, and its
traceback is kept in a file.
"""

from __future__ import annotations

import dis
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from types import FrameType, TracebackType

from parley.plugins.registry import registered_owner
from parley.streams import tolerant_streams

OURS = ("parley", "studies", "benchmarks", "plugins", "envs", "channels", "agents", "training", "evaluation")
_RAISE = dis.opmap["RAISE_VARARGS"]


class ExitCode(IntEnum):
    """How a command ended."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    COULD_NOT_RUN = 3
    INCONCLUSIVE = 4
    INVALID = 5


class RunError(RuntimeError):
    """A run that had to stop; the message says why, and what was kept."""


class Ended(SystemExit):
    """A command ended by itself; any other SystemExit is a crash, for a channel could raise it."""


def run_command(command: Callable[[], int]) -> int:
    """Run a command; whatever it raises becomes one line on stderr and an exit code, no traceback.

    Returns:
        The command's own code, or 2 for the user's errors, and 3 for all others.
    """
    try:
        return int(command())
    except Ended as end:
        return int(end.code or 0)
    except KeyboardInterrupt:
        _say("interrupted")
    except BaseException as error:  # SystemExit(0) too: nothing that a channel raises may look like a pass
        if is_usage(error):
            return refuse(error)
        foreseen = _is_ours(type(error).__module__) or (isinstance(error, OSError) and not _owner_of(error))
        _say("could not run:", _text_of(error) if foreseen else crash_line(error))
    return ExitCode.COULD_NOT_RUN


def refuse(error: BaseException) -> int:
    """Tell the user's error in one line."""
    _say("usage:", _text_of(error))
    return ExitCode.USAGE


def exit_with(command: Callable[[], int]) -> None:
    """End the process with the command's exit code, whatever becomes of its streams."""
    with tolerant_streams():
        code = int(run_command(command))
    raise Ended(code)


def is_usage(error: BaseException) -> bool:
    """Whether an error is the user's: a plain ValueError that Parley raised itself, or settings of a plug-in.

    A ValueError out of a plug-in's work, or out of a library, is a crash.
    """
    places = list(_places(error))
    if not isinstance(error, ValueError) or _is_ours(type(error).__module__) or not places:
        return False
    frame, last = places[-1].tb_frame, places[-1].tb_lasti
    if frame.f_code.co_code[last] != _RAISE:
        return False
    return frame.f_code.co_name == "__post_init__" or _is_ours(_module_of(frame))


def crash_line(error: BaseException) -> str:
    """What crashed and why, and the file of the traceback, in one line."""
    named = f"{type(error).__name__}: {_text_of(error)}".removesuffix(": ")
    places = list(_places(error))
    who = f"{owner} raised " if (owner := _owner_of(error)) else ""
    code = places[-1].tb_frame.f_code if places else None
    where = (
        f" ({Path(code.co_filename).name}, line {places[-1].tb_lineno}, in {code.co_name})" if code else ""
    )
    return f"{who}{named}{where}; traceback: {_keep_traceback(error)}"


def _owner_of(error: BaseException) -> str | None:
    """The innermost thing by name, such as a channel, that was at work; None if there was none."""
    owners = [owner for place in _places(error) if (owner := registered_owner(place.tb_frame))]
    return owners[-1] if owners else None


def _keep_traceback(error: BaseException) -> str:
    """Write the traceback to a file, and return its path; where none can be written, to stderr."""
    whole = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", errors="backslashreplace", prefix="parley-", suffix=".txt", delete=False
        ) as file:
            file.write(whole)
    except OSError as problem:
        sys.stderr.write(whole)
        return f"above, for no file could be written ({problem})"
    return file.name


def _places(error: BaseException) -> Iterator[TracebackType]:
    """Where an error came by, from the outermost to where it was raised."""
    place = error.__traceback__
    while place is not None:
        yield place
        place = place.tb_next


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in OURS


def _module_of(frame: FrameType) -> str:
    """The frame's module; of one that `python -m` runs, its package's."""
    name = str(frame.f_globals.get("__name__", ""))
    return str(frame.f_globals.get("__package__") or "") if name == "__main__" else name


def _text_of(error: BaseException) -> str:
    """The error's words in one line; a plug-in's errors may not even be able to give them."""
    try:
        return " ".join(str(error).split())
    except BaseException:
        return "it has no words"


def _say(head: str, text: str = "") -> None:
    from rich.console import Console  # not before it is needed: `parley --help` has no use for it
    from rich.markup import escape

    Console(stderr=True, soft_wrap=True).print(
        f"[bold red]{head}[/] {escape(text)}".rstrip(), highlight=False
    )
