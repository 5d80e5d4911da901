"""Files that grow, held to a mark: how long one was when all of it was known to be good, and its SHA-256.

What follows the mark was being written when its writer ended, and is cut away by a run that resumes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypedDict

from parley.agents.command_line import RunError


class Mark(TypedDict):
    """A length in bytes, and the SHA-256 of so much."""

    bytes: int
    sha256: str


def mark_of(path: Path) -> Mark:
    """The mark of all that a file holds; one that is not there is empty."""
    content = path.read_bytes() if path.exists() else b""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def cut_back(path: Path, mark: Mark) -> None:
    """Cut a file back to its mark.

    Raises:
        RunError: if it is not what it was.
        OSError: if it cannot be read or cut.
    """
    with path.open("r+b") as file:
        check_marked(path, file.read(mark["bytes"]), mark)
        file.truncate(mark["bytes"])


def check_marked(path: Path, content: bytes, mark: Mark) -> None:
    """Refuse what a file holds up to its mark if it is not what it was.

    Raises:
        RunError: naming the file.
    """
    if hashlib.sha256(content).hexdigest() != mark["sha256"]:
        raise RunError(f"{path} is damaged: it is no longer what this run wrote")
