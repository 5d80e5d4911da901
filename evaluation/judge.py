"""Judge recorded episodes and write the run: what the command line calls, without any model."""

import hashlib
import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from parley.evaluation.aggregation.run_data import RunAggregator
from parley.evaluation.files import atomic_write
from parley.evaluation.records import read_records
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
    """Judge an episodes file and write the run to a folder.

    Args:
        path: the JSON-lines file.
        folder: where results.json and the reports go; made if need be.
        provenance: added to the file's name and hash and the versions.
        gates: those that decide the verdict, of 1, 2 and 3.
        sequential: whether the number of episodes was left open.

    Returns:
        The content of results.json.

    Raises:
        ValueError: naming the line that is wrong; nothing is written then.
        OSError: if the file cannot be read or the folder not be written.
    """
    path = Path(path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    origin: dict[str, Any] = {
        "command": f"parley gate1 --from-episodes {shlex.quote(str(path))}",
        "episodes": {"file": path.name, "sha256": sha256},
        "versions": versions("numpy", "scipy"),
    }
    origin |= provenance or {}
    results = build_results(read_records(path), origin, gates=gates, sequential=sequential)
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
        results: as from build_results.
        folder: where to; made if need be.
        episodes: the file that was judged, from which the report shows some episodes.
        pictures: PNG files by name, written beside the reports and shown in them.

    Raises:
        OSError: if the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in (pictures or {}).items():
        atomic_write(folder / name, picture)
    gallery = gather_gallery(episodes, results) if episodes else []
    write_report(results, folder, gallery, pictures)
    text = json.dumps(results, indent=2, allow_nan=False) + "\n"
    atomic_write(folder / "results.json", text.encode())  # a folder that has it is finished


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
