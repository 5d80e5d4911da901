"""Runs that are killed at a random moment, or whose disk is full, and what is left when they resume."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from parley.channels.tensor_file import TensorFileError, read_tensors
from studies.faults.cases import Case
from studies.faults.processes import COULD_NOT_RUN, Ended

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
VERDICTS = (0, 1, 4)
Tell = Callable[[str], None]


class Uncut:
    """A case's uncut run, with which all others are compared.

    Raises:
        RuntimeError: if it does not end well.
    """

    def __init__(self, case: Case, root: Path) -> None:
        self.case, self.root = case, root
        ended = case.run(root, f"whole-{case.name}")
        if ended.code not in VERDICTS:
            raise RuntimeError(f"the uncut run ended with {ended.code}: {ended.shown}")
        self.code, self.seconds = ended.code, ended.seconds
        self.outcome = case.outcome(root / f"whole-{case.name}")

    def resume(self, folder: str, tally: Counter[str], tell: Tell) -> None:
        """Resume a run that was cut, and count what is lost or different in the end."""
        kept = self.case.kept(self.root / folder)
        again = self.case.run(self.root, folder, "--resume")
        tally["tracebacks"] += again.traceback
        problem = ""
        if again.code != self.code or not self.case.kept(self.root / folder).startswith(kept):
            tally["lost"] += 1
            problem = f"lost: {again.code}, {again.shown[-300:]}"
        elif self.case.outcome(self.root / folder) != self.outcome:
            tally["different"] += 1
            problem = "different"
        if problem:
            tell(f"{folder}: {problem}")


def kill(uncut: Uncut, number: int, rng: np.random.Generator, tell: Tell) -> dict[str, int]:
    """Kill runs at random moments before their end, each in a folder of its own, and resume them.

    Args:
        uncut: the run as it should end.
        number: of runs that are cut; those that were faster are tried too, and do not count.
        rng: of moments and signals.
        tell: told what goes wrong, and how far it is.
    """
    tally = Counter(tried=0, cut=0, lost=0, different=0, tracebacks=0)
    longest = uncut.seconds
    while tally["cut"] < number:
        folder = f"killed-{uncut.case.name}-{tally['tried']}"
        sent, after = SIGNALS[tally["tried"] % len(SIGNALS)], rng.uniform(0, longest)
        ended = uncut.case.run(uncut.root, folder, number=sent, after=after)
        tally["tried"] += 1
        if ended.code in VERDICTS:
            longest = min(longest, ended.seconds)  # the machine has become faster
        tally["cut"] += ended.code not in VERDICTS
        tally["tracebacks"] += ended.traceback
        if ended.traceback:
            tell(f"{folder}, {sent.name}: {ended.shown[-600:]}")
        uncut.resume(folder, tally, tell)
        shutil.rmtree(uncut.root / folder, ignore_errors=True)
        tell(f"{folder}: {sent.name} after {after:.2f} s, {ended.code}")
    return dict(tally)


def fill(uncut: Uncut, number: int, rng: np.random.Generator, tell: Tell) -> dict[str, int]:
    """Let a run's disk be full at a random size, then give it room and resume.

    Raises:
        OSError: if a disk cannot be mounted, which takes root.
    """
    tally = Counter(tried=0, cut=0, lost=0, different=0, tracebacks=0, scraps=0, wrong_code=0)
    whole = uncut.root / f"whole-{uncut.case.name}"
    needed = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    for trial in range(number):
        folder = f"full-{uncut.case.name}-{trial}"
        with small_disk(uncut.root / folder, int(rng.uniform(4096, needed))) as enlarge:
            ended = uncut.case.run(uncut.root, folder)
            tally["tried"] += 1
            tally.update(_count_full(ended, uncut.root / folder))
            enlarge()
            uncut.resume(folder, tally, tell)
            tell(f"{folder}: {ended.code}, {ended.shown.strip().splitlines()[-1:]}")
    return dict(tally)


def _count_full(ended: Ended, folder: Path) -> dict[str, int]:
    """What is wrong with how a run ended on a full disk, and with what it left."""
    cut = ended.code not in VERDICTS
    damaged = 0
    for path in folder.glob("*.safetensors"):
        try:
            read_tensors(path)
        except TensorFileError:
            damaged += 1
    named = "No space left on device" in ended.shown
    return {
        "cut": cut,
        "lost": damaged,
        "tracebacks": ended.traceback,
        "scraps": len(list(folder.rglob("*.unfinished"))),
        "wrong_code": cut and not (ended.code == COULD_NOT_RUN and named),
    }


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Callable[[], Any]]:
    """A disk of so many bytes, rounded up to pages; it is enlarged by what is yielded.

    Raises:
        OSError: if it cannot be mounted.
    """
    place.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o"]
    if subprocess.run([*mount, f"size={size}", "tmpfs", str(place)], capture_output=True).returncode:  # noqa: S603
        raise OSError(f"{place} cannot be mounted as a small disk: that takes root")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)  # noqa: S603, S607
    finally:
        subprocess.run(["umount", str(place)], check=True)  # noqa: S603, S607
        place.rmdir()
