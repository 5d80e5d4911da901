"""The study of the repair: does the failed recipe fail here, what repairs it, how few bits suffice?

    python -m studies.repair --parts all --jobs 2

Trains and plays what studies/repair_plan.py lists, one folder a task under runs/default, and gathers
what came of it in docs/results: repair.json, repair.md and the pictures. A study that was
interrupted resumes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.channels.base import check_range
from studies.record import RECORD, gather_outcomes, restore_outcomes, update_record
from studies.repair_plan import parts
from studies.report import write_study
from studies.runner import run_tasks


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What is run.

    Args:
        parts: names of parts, or all; `report` alone makes the page again from the file of record.
        folder: where the trainings are kept.
        docs: where the file of record, the page and the pictures go.
        jobs: tasks side by side, each on one thread.
        restore: take as done what the file of record holds, instead of running everything anew.
    """

    parts: tuple[str, ...] = ("all",)
    folder: Path = Path("runs/default")
    docs: Path = Path("docs/results")
    jobs: int = 2
    restore: bool = False

    def __post_init__(self) -> None:
        check_range("jobs", self.jobs, 1, 256)
        unknown = sorted(set(self.parts) - {"all", "report", *parts()})
        if unknown or not self.parts:
            raise ValueError(
                f"unknown parts {', '.join(unknown)!r}; the parts are: {', '.join(parts())}, or all"
            )

    @property
    def chosen(self) -> list[str]:
        """The parts in the order in which they are run."""
        return [name for name in parts() if name in self.parts or "all" in self.parts]


def main() -> int:
    """Entry point of `python -m studies.repair`."""
    config = parse_arguments(StudyConfig, sys.argv[1:], __doc__, "studies.repair")
    console = Console()
    everything = [task for part in parts().values() for tasks in part for task in tasks]
    if config.restore:
        restored = restore_outcomes(config.docs / RECORD, everything, config.folder)
        console.print(f"{restored} of {len(everything)} tasks are taken from {config.docs / RECORD}")
    rounds = [parts()[name] for name in config.chosen]
    for number in range(max(map(len, rounds), default=0)):
        tasks = [task for part in rounds if number < len(part) for task in part[number]]
        run_tasks(tasks, config.folder, config.jobs, console)
    if config.chosen:
        update_record(config.docs / RECORD, gather_outcomes(everything, config.folder))
    write_study(config.docs)
    console.print(f"page: {config.docs / 'repair.md'}")
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
