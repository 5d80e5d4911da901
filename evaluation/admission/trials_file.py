"""What was tried so far, beside the profile to be written: an interrupted admission resumes from it.

Each line has a digest of its own, so that a bit that flipped is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from parley.agents.command_line import check_same_settings
from parley.agents.player import digest
from parley.evaluation.records.episodes_file import drop_cut_line


class TrialsFile:
    """JSON lines: what defines the trials, then each trial's outcome under its name.

    Args:
        path: of the file; it is made if it is not there, and its folder too.
        settings: what defines the trials, as JSON.

    Raises:
        ValueError: if the file holds trials under other settings, or is damaged.
        OSError: if it cannot be read or written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        drop_cut_line(path)
        lines = path.read_bytes().splitlines()
        if not lines:
            self._write({"settings": settings})
        self._found = self._read(lines, json.loads(json.dumps(settings)))

    def outcome(self, name: str, compute: Callable[[], Any]) -> Any:
        """The outcome of a trial, as JSON: kept if it was tried before, else computed and kept."""
        if name not in self._found:
            self._found[name] = compute()
            self._write({"trial": name, "outcome": self._found[name]})
        return self._found[name]

    def remove(self) -> None:
        """Nothing is left to resume."""
        self.path.unlink()

    def _write(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "sha256": digest(line)}) + "\n")

    def _read(self, lines: list[bytes], settings: Mapping[str, Any]) -> dict[str, Any]:
        try:
            kept = [json.loads(line) for line in lines]
            if damaged := [number for number, line in enumerate(kept, 1) if line["sha256"] != digest(line)]:
                raise ValueError(f"line {damaged[0]} is not what its SHA-256 was taken of")
            there = kept[0]["settings"] if kept else settings
            found = {line["trial"]: line["outcome"] for line in kept[1:]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path} is damaged, remove it to begin anew: {error!r}") from error
        try:
            check_same_settings(self.path, there, settings)
        except ValueError as error:
            raise ValueError(f"{error}. Finish it under those, remove it, or name another --output") from None
        return found
