"""A module run in a process of its own: how long it took, and how much memory it held at most."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter
from typing import NamedTuple

from agents.command_line import RunError

ROOT = Path(__file__).parents[1]
LAST_CHARACTERS = 2000


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    seconds: float  # from its start to its end
    peak_bytes: int  # its largest resident set


def run_module(arguments: Sequence[str], folder: Path, *, allowed: Sequence[int] = (0,)) -> Ended:
    """Run `python -m` with these arguments, and wait.

    Args:
        arguments: the module and its flags.
        folder: where it runs.
        allowed: exit codes that are no failure.

    Raises:
        RunError: if it ends with another one; what it said last is in the message.
    """
    # the modules of this checkout, installed or not
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with TemporaryFile("w+") as said:
        began = perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": paths},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)  # or it would be waited for again
        if process.returncode not in allowed:
            said.seek(0)
            raise RunError(
                f"python -m {' '.join(arguments)} ended with code {process.returncode}: "
                f"{said.read()[-LAST_CHARACTERS:].strip()}"
            )
    return Ended(process.returncode, seconds, usage.ru_maxrss * 1024)
