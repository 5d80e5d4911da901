"""What a benchmark found, as JSON: tables, goals beside what was measured, and points of pictures."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.table import Table as Shown

from parley.evaluation.files import atomic_write

FOLDER = Path("docs/performance")
MOST_COLUMNS = 7
Cell = str | int | float | None


class Goal(NamedTuple):
    """What was asked for before anything was measured."""

    what: str
    sense: Literal["<=", ">="]
    bound: float
    measured: float | None  # None where it could not be measured

    @property
    def met(self) -> bool | None:
        """Whether the measurement keeps the bound; None where there is none."""
        if self.measured is None:
            return None
        return self.measured <= self.bound if self.sense == "<=" else self.measured >= self.bound


class Table(NamedTuple):
    """Rows under columns, as the page will show them."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


class Record(NamedTuple):
    """What one script found."""

    question: str
    machine: dict[str, Any]
    settings: dict[str, Any]  # repeats, seeds, n, sizes
    tables: Sequence[Table]
    goals: Sequence[Goal] = ()
    points: dict[str, Any] = {}  # noqa: RUF012 - never written to; what pictures are drawn from

    def as_json(self, command: str) -> dict[str, Any]:
        """All of it, with the command that makes it."""
        return {
            "question": self.question,
            "command": command,
            "machine": self.machine,
            "settings": self.settings,
            "tables": [table._asdict() for table in self.tables],
            "goals": [goal._asdict() | {"met": goal.met} for goal in self.goals],
            "points": self.points,
        }


def settings_of(config: Any) -> dict[str, Any]:
    """A script's own dataclass as a record's settings: all but `docs`, where the record goes."""
    return {name: value for name, value in asdict(config).items() if name != "docs"}


def keep(name: str, record: Record, folder: Path = FOLDER, command: str | None = None) -> Path:
    """Write a record to NAME.json and show it; returns the file. It names this command, or the given one."""
    folder.mkdir(parents=True, exist_ok=True)
    command = command or shlex.join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]])
    path = folder / f"{name}.json"
    atomic_write(path, (json.dumps(record.as_json(command), indent=1) + "\n").encode())
    show(record, Console())
    return path


def show(record: Record, console: Console) -> None:
    """The tables and goals, for the terminal."""
    for table in record.tables:
        columns, rows = list(table.columns), [list(map(spell, row)) for row in table.rows]
        if len(columns) > MOST_COLUMNS and len(rows) < MOST_COLUMNS:  # a terminal has more lines than columns
            columns, *rows = map(list, zip(columns, *rows, strict=True))
        shown = Shown(title=table.title, title_justify="left")
        for number, column in enumerate(columns):
            shown.add_column(column, justify="left" if number == 0 else "right")
        for row in rows:
            shown.add_row(*row)
        console.print(shown)
    for goal in record.goals:
        said = {True: "[green]met[/]", False: "[red]missed[/]", None: "not measured"}[goal.met]
        console.print(f"{goal.what}: {spell(goal.measured)} ({goal.sense} {spell(goal.bound)}), {said}")


def spell(value: Cell) -> str:
    """A cell: three digits that count, no exponents, a dash for what was not measured."""
    if value is None:
        return "–"
    if isinstance(value, str | int):
        return str(value)
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1e}"
