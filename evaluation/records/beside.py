"""What stands beside recorded episodes and says what they are of: run.json and results.json."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parley.agents.player import digest
from parley.channels.checkpoint import file_hash

RUN_FILE = "run.json"
RESULTS_FILE = "results.json"
_KEPT = ("sealed", "seed_chosen", "breaches")


def origin_of(path: Path) -> dict[str, Any]:
    """What recorded episodes are of, as provenance.

    Args:
        path: the episodes file.

    Returns:
        `episodes`: the file, its SHA-256, `planned` (how many episodes each condition was to play) and
        `sha256_when_played`, each None where nothing beside the file says it; and, where something does,
        num_candidates, sealed, seed_chosen and breaches.

    Raises:
        ValueError: if a file beside it is damaged.
        OSError: if one cannot be read.
    """
    run, results = (read_object(path.with_name(name)) for name in (RUN_FILE, RESULTS_FILE))
    provenance = _object(results, "provenance")
    play, judged = _object(run, "play"), provenance.get("episodes")
    before = judged if isinstance(judged, Mapping) else {"planned": judged}
    found = {
        "episodes": {
            "file": path.name,
            "sha256": file_hash(path),
            "planned": play.get("episodes", before.get("planned")),
            "sha256_when_played": provenance.get("episodes_sha256", before.get("sha256_when_played")),
        },
        "num_candidates": play.get("num_candidates", provenance.get("num_candidates")),
    }
    found |= {name: provenance.get(name, run.get(name)) for name in _KEPT}
    return {name: value for name, value in found.items() if value is not None}


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty if the file is not there.

    Raises:
        ValueError: if the file is damaged.
        OSError: if it cannot be read.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: it must hold a JSON object, got {reprlib.repr(found)}")
    kept = found.pop("sha256", None)  # files of before there was a digest, and results, lack it
    if kept not in (None, digest(found)):
        raise ValueError(f"{path} is damaged: its content is not what its SHA-256 was taken of")
    return found


def _object(outer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = outer.get(name)
    return found if isinstance(found, Mapping) else {}
