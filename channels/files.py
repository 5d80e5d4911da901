"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there when it is whole and on the disk.

    Args:
        path: the file; one that exists is replaced at the end. Its permissions are what the umask leaves.
        content: all of it.

    Raises:
        OSError: if it cannot be written, with the path; what stood there stays, and nothing stands beside it.
    """
    # two writers of one file each have their own
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what writers left that were killed, from a folder in which no other is at work."""
    for path in folder.glob(".*.unfinished"):
        if not path.is_dir():
            path.unlink(missing_ok=True)
