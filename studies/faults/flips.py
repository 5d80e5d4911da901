"""One bit of a file is flipped: is that noticed by what reads the file, and said in a line that names it?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from parley.agents.command_line import RunError
from parley.agents.language_model import ModelError
from parley.channels.checkpoint import CheckpointError
from parley.plugins.registry import PluginError

FORESEEN = (ModelError, CheckpointError, PluginError, RunError, OSError, ValueError)
"""What every command turns into one line and an exit code."""


class Read(NamedTuple):
    """What was read, and the name by which it is told from all others, where it has one."""

    content: Any
    identity: str = ""


class Kind(NamedTuple):
    """Files of one kind.

    Attributes:
        name: in the table.
        files: from which one is drawn.
        read: as a command reads them.
        named: words of which a refusal must hold one; by default the file's name.
    """

    name: str
    files: list[Path]
    read: Callable[[], Read]
    named: tuple[str, ...] = ()


class Flip(NamedTuple):
    """A bit of a file."""

    path: Path
    place: int
    bit: int


def draw(kind: Kind, rng: np.random.Generator) -> Flip:
    """A file of the kind at random, and any of its bits."""
    path = kind.files[rng.integers(len(kind.files))]
    return Flip(path, int(rng.integers(path.stat().st_size)), int(rng.integers(8)))


def try_flips(
    kind: Kind, number: int, rng: np.random.Generator, tell: Callable[[str], None]
) -> dict[str, int]:
    """Flip bits, one at a time; the files are as they were in the end.

    Returns:
        How many were `refused` in a line that names the file, `noticed` by another identity, read as the
        `same`; and of the wrong ones, `accepted`, `unnamed` or `tracebacks`.
    """
    clean = kind.read()
    tally = Counter(tried=0, refused=0, noticed=0, same=0, accepted=0, unnamed=0, tracebacks=0)
    for _ in range(number):
        flip = draw(kind, rng)
        before = {path: path.read_bytes() for path in kind.files}
        content = bytearray(before[flip.path])
        content[flip.place] ^= 1 << flip.bit
        flip.path.write_bytes(content)
        try:
            outcome, said = judge(kind, flip.path, clean)
        finally:
            for path, whole in before.items():
                path.write_bytes(whole)
        tally["tried"] += 1
        tally[outcome] += 1
        if outcome in ("accepted", "unnamed", "tracebacks"):
            tell(f"{kind.name}, {flip.path.name}, byte {flip.place}, bit {flip.bit}: {outcome}: {said}")
    return dict(tally)


def judge(kind: Kind, path: Path, clean: Read) -> tuple[str, str]:
    """What becomes of a changed file, in a word, and what was said."""
    try:
        found = kind.read()
    except FORESEEN as error:
        said = str(error)
        return ("refused" if any(word in said for word in kind.named or (path.name,)) else "unnamed"), said
    except Exception as error:
        return "tracebacks", repr(error)
    if found.identity != clean.identity:
        return "noticed", found.identity
    return ("same" if found.content == clean.content else "accepted"), json.dumps(str(found.content)[:80])
