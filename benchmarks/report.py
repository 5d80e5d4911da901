"""Write docs/performance.md and its pictures from the records in docs/performance.

python -m benchmarks.report
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.pictures import draw_gain, draw_growth
from benchmarks.record import FOLDER, spell
from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.evaluation.files import atomic_write
from parley.evaluation.reporting.templates import templates_in

SCRIPTS = ("floor", "alternatives", "evaluating", "environment", "meaning", "growth", "cost", "likelihood")


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What is written.

    Args:
        folder: of the records, and of the pictures.
        page: the page.
    """

    folder: Path = FOLDER
    page: Path = Path("docs/performance.md")


def write_page(folder: Path, page: Path) -> None:
    """Write the page from all records that there are; a missing one is said to be missing."""
    records = {name: _read(folder / f"{name}.json") for name in SCRIPTS}
    if (alternatives := records["alternatives"]) is not None:
        atomic_write(folder / "gain.png", draw_gain(alternatives["points"]["grid"]))
    if (growth := records["growth"]) is not None:
        fitted = {row[0]: (row[2], row[3]) for row in growth["tables"][0]["rows"]}
        atomic_write(folder / "growth.png", draw_growth(growth["points"]["steps"], fitted))
    environment = templates_in(Path(__file__).parent)
    environment.filters.update(spell=spell, table=markdown, goals=markdown_goals)
    machines = {name: record["machine"] for name, record in records.items() if record is not None}
    text = environment.get_template("performance.md.jinja").render(records=records, machines=machines)
    atomic_write(page, text.encode())


def _read(path: Path) -> dict[str, Any] | None:
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return found


def markdown(table: Mapping[str, Any]) -> str:
    """A table of a record."""
    columns: Sequence[str] = table["columns"]
    rule = ["---", *["--:"] * (len(columns) - 1)]
    rows = [list(columns), rule, *([spell(cell) for cell in row] for row in table["rows"])]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def markdown_goals(goals: Sequence[Mapping[str, Any]]) -> str:
    """The goals of a record, each beside what was measured."""
    said = {True: "met", False: "**missed**", None: "not measured"}
    senses = {"<=": "at most", ">=": "at least"}
    rows = [["goal", "asked", "measured", ""], ["---", "--:", "--:", "---"]]
    rows += [
        [g["what"], f"{senses[g['sense']]} {spell(g['bound'])}", spell(g["measured"]), said[g["met"]]]
        for g in goals
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    """Entry point of `python -m benchmarks.report`."""
    config = parse_arguments(ReportConfig, sys.argv[1:], __doc__, "benchmarks.report")
    write_page(config.folder, config.page)
    Console().print(f"page: {config.page}")
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
