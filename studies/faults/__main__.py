"""Whatever cuts a run or damages a file: is anything lost, different, accepted, or a traceback?

    python -m studies.faults
    python -m studies.faults --kills 5 --flips 200 --disks 2

Kills trainings and evaluations at random moments, fills their disks, and flips single bits in files of every
kind that is read; resumes, and compares bits with runs that were not cut. Small disks take root; without it
they are left out, and the page says so. Exit codes: 0 nothing went wrong, 2 usage, 3 something did.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import join
from typing import Any

import numpy as np
from rich.console import Console

# imported before the commands are forked, so that each need not
import parley.evaluation.gate1
import parley.training.run  # noqa: F401 - as above
from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.channels.base import check_range
from parley.channels.files import atomic_write
from parley.evaluation.judge import versions
from parley.evaluation.reporting.templates import templates_in
from studies.faults.cases import EVALUATION, TRAINING, write_world
from studies.faults.cuts import Uncut, fill, kill
from studies.faults.flips import try_flips
from studies.faults.kinds import all_kinds

WRONG = ("lost", "different", "tracebacks", "accepted", "unnamed", "scraps", "wrong_code")
"""What must be 0 in every row."""
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class FaultsConfig:
    """How much is tried.

    Args:
        kills: random moments at which a training is killed, and as many for an evaluation.
        disks: sizes of disks that are too small, for each.
        flips: flipped bits, over all kinds of files.
        seed: of moments, sizes and bits.
        runs: where runs are kept while it lasts.
        results: where faults.json and faults.md go.
    """

    kills: int = 50
    disks: int = 20
    flips: int = 2000
    seed: int = 0
    runs: Path = Path("runs/faults")
    results: Path = Path("docs/results")

    def __post_init__(self) -> None:
        for name in ("kills", "disks", "flips", "seed"):
            check_range(name, getattr(self, name), 0)


def campaign(config: FaultsConfig, console: Console) -> dict[str, list[Row]]:
    """Try all of it.

    Returns:
        Rows of counts: `cuts` (kills and full disks) and `flips`, one a kind of files.
    """
    root = config.runs.resolve()
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    write_world(root)
    rng = np.random.default_rng(config.seed)

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    cuts: list[Row] = []
    for case in (TRAINING, EVALUATION):
        uncut = Uncut(case, root)
        cuts.append({"run": case.name, "fault": "killed", **kill(uncut, config.kills, rng, tell)})
        if os.geteuid() == 0:
            cuts.append({"run": case.name, "fault": "disk full", **fill(uncut, config.disks, rng, tell)})
    kinds = all_kinds(root)
    shares = np.diff(np.linspace(0, config.flips, len(kinds) + 1).round().astype(int))
    flips = [
        {"files": kind.name, **try_flips(kind, int(share), rng, tell)}
        for kind, share in zip(kinds, shares, strict=True)
    ]
    return {"cuts": cuts, "flips": flips}


def num_wrong(rows: Sequence[Row]) -> int:
    """How often something went wrong."""
    return sum(row.get(name, 0) for row in rows for name in WRONG)


def run(config: FaultsConfig, arguments: Sequence[str]) -> int:
    """Try, write and say what came of it."""
    console = Console()
    found = campaign(config, console)
    record = {
        "command": join(["python", "-m", "studies.faults", *arguments]),
        "settings": asdict(config) | {"runs": str(config.runs), "results": str(config.results)},
        "versions": versions("torch", "safetensors", "transformers"),
        **found,
    }
    wrong = num_wrong([*found["cuts"], *found["flips"]])
    config.results.mkdir(parents=True, exist_ok=True)
    atomic_write(config.results / "faults.json", (json.dumps(record, indent=1) + "\n").encode())
    page = (
        templates_in(Path(__file__).parent).get_template("faults.md.jinja").render(record=record, wrong=wrong)
    )
    atomic_write(config.results / "faults.md", page.encode())
    console.print(f"{wrong} went wrong; see {config.results / 'faults.md'}", soft_wrap=True)
    return ExitCode.COULD_NOT_RUN if wrong else ExitCode.PASS


def main() -> int:
    """Entry point of `python -m studies.faults`."""
    arguments = sys.argv[1:]
    return run(parse_arguments(FaultsConfig, arguments, __doc__, "python -m studies.faults"), arguments)


if __name__ == "__main__":
    exit_with(main)
