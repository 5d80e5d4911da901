"""What the studies read of run folders: the training's log, and rates in brief."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METRICS_FILE = "metrics.jsonl"


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """What a training has logged so far; a last line that was cut is left out."""
    path = folder / METRICS_FILE
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def brief(proportion: Mapping[str, Any] | None) -> dict[str, float] | None:
    """A rate of results.json with its interval alone; None stays None."""
    if proportion is None:
        return None
    return {name: round(proportion[name], 5) for name in ("rate", "ci_low", "ci_high")}
