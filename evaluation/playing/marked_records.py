"""Episodes as they are played, with marks beside them: a run that resumes knows what it wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from parley.agents.command_line import RunError
from parley.agents.marked_file import Mark, cut_back
from parley.evaluation.records import EpisodeRecord, RecordWriter
from parley.evaluation.records.episodes_file import drop_cut_line


def marks_file(episodes: Path) -> Path:
    """Where the marks of an episodes file are: one a batch, as JSON lines."""
    return episodes.with_suffix(".marks")


class MarkedWriter(RecordWriter):
    """Appends batches of records to an episodes file, and a mark after each.

    Args:
        path: the file to write after.

    Raises:
        OSError: if the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, append=True)
        self._path, self._length, self._digest = path, 0, hashlib.sha256()
        self._add()

    def write(self, records: Iterable[EpisodeRecord]) -> None:
        """Write a batch, then its mark.

        Raises:
            ValueError: if a message or a number is not JSON.
            OSError: if it cannot be written.
        """
        super().write(records)
        self._add()
        mark: Mark = {"bytes": self._length, "sha256": self._digest.hexdigest()}
        with marks_file(self._path).open("ab", buffering=0) as marks:
            marks.write((json.dumps(mark) + "\n").encode())

    def _add(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._length)
            while block := file.read(1 << 20):
                self._length += len(block)
                self._digest.update(block)


def cut_back_episodes(path: Path) -> None:
    """Cut an episodes file back to its last mark; without marks, after its last whole line.

    Raises:
        RunError: if it is no longer what was written up to there, or its marks are damaged.
        OSError: if it cannot be read or cut.
    """
    marks = marks_file(path)
    if marks.exists():
        drop_cut_line(marks)
    if not marks.exists() or not marks.stat().st_size:
        drop_cut_line(path)
        return
    try:
        last = json.loads(marks.read_bytes().splitlines()[-1])
        mark: Mark = {"bytes": int(last["bytes"]), "sha256": str(last["sha256"])}
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{marks} is damaged: {error}") from error
    cut_back(path, mark)
