"""A module run in a process of its own: how long it took, and how much memory it held at most."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter
from typing import NamedTuple

from parley.agents.command_line import RunError

ROOT = Path(__file__).parents[1]
LAST_CHARACTERS = 2000
LOOK_SECONDS = 0.02


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
        peak = _watch(process)
        seconds = perf_counter() - began
        if process.returncode not in allowed:
            said.seek(0)
            raise RunError(
                f"python -m {' '.join(arguments)} ended with code {process.returncode}: "
                f"{said.read()[-LAST_CHARACTERS:].strip()}"
            )
    return Ended(process.returncode, seconds, peak)


def _watch(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end; returns the largest resident set in bytes.

    The kernel's accounting of children (`ru_maxrss`) begins with what their parent held when they were made,
    so the process itself is looked at, to within the last moments of its life.
    """
    peak = 0
    while True:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max([peak, *(int(found) * 1024 for found in re.findall(r"VmHWM:\s*(\d+) kB", status))])
            process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return peak
