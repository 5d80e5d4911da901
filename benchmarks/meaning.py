"""How long it takes, from the first training step, until messages carry what text does.

    python -m benchmarks.meaning --seeds 0 1 2 3 4 --threads 1 2 --gate1

Trains the default recipe, and looks every 10 steps whether the codec's success on the validation episodes has
reached 95% of the text channel's; what the looking takes is counted. `--gate1` also times the two commands
of `make gate1`, each in a process of its own.
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

from benchmarks.processes import run_module
from benchmarks.record import FOLDER, Cell, Goal, Record, Table, keep, settings_of
from benchmarks.timing import machine
from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.agents.language_model import FrozenLM
from parley.agents.pair import Pair
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import TextInput, check_range
from parley.channels.latent import VectorQuantizedChannel, VectorQuantizedConfig
from parley.envs.world import AnyWorld
from parley.envs.worlds import DEFAULT_WORLD, find_world
from parley.evaluation.gates.verdict import EXIT_CODES
from parley.evaluation.playing.stopwatch import timed
from parley.training.config import TrainConfig
from parley.training.presets import DEFAULT_PRESET, find_preset
from parley.training.trainer import Trainer

SHARE, SECONDS, GATE_SECONDS = 0.95, 45.0, 180.0
LOOK_EVERY = 10
RECIPE = find_preset(DEFAULT_PRESET).training
CPU = torch.device("cpu")
EGG = "EGG's discrimination game: 95% with 2 candidates (measured before, not by this script)"
EGG_SECONDS = 56.0
EVALUATION = ("evaluation.gate1", "--channels", "all", "--seed", "0")


@dataclass(frozen=True, kw_only=True)
class MeaningConfig:
    """What is measured.

    Args:
        seeds: of the training, each a repeat.
        threads: CPU threads; every seed is trained with each, in turns.
        gate1: also time the two commands of `make gate1`, once a seed.
        docs: where the record goes.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    threads: tuple[int, ...] = (1, 2)
    gate1: bool = False
    docs: Path = FOLDER

    def __post_init__(self) -> None:
        if not self.seeds or not self.threads:
            raise ValueError(f"seeds and threads must not be empty, got {self.seeds} and {self.threads}")
        for count in self.threads:
            check_range("threads", count, 1, 1024)


class Run(NamedTuple):
    """One training up to where its messages carry what text does; all times in seconds."""

    seed: int
    threads: int
    steps: int  # that were made
    reached: bool
    success: float  # of the codec when it was last looked
    text: float  # success of the text channel
    preparing: float  # the sender describes and reads all training referents; the validation's are read
    aligning: float
    playing: float
    validating: float
    saving: float

    @property
    def seconds(self) -> float:
        """From the first step on."""
        return self.aligning + self.playing + self.validating + self.saving


def text_success(lm: FrozenLM, trainer: Trainer) -> float:
    """Success of the sender's own words on the validation episodes."""
    validation, world = trainer.validation, trainer.pair.world
    with torch.no_grad():
        # another sender: what this one says, the trained one has still to read
        words = TextInput(Sender(lm, world).describe(validation.sender_views))
        chosen = trainer.pair.receiver.choose(validation.context, words).argmax(-1)
    return float((chosen == validation.targets).double().mean())


def train(lm: FrozenLM, world: AnyWorld, recipe: TrainConfig, threads: int) -> Run:
    """Train until 95% of text's success is reached, or to the recipe's end.

    Args:
        lm: sender and receiver.
        world: what they play about.
        recipe: how; it is validated as often as it says.
        threads: CPU threads.
    """
    torch.set_num_threads(threads)
    pair = Pair(Sender(lm, world), Receiver(lm), world)
    with TemporaryDirectory() as folder:

        def prepare() -> Trainer:
            torch.manual_seed(recipe.seed)
            channel = VectorQuantizedChannel(VectorQuantizedConfig(), pair.interface)
            return Trainer(channel, pair, recipe, Path(folder))

        trainer, preparing = timed(prepare, CPU)
        return _train(trainer, text_success(lm, trainer), threads, preparing)


def _train(trainer: Trainer, text: float, threads: int, preparing: float) -> Run:
    config = trainer.config
    seconds = {"aligning": 0.0, "playing": 0.0, "validating": 0.0, "saving": 0.0}
    reached, success = False, 0.0
    while trainer.step_number < config.steps and not reached:
        phase = "aligning" if trainer.step_number < config.alignment_steps else "playing"
        seconds[phase] += timed(trainer.step, CPU)[1]
        if trainer.step_number % config.validate_every:
            continue
        found, second = timed(trainer.validate, CPU)
        seconds["validating"] += second
        success = found["validation_success"]
        reached = trainer.channel.ready and success >= SHARE * text
        seconds["saving"] += timed(trainer.save, CPU)[1]
    return Run(
        config.seed, threads, trainer.step_number, reached, success, text, preparing=preparing, **seconds
    )


class Gate(NamedTuple):
    """The two commands of `make gate1` after installation; times in seconds."""

    seed: int
    training: float
    evaluation: float
    verdict: str


def gate1(seed: int) -> Gate:
    """Run the two commands in an empty folder, each in a process of its own."""
    with TemporaryDirectory() as folder:
        run = f"runs/latent_vq-seed{seed}"
        training = run_module(
            ["training.run", "--channel", "latent_vq", "--seed", str(seed), "--folder", run, "--resume"],
            Path(folder),
        )
        evaluation = run_module(
            [*EVALUATION, "--checkpoint", run, "--folder", f"{run}/gate1"],
            Path(folder),
            allowed=tuple(EXIT_CODES.values()),
        )
    verdict = next(name for name, code in EXIT_CODES.items() if code == evaluation.code)
    return Gate(seed, training.seconds, evaluation.seconds, verdict)


def measure(config: MeaningConfig, console: Console) -> tuple[list[Run], list[Gate]]:
    """Every seed with every number of threads, in turns, and the gates where they are asked for."""
    lm, world = FrozenLM(), find_world(DEFAULT_WORLD)
    runs, gates = [], []
    for seed in config.seeds:
        for threads in config.threads:
            run = train(lm, world, replace(RECIPE, seed=seed, validate_every=LOOK_EVERY), threads)
            runs.append(run)
            console.print(
                f"seed {seed}, {_spelled(threads)}: {run.success:.1%} (text {run.text:.1%}) after "
                f"{run.steps} steps and {run.seconds:.1f} s; before, {run.preparing:.1f} s of preparation",
                soft_wrap=True,
            )
    for seed in config.seeds if config.gate1 else ():
        gates.append(gate1(seed))
        console.print(f"make gate1, seed {seed}: {sum(gates[-1][1:3]):.1f} s, {gates[-1].verdict}")
    return runs, gates


def _spelled(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def report(config: MeaningConfig, runs: Sequence[Run], gates: Sequence[Gate]) -> Record:
    """The tables and the goals."""
    rows: list[list[Cell]] = []
    parts: list[list[Cell]] = []
    goals = [Goal("share of trainings that reached it", ">=", 1.0, statistics.fmean(r.reached for r in runs))]
    for threads in config.threads:
        of, on = [run for run in runs if run.threads == threads], _spelled(threads)
        there = [run.seconds for run in of if run.reached]
        middle = statistics.median(there) if there else None
        rows.append(
            [on, f"{len(there)} of {len(of)}", middle, min(there, default=None),
             max(there, default=None), statistics.median(run.steps for run in of)]
        )  # fmt: skip
        parts += [
            [f"{part}, {on}", statistics.median(getattr(run, part) for run in of)]
            for part in ("preparing", "aligning", "playing", "validating", "saving")
        ]
        what = f"median seconds from the first step to {SHARE:.0%} of text's success, {on}"
        goals.append(Goal(what, "<=", SECONDS, middle))
    rows.append([EGG, None, EGG_SECONDS, None, None, None])
    whole = [gate.training + gate.evaluation for gate in gates]
    if gates:
        rows.append(["make gate1, after installation", f"{len(gates)} of {len(gates)}",
                     statistics.median(whole), min(whole), max(whole), None])  # fmt: skip
    asked = "median seconds of make gate1, from installation to verdict"
    goals.append(Goal(asked, "<=", GATE_SECONDS, statistics.median(whole) if gates else None))
    columns = ["", "reached", "seconds, median", "least", "most", "steps"]
    return Record(
        question="How long does it take until messages carry what text does?",
        machine=machine(max(config.threads)),
        settings=settings_of(config) | {"text": runs[0].text, "look_every": LOOK_EVERY},
        tables=[
            Table(f"From the first training step to {SHARE:.0%} of text's success", columns, rows),
            Table("By part, median over the seeds", ["part", "seconds"], parts),
        ],
        goals=goals,
        points={
            "runs": [run._asdict() | {"seconds": run.seconds} for run in runs],
            "gates": [gate._asdict() for gate in gates],
        },
    )


def main() -> int:
    """Entry point of `python -m benchmarks.meaning`."""
    config = parse_arguments(MeaningConfig, sys.argv[1:], __doc__, "benchmarks.meaning")
    keep("meaning", report(config, *measure(config, Console())), config.docs)
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
