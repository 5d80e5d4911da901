"""How the cost of a training step, and of an evaluation, grows with everything that has a size.

    python -m benchmarks.growth --repeats 5

Steps in which the receiver plays are timed over one size at a time, with models of random weights; growth is
the slope of log cost against log size over the upper half of the sizes. The evaluation runs in processes of
its own, whose largest resident set is read.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from rich.console import Console

from benchmarks.playing_step import Models, StepSize, bytes_of_a_step, context_tokens, trainer_of
from benchmarks.processes import Ended, run_module
from benchmarks.record import FOLDER, Cell, Goal, Record, Table, keep, settings_of
from benchmarks.timing import Seconds, alternate, exponent, machine
from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.channels.base import check_range
from parley.evaluation.gates.verdict import EXIT_CODES

LINEAR, FLAT = 1.1, 1.1
MIB = 1 << 20
EVALUATED = "text,silence"


class Axis(NamedTuple):
    """One size that grows while the others stay."""

    name: str
    setting: str  # of StepSize
    sizes: tuple[int, ...]
    start: StepSize
    theory: str
    asked: bool = False  # whether linear growth was asked for


AXES = (
    Axis("batch", "batch", (8, 16, 32, 64), StepSize(), "1", asked=True),
    Axis("messages per context M", "messages", (1, 2, 5, 10), StepSize(candidates=10), "below 1", asked=True),
    Axis("slots k", "k", (1, 2, 4, 8, 16), StepSize(), "below 1", asked=True),
    Axis("candidates N", "candidates", (2, 5, 10, 20), StepSize(messages=1), "1, in attention 2"),
    Axis("context length in tokens", "words", (1, 2, 4, 8), StepSize(), "1, in attention 2"),
    Axis("layers", "layers", (2, 4, 8, 16), StepSize(), "1"),
    Axis("width", "width", (64, 128, 256, 512), StepSize(), "1 to 2"),
)
QUICK = StepSize(batch=2, candidates=3, messages=2, width=64, layers=1)


@dataclass(frozen=True, kw_only=True)
class GrowthConfig:
    """What is measured.

    Args:
        repeats: how often each step is timed, in turns over the sizes of an axis; at least 5.
        threads: CPU threads.
        episodes: of the evaluations.
        quick: the smallest sizes of each axis and a small model, for a look.
        docs: where the record goes.
    """

    repeats: int = 5
    threads: int = 1
    episodes: tuple[int, ...] = (400, 1600, 6400)
    quick: bool = False
    docs: Path = FOLDER

    def __post_init__(self) -> None:
        check_range("repeats", self.repeats, 5)
        check_range("threads", self.threads, 1, 1024)
        if len(set(self.episodes)) < 2 or list(self.episodes) != sorted(self.episodes):
            raise ValueError(
                f"episodes must be at least two different numbers, ascending, got {self.episodes}"
            )

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What grows."""
        return tuple(map(_small, AXES)) if self.quick else AXES


def _small(axis: Axis) -> Axis:
    """The first three sizes of an axis, around a small step."""
    start = replace(QUICK, candidates=5) if axis.setting == "messages" else QUICK
    start = replace(start, messages=1) if axis.setting == "candidates" else start
    return axis._replace(sizes=axis.sizes[:3], start=start)


class Grown(NamedTuple):
    """What was measured along one axis."""

    axis: Axis
    sizes: list[int]  # as they count: of the context, tokens
    seconds: list[Seconds]
    kept_bytes: list[int]

    @property
    def medians(self) -> list[float]:
        """Seconds a step, by size."""
        return [statistics.median(each) for each in self.seconds]

    def exponent_of(self, costs: Sequence[float]) -> float:
        """The slope over the upper half of the sizes, at least two."""
        start = min(len(self.sizes) // 2, len(self.sizes) - 2)
        return exponent(self.sizes[start:], costs[start:])


def grow(axis: Axis, models: Models, repeats: int) -> Grown:
    """Time the steps of one axis in turns, and count what each keeps."""
    steps = [replace(axis.start, **{axis.setting: size}) for size in axis.sizes]
    with TemporaryDirectory() as folder:
        trainers = {str(step): trainer_of(step, models, Path(folder)) for step in steps}
        seconds = alternate({name: trainer.step for name, trainer in trainers.items()}, repeats=repeats)
        kept = [bytes_of_a_step(trainer) for trainer in trainers.values()]
    sizes = list(axis.sizes)
    if axis.setting == "words":
        sizes = [context_tokens(step, models) for step in steps]
    return Grown(axis, sizes, list(seconds.values()), kept)


def evaluate(episodes: int, threads: int) -> Ended:
    """Gate 1 of that many episodes, in a process of its own."""
    flags = ["--episodes", str(episodes), "--channels", EVALUATED, "--threads", str(threads)]
    with TemporaryDirectory() as folder:
        arguments = ["evaluation.gate1", *flags, "--folder", "gate1"]
        return run_module(arguments, Path(folder), allowed=tuple(EXIT_CODES.values()))


def report_steps(grown: Sequence[Grown]) -> tuple[list[Table], list[Goal]]:
    """Exponents beside what theory says, and every step."""
    fitted: list[list[Cell]] = []
    steps: list[list[Cell]] = []
    goals = []
    for found in grown:
        axis, time = found.axis, found.exponent_of(found.medians)
        memory = found.exponent_of([float(kept) for kept in found.kept_bytes])
        fitted.append([axis.name, f"{found.sizes[0]} to {found.sizes[-1]}", time, memory, axis.theory])
        for size, second, kept in zip(found.sizes, found.medians, found.kept_bytes, strict=True):
            steps.append([axis.name, size, second, kept / MIB])
        if axis.asked:
            goals.append(Goal(f"growth of a step's seconds with {axis.name}, exponent", "<=", LINEAR, time))
            goals.append(Goal(f"growth of a step's memory with {axis.name}, exponent", "<=", LINEAR, memory))
    columns = ["what grows", "sizes", "exponent, seconds", "exponent, bytes kept", "theory"]
    return [
        Table("Growth of a step in which the receiver plays", columns, fitted),
        Table("The steps", ["what grows", "size", "seconds", "MiB kept to go backwards"], steps),
    ], goals


def report_evaluations(episodes: Sequence[int], ended: Sequence[Ended]) -> tuple[Table, list[Goal]]:
    """Seconds and memory of evaluations that grow."""
    rows: list[list[Cell]] = [
        [count, end.seconds, end.peak_bytes / MIB] for count, end in zip(episodes, ended, strict=True)
    ]
    added = ended[-1].peak_bytes / ended[0].peak_bytes
    last = exponent(episodes[-2:], [end.seconds for end in ended[-2:]])
    goals = [
        Goal(f"memory of an evaluation, {episodes[-1]} episodes by {episodes[0]}", "<=", FLAT, added),
        Goal("growth of an evaluation's seconds with episodes, exponent", "<=", LINEAR, last),
    ]
    columns = ["episodes", "seconds", "largest resident set, MiB"]
    return Table(f"Gate 1 of {EVALUATED}, in a process of its own", columns, rows), goals


def measure(config: GrowthConfig, console: Console) -> Record:
    """All axes, then the evaluations."""
    models, grown = Models(), []
    for axis in config.axes:
        grown.append(grow(axis, models, config.repeats))
        shown = ", ".join(
            f"{size}: {second:.3f} s" for size, second in zip(axis.sizes, grown[-1].medians, strict=True)
        )
        console.print(f"{axis.name}: {shown}", soft_wrap=True)
    ended = []
    for count in config.episodes:
        ended.append(evaluate(count, config.threads))
        console.print(f"{count} episodes: {ended[-1].seconds:.1f} s, {ended[-1].peak_bytes / MIB:.0f} MiB")
    tables, goals = report_steps(grown)
    table, more = report_evaluations(config.episodes, ended)
    return Record(
        question="How do the costs of a training step and of an evaluation grow?",
        machine=machine(config.threads),
        settings=settings_of(config),
        tables=[*tables, table],
        goals=[*goals, *more],
        points={
            "steps": [
                {"axis": found.axis.name, "sizes": found.sizes, "seconds": found.seconds,
                 "kept_bytes": found.kept_bytes}
                for found in grown
            ],
            "evaluations": [
                end._asdict() | {"episodes": n} for n, end in zip(config.episodes, ended, strict=True)
            ],
        },
    )  # fmt: skip


def main() -> int:
    """Entry point of `python -m benchmarks.growth`."""
    config = parse_arguments(GrowthConfig, sys.argv[1:], __doc__, "benchmarks.growth")
    torch.set_num_threads(config.threads)
    keep("growth", measure(config, Console()), config.docs)
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
