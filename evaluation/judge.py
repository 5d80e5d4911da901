"""Judge recorded episodes and write the run: what the command line calls, without any model."""

import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from parley.channels.checkpoint import file_hash
from parley.evaluation.aggregation.run_data import RunAggregator, gather_file
from parley.evaluation.files import atomic_write
from parley.evaluation.records.beside import RESULTS_FILE, origin_of
from parley.evaluation.reporting.gallery import gather_gallery
from parley.evaluation.reporting.report import write_report
from parley.evaluation.results import Results, build_results

LOOK_EVERY = 50
"""Episodes between two looks of --until-decided; how many are played at once changes nothing in it."""


def judge_file(
    path: str | Path,
    folder: str | Path,
    provenance: Mapping[str, Any] | None = None,
    *,
    gates: Sequence[int] = (1,),
    sequential: bool = False,
) -> Results:
    """Judge an episodes file and write the run to a folder; run.json and results.json beside it are read.

    Args:
        path: the JSON-lines file.
        folder: where results.json and the reports go; made if need be.
        provenance: added to what is found beside the file and to the versions.
        gates: those that decide the verdict, of 1, 2 and 3.
        sequential: whether the number of episodes was left open.

    Returns:
        The content of results.json.

    Raises:
        ValueError: naming the line, or the file beside, that is wrong; nothing is written then.
        OSError: if the file cannot be read or the folder not be written.
    """
    path = Path(path)
    origin: dict[str, Any] = {
        "command": f"parley gate1 --from-episodes {shlex.quote(str(path))}",
        **origin_of(path),
        "versions": versions("numpy", "scipy"),
    }
    origin |= provenance or {}
    results = build_results(gather_file(path), origin, gates=gates, sequential=sequential)
    write_run(results, folder, path)
    return results


def write_run(
    results: Results,
    folder: str | Path,
    episodes: Path | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> None:
    """Write the reports, and results.json last; each file appears whole or not at all.

    Args:
        results: as from build_results; its provenance also keeps the SHA-256 of the episodes.
        folder: where to; made if need be.
        episodes: the file that was judged, from which the report shows some episodes.
        pictures: PNG files by name, written beside the reports and shown in them.

    Raises:
        OSError: if the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if episodes is not None and isinstance(results["provenance"].get("episodes"), int):
        results["provenance"]["episodes_sha256"] = file_hash(episodes)
    for name, picture in (pictures or {}).items():
        atomic_write(folder / name, picture)
    gallery = gather_gallery(episodes, results) if episodes else []
    write_report(results, folder, gallery, pictures)
    text = json.dumps(results, indent=2, allow_nan=False) + "\n"
    atomic_write(folder / RESULTS_FILE, text.encode())  # a folder that has it is finished


def is_settled(outcomes: RunAggregator, provenance: Mapping[str, Any], gates: Sequence[int]) -> bool:
    """Whether no further episode can change what is said of any judged channel, however often that is asked.

    Args:
        outcomes: what was played so far.
        provenance: of the run.
        gates: those that decide.
    """
    results = build_results(outcomes.close(), provenance, gates=gates, sequential=True)
    return bool(results["settled"])


def versions(*distributions: str) -> dict[str, str]:
    """Versions of Python, of Parley and of the distributions named, for the provenance.

    Args:
        distributions: names as in the package index.

    Returns:
        Version by name; "not installed" for one that is not.
    """
    found = {"python": platform.python_version()}
    for name in ("parley", *distributions):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
