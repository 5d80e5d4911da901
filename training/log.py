"""The log of a training, one JSON object a line; it never says more than the state that is saved beside it.

A state keeps the log's mark, and a run that resumes cuts the log back to it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from parley.agents.marked_file import check_marked
from parley.training.state import read_notes

METRICS_FILE = "metrics.jsonl"
STATE_FILE = "state.safetensors"


class MetricsLog(AbstractContextManager["MetricsLog"]):
    """Writes after what a log holds.

    Args:
        folder: of the run.

    Raises:
        OSError: if the log cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / METRICS_FILE
        self._file = self.path.open("ab", buffering=0)

    def write(self, record: Mapping[str, Any]) -> None:
        """Write a line, the whole of it or nothing; a number that is undefined becomes null.

        Raises:
            OSError: if it cannot be written.
        """
        defined = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in record.items()
        }
        line = (json.dumps(defined) + "\n").encode()
        left, end = memoryview(line), self.path.stat().st_size
        try:
            while left:  # a disk that is nearly full takes a part
                left = left[self._file.write(left) :]
        except OSError as error:
            self._file.truncate(end)
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """What a training has logged so far; a last line that was cut is left out.

    Raises:
        RunError: if the log, up to where the state beside it was saved, is not what it was.
        ValueError: if a line behind that is not JSON.
    """
    path, state = folder / METRICS_FILE, folder / STATE_FILE
    content = path.read_bytes() if path.exists() else b""
    if state.exists():
        mark = read_notes(state)["log"]
        check_marked(path, content[: mark["bytes"]], mark)
    return [json.loads(line) for line in content.split(b"\n")[:-1]]
