"""Commands in processes of their own, which can be ended at any moment."""

from __future__ import annotations

import os
import select
import signal
import sys
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from parley.__main__ import main
from parley.agents.readout import READOUTS
from parley.channels.registry import CHANNELS
from parley.training.objective import OBJECTIVES

KILLED, COULD_NOT_RUN = "killed", 3


class Ended(NamedTuple):
    """How a process ended: its exit code, or minus the signal that ended it, and all that it showed."""

    code: int
    shown: str
    seconds: float

    @property
    def traceback(self) -> bool:
        """Whether it showed the user a traceback, or where one is kept."""
        return "traceback" in self.shown.lower()


def run(
    arguments: Sequence[str], folder: Path, number: int = signal.SIGKILL, after: float | None = None
) -> Ended:
    """Run `parley ARGUMENTS` in a fork, which need not import anything again.

    Args:
        arguments: of the command.
        folder: where it runs.
        number: the signal that it gets; Ctrl-C reaches all of its processes, as at a terminal.
        after: seconds after which; None leaves it alone.
    """
    _import_plugins()
    reads, writes = os.pipe()
    began = monotonic()
    child = os.fork()
    if not child:
        os.close(reads)
        _become(arguments, folder, writes)
    os.close(writes)
    shown, due = bytearray(), None if after is None else began + after
    while True:
        ready, _, _ = select.select([reads], [], [], None if due is None else max(0, due - monotonic()))
        if ready:
            block = os.read(reads, 1 << 16)
            shown += block
            if not block:
                break
        else:
            due = None
            (os.killpg if number == signal.SIGINT else os.kill)(child, number)
    os.close(reads)
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), shown.decode(errors="replace"), monotonic() - began)


@cache
def _import_plugins() -> None:
    """All that a command imports only when it asks for names."""
    for registry in (CHANNELS, OBJECTIVES, READOUTS):
        registry.names()


def _become(arguments: Sequence[str], folder: Path, writes: int) -> None:
    code = 70
    try:
        os.setpgrp()
        for descriptor in (1, 2):
            os.dup2(writes, descriptor)
        # whoever forked may have put others in their places
        sys.stdout = os.fdopen(os.dup(1), "w")
        sys.stderr = os.fdopen(os.dup(2), "w")
        os.chdir(folder)
        warnings.simplefilter("ignore")  # that a module was imported before it is run
        code = int(main(list(arguments)) or 0)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
