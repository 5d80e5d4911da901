"""The calibration of Gate 1: how often does it pass what it must refuse, and refuse what it must pass?

    python -m studies.calibration --experiments 2000

Simulates experiments whose truth is known, judges each by the rule, puts the failures of
the original experiment to the instrument, and writes calibration.json, calibration.md and a picture.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.channels.base import check_range
from parley.evaluation.files import atomic_write
from parley.evaluation.gates.chance_power import chance_power, episodes_for_chance
from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.records import RecordWriter
from parley.evaluation.reporting.templates import templates_in
from parley.evaluation.results import build_results
from studies import calibration_plan as plan
from studies.calibration_chart import draw_calibration
from studies.failures import FAILURES, Caught, judge_failure, original_records

RECORD, PAGE, PICTURE = "calibration.json", "calibration.md", "calibration.png"
ORIGINAL = "original_experiment.jsonl"
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """What is simulated.

    Args:
        experiments: of every truth and number of episodes.
        seed: of the simulation.
        jobs: processes side by side.
        docs: where the file of record, the page and the picture go.
        page_only: write the page again from the file of record.
    """

    experiments: int = 2000
    seed: int = 0
    jobs: int = 1
    docs: Path = Path("docs/results")
    page_only: bool = False

    def __post_init__(self) -> None:
        check_range("experiments", self.experiments, 1, 10_000_000)
        check_range("seed", self.seed, 0, 2**31 - 1)
        check_range("jobs", self.jobs, 1, 256)


def run_cells(config: CalibrationConfig, console: Console) -> list[dict[str, Any]]:
    """Simulate every cell, several at a time; the result does not depend on how many."""
    cells = plan.cells(config.experiments, config.seed)
    with ProcessPoolExecutor(config.jobs, mp_context=get_context("spawn")) as pool:
        done = pool.map(plan.Cell.run, cells)
        return list(track(done, "simulating", total=len(cells), console=console, transient=True))


def write_page(rows: Rows, folder: Path) -> None:
    """Write the page and its picture beside the file of record."""
    atomic_write(folder / PICTURE, draw_calibration(partial(_find, rows)))
    with RecordWriter(folder / ORIGINAL) as writer:
        writer.write(original_records())
    environment = templates_in(Path(__file__).parent)
    environment.filters.update(share=_share, passes=_passes, caught=_caught)
    page = environment.get_template("calibration.md.jinja").render(
        plan=plan,
        honest=[plan.success(rate) for rate in plan.SUCCESS],
        cell=partial(_find, rows),
        cells_of=partial(_fault_cells, rows),
        worst=partial(_worst, rows),
        needed={number: episodes_for_chance(plan.LEAST_PASSES, number) for number in plan.CANDIDATES},
        all_at_chance=chance_power(plan.USUAL_N, plan.USUAL_CANDIDATES),
        experiments=rows[0]["experiments"],
        seed=rows[0]["seed"],
        caught=[judge_failure(failure) for failure in FAILURES if failure.records],
        original=build_results(original_records(), {})["sentence"],
        held=[failure for failure in FAILURES if not failure.records],
    )
    atomic_write(folder / PAGE, page.encode())


def _find(
    rows: Rows, truth: str, n: int, number: int = plan.USUAL_CANDIDATES, **others: object
) -> Mapping[str, Any]:
    """The cell of a truth, a number of episodes and one of candidates; by default with n fixed beforehand."""
    wanted = {"truth": truth, "n": n, "num_candidates": number, "until_decided": False, **others}
    wanted.setdefault("margin", Thresholds().most_margin)
    return next(row for row in rows if all(row[key] == value for key, value in wanted.items()))


def _fault_cells(rows: Rows, truth: str) -> list[Mapping[str, Any]]:
    """The cells of a fault: by n, until decided, and with more candidates."""
    return [
        *(_find(rows, truth, n) for n in plan.EPISODES),
        _find(rows, truth, plan.MOST_EPISODES, until_decided=True),
        *(_find(rows, truth, plan.EPISODES[-1], number) for number in (10, 26)),
    ]


def _worst(rows: Rows, truths: Iterable[str], number: int | None = None) -> float:
    """The largest share of passes of some truths in any cell, for some number of candidates or for all."""
    chosen = [row for row in rows if row["truth"] in truths and number in (None, row["num_candidates"])]
    return max(map(_passes, chosen))


def _passes(row: Mapping[str, Any]) -> float:
    passes: int = row["verdicts"].get("pass", 0)
    return passes / float(row["experiments"])


def _share(row: Mapping[str, Any], verdict: str = "pass") -> str:
    """A share of experiments in percent, with the decimals that their number can give."""
    return f"{100 * row['verdicts'].get(verdict, 0) / row['experiments']:.1f}"


def _caught(found: Caught) -> str:
    return ", ".join(f"`{name}`" for name in found.by) if found.verdict != "refused" else found.by[0]


def main() -> int:
    """Entry point of `python -m studies.calibration`."""
    config = parse_arguments(CalibrationConfig, sys.argv[1:], __doc__, "studies.calibration")
    console = Console()
    config.docs.mkdir(parents=True, exist_ok=True)
    if not config.page_only:
        lines = ",\n".join(map(json.dumps, run_cells(config, console)))
        atomic_write(config.docs / RECORD, f"[\n{lines}\n]\n".encode())
    write_page(json.loads((config.docs / RECORD).read_text()), config.docs)
    console.print(f"page: {config.docs / PAGE}")
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
