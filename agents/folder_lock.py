"""One process at a time in a run's folder; the lock of a process that died is no lock."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from parley.agents.command_line import RunError
from parley.channels.files import remove_unfinished


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made if it is not there, and removed again if it stays empty.

    Raises:
        RunError: if another run is at work in it.
        OSError: if it cannot be made or locked.
    """
    was_there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)  # the folder itself: no file of the lock's own is left
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"another run is at work in {folder}; wait until it ends, or name another --folder"
            ) from None
        remove_unfinished(folder)
        yield
    finally:
        if not was_there:
            with suppress(OSError):  # it holds something
                folder.rmdir()
        os.close(descriptor)
