"""What the shapes of published Qwens cost: memory, seconds a step, seconds an episode.

    python -m studies.shapes --shape qwen2.5-0.5b --batch 8 --steps 5 --device cuda

A pair with random weights trains the default recipe for some steps and plays, each cell in a process of its
own. Adds the cells to shapes.json and writes shapes.md beside it. Random weights prove the machinery, not
meaning.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

from parley.agents.command_line import ExitCode, exit_with
from parley.agents.pair import find_device
from parley.agents.shapes import SHAPES, find_shape
from parley.channels.base import check_range
from parley.evaluation.files import write_whole
from parley.evaluation.reporting.markdown import templates_in
from studies.shape_costs import Cell

RECORD, PAGE = "shapes.json", "shapes.md"
GIB = 1 << 30
Row = Mapping[str, Any]
# what makes two rows the same measurement: the later one replaces the earlier
_KEY = ("shape", "batch", "messages", "steps", "episodes", "values", "device_name", "threads")


@dataclass(frozen=True, kw_only=True)
class ShapesConfig:
    """What is measured.

    Args:
        shape: names of shapes.
        batch: contexts a training step; every shape is measured with each.
        messages: of a context's candidates that take their turn as the target.
        steps: training steps in which the receiver plays; the first is not timed.
        episodes: of the validation and of the evaluation.
        values: that each attribute of the world keeps, at least 3; 0 keeps all.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads.
        busy: other work runs on the machine, so that the page leaves times out.
        docs: where the file of record and the page go.
        page_only: write the page again from the file of record.
    """

    shape: tuple[str, ...] = ("qwen2.5-0.5b", "qwen2.5-1.5b", "qwen2.5-3b")
    batch: tuple[int, ...] = (8, 16, 32, 64)
    messages: int = 5
    steps: int = 5
    episodes: int = 100
    values: int = 0
    device: str = "auto"
    threads: int = 1
    busy: bool = False
    docs: Path = Path("docs/results")
    page_only: bool = False

    def __post_init__(self) -> None:
        for name in self.shape:
            find_shape(name)
        for size in self.batch:
            check_range("batch", size, 1)
        check_range("messages", self.messages, 1, 5)
        check_range("episodes", self.episodes, 2)
        _ = self.cells

    @property
    def cells(self) -> list[Cell]:
        """Everything that is measured, the cheapest first."""
        return [
            Cell(
                shape=shape,
                batch=batch,
                messages=self.messages,
                steps=self.steps,
                episodes=self.episodes,
                values=self.values,
                device=self.device,
                threads=self.threads,
            )
            for shape in self.shape
            for batch in sorted(self.batch)
        ]


def measure(config: ShapesConfig, console: Console) -> list[dict[str, Any]]:
    """Run the cells one after another, each in a fresh process, whose memory is its own."""
    rows = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for cell in config.cells:
            with console.status(f"{cell.shape}, {cell.batch} contexts a step"):
                rows.append(pool.submit(cell.run).result() | {"busy": config.busy})
            console.print(f"{cell.shape}, {cell.batch} contexts a step: {_outcome(rows[-1])}", soft_wrap=True)
    return rows


def add_rows(path: Path, rows: Sequence[Row]) -> list[Row]:
    """Write rows into the file of record, over earlier measurements of the same; returns all of it."""
    known = json.loads(path.read_text()) if path.exists() else []
    merged = {tuple(row[name] for name in _KEY): row for row in [*known, *rows]}
    order = list(SHAPES)
    everything = sorted(
        merged.values(), key=lambda row: (row["device_name"], order.index(row["shape"]), row["batch"])
    )
    lines = ",\n".join(map(json.dumps, everything))
    write_whole(path, f"[\n{lines}\n]\n".encode())
    return everything


def write_page(rows: Sequence[Row], folder: Path) -> None:
    """Write the page from the rows of the file of record."""
    environment = templates_in(Path(__file__).parent)
    environment.filters.update(gib=lambda size: f"{size / GIB:.2f}")
    measured = [row for row in rows if not row["out_of_memory"]]
    page = environment.get_template("shapes.md.jinja").render(
        rows=rows,
        shapes=SHAPES,
        used=[name for name in SHAPES if any(row["shape"] == name for row in rows)],
        devices=sorted({row["device_name"] for row in rows}),
        settings=dict.fromkeys((row["device_name"], _settings(row)) for row in measured),
        versions=sorted({row["torch"] for row in measured}),
        on_cuda=any(row["precision"] == "bfloat16" for row in measured),
        busy=any(row["busy"] for row in rows),
    )
    write_whole(folder / PAGE, page.encode())


def _settings(row: Row) -> str:
    """What a reader must know beside a row, in a sentence."""
    world = f" (a world cut down to {row['values']} values an attribute)" if row["values"] else ""
    return (
        f"{row['steps']} steps in which the receiver plays, {row['episodes']} episodes, "
        f"{row['referents']} training referents{world}; Gate 1 of so few episodes says {row['verdict']}."
    )


def _outcome(row: Row) -> str:
    if row["out_of_memory"]:
        return "out of memory"
    peak = max(row["training_peak_bytes"], row["playing_peak_bytes"])
    return f"{row['seconds']['step']:.2f} s a step, at most {peak / GIB:.2f} GiB"


def main() -> int:
    """Entry point of `python -m studies.shapes`."""
    config = tyro.cli(
        ShapesConfig,
        args=sys.argv[1:],
        description=__doc__,
        config=(tyro.conf.OmitArgPrefixes,),
        prog="studies.shapes",
    )
    console = Console()
    config.docs.mkdir(parents=True, exist_ok=True)
    if not config.page_only:
        find_device(config.device)
        add_rows(config.docs / RECORD, measure(config, console))
    write_page(add_rows(config.docs / RECORD, []), config.docs)
    console.print(f"page: {config.docs / PAGE}")
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
