"""SmolLM2 in the game: two real models that nobody made for it.

    python -m studies.real
    python -m studies.real --trials steps20 label
    python -m studies.real --render-only

Makes the trials of studies/real_plan.py by the ordinary commands, in their order, and writes
docs/results/real.json and the page made of it. A training or a gate that was cut resumes; what is finished
is not run again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.agents.player import PLAYERS_FOLDER, Profile, read_profile
from parley.channels.base import check_range
from parley.evaluation import gate1
from parley.evaluation.admission.rule import read_cell
from parley.evaluation.files import atomic_write
from parley.evaluation.reporting import cells
from parley.evaluation.reporting.templates import templates_in
from parley.plugins.names import unknown
from parley.training.log import read_metrics
from parley.training.presets import find_preset
from parley.training.run import parse, train
from studies.real_goals import GOALS
from studies.real_plan import MAIN, PRESET, RUNS, SIDE, TRIALS, Trial
from studies.real_record import is_finished, read_trial

RECORD, TEMPLATE, PAGE = "real.json", "real.md.jinja", "real.md"
NOTES = Path(__file__).with_name("real_notes.md")
PROFILE = PLAYERS_FOLDER / "smollm2.json"


@dataclass(frozen=True, kw_only=True)
class RealConfig:
    """What is run.

    Args:
        trials: names; by default all, in the plan's order.
        runs: where run folders are kept.
        results: where the record and the page go.
        threads: CPU threads.
        render_only: make record and page of the run folders that are there, and run nothing.
    """

    trials: tuple[str, ...] = ()
    runs: Path = RUNS
    results: Path = Path("docs/results")
    threads: int = 2
    render_only: bool = False

    def __post_init__(self) -> None:
        check_range("threads", self.threads, 0, 1024)
        for name in self.trials:
            if name not in TRIALS:
                raise unknown("trial", name, TRIALS)

    @property
    def chosen(self) -> list[Trial]:
        """The trials to be made, in the plan's order."""
        return [trial for name, trial in TRIALS.items() if not self.trials or name in self.trials]


def run(config: RealConfig, console: Console) -> None:
    """Make the trials, gather all that are finished, and write the page.

    Raises:
        ValueError: if no trial is finished, so that there is nothing to show.
    """
    config.results.mkdir(parents=True, exist_ok=True)
    if not config.render_only:
        for trial in config.chosen:
            perform(trial, config)
    rows = [read_trial(trial, config.runs) for trial in TRIALS.values() if is_finished(trial, config.runs)]
    if not rows:
        raise ValueError(f"runs must hold a finished trial, got {config.runs}")
    page = render(rows, read_profile(PROFILE, "smollm2.json"), NOTES.read_text())
    atomic_write(config.results / RECORD, (json.dumps(rows, indent=1) + "\n").encode())
    atomic_write(config.results / PAGE, page.encode())
    console.print(f"{config.results / RECORD} and {config.results / PAGE}", soft_wrap=True)


def perform(trial: Trial, config: RealConfig) -> None:
    """Train a trial's codecs and play its gate, as far as that is not done; any verdict is a finding."""
    further = ["--threads", str(config.threads), "--resume"]
    for folder, flags in trial.trainings(config.runs).items():
        asked = parse([*flags, *further])
        logged = read_metrics(folder)
        if not logged or logged[-1]["step"] < asked[2].steps:
            train(*asked)
    if not is_finished(trial, config.runs):
        flags = [*trial.gate_flags(config.runs), *further]
        gate1.run(parse_arguments(gate1.Gate1Config, flags, gate1.__doc__, "parley gate1"), flags)


def render(rows: Sequence[Mapping[str, Any]], profile: Profile, notes: str) -> str:
    """The page.

    Args:
        rows: of the finished trials, as from `read_trial`.
        profile: how SmolLM2 is asked to play.
        notes: what fell short, in Markdown.
    """
    environment = templates_in(Path(__file__).parent)
    environment.filters.update(score=score, percent=cells.percent, number=cells.number, bits=cells.bits)
    found = {row["trial"]: row for row in rows}
    return environment.get_template(TEMPLATE).render(
        main=[found[trial.name] for trial in MAIN if trial.name in found],
        side=[trial for trial in SIDE if trial.name in found],
        missing=[trial for name, trial in TRIALS.items() if name not in found],
        trials=TRIALS,
        found=found,
        goals=GOALS,
        profile=profile,
        tried=sorted(
            map(read_cell, (profile.admission or {}).get("cells", ())), key=lambda cell: -cell.score
        ),
        recipe=find_preset(PRESET).training,
        notes=notes.strip(),
    )


def score(proportion: Mapping[str, Any] | None) -> str:
    """A rate and its interval in percent, such as 92.0 [81.2, 96.8]; an en dash if there is none."""
    if proportion is None:
        return cells.NOT_PLAYED
    return f"{100 * proportion['rate']:.1f} {cells.interval(proportion)}"


def main() -> int:
    """Entry point of `python -m studies.real`."""
    run(parse_arguments(RealConfig, sys.argv[1:], __doc__, "studies.real"), Console())
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
