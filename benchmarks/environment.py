"""How many turns a second the game plays, beside two of PettingZoo's speaker-listener games.

    python -m benchmarks.environment --repeats 5

Random agents play each environment under PettingZoo's own `performance_benchmark` for 5 seconds at a time,
in turns, wrapped (`env`) and raw (`raw_env`). `--quick` plays a shorter loop of the same turns, for a look.
"""

from __future__ import annotations

import io
import random
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from mpe2 import simple_reference_v3, simple_speaker_listener_v4
from pettingzoo import AECEnv
from pettingzoo.test import performance_benchmark
from rich.console import Console

from benchmarks.record import FOLDER, Goal, Record, Table, keep, settings_of
from benchmarks.timing import machine, ratio, spread
from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.channels.base import check_range
from parley.envs import referential_v0

OURS = "referential_v0"
LONGER = "referential_v0, 25 rounds"
PEERS = ("simple_speaker_listener_v4", "simple_reference_v3")
ASKED = 1.5
QUICK_SECONDS = 0.05

Make = Callable[[], AECEnv]
Rates = dict[str, list[float]]


@dataclass(frozen=True, kw_only=True)
class EnvironmentConfig:
    """What is measured.

    Args:
        repeats: how often each environment is played, in turns; at least 5.
        threads: CPU threads of torch, which the environment does not use.
        seed: of the agents.
        quick: a twentieth of a second at a time, not PettingZoo's five; no figures of record.
        docs: where the record goes.
    """

    repeats: int = 5
    threads: int = 1
    seed: int = 0
    quick: bool = False
    docs: Path = FOLDER

    def __post_init__(self) -> None:
        check_range("repeats", self.repeats, 5)
        check_range("threads", self.threads, 1, 1024)


def environments(interface: str) -> dict[str, Make]:
    """How the environments are made: each as it comes, and ours with rounds as many as their cycles.

    Args:
        interface: `env` or `raw_env`.
    """
    ours = getattr(referential_v0, interface)
    return {
        OURS: ours,
        LONGER: partial(ours, num_rounds=25),
        PEERS[0]: getattr(simple_speaker_listener_v4, interface),
        PEERS[1]: getattr(simple_reference_v3, interface),
    }


def turns_per_second(game: AECEnv) -> float:
    """What PettingZoo's `performance_benchmark` prints after its 5 seconds."""
    with redirect_stdout(io.StringIO()) as printed:
        performance_benchmark(game)
    return read_turns(printed.getvalue())


def read_turns(printed: str) -> float:
    """The turns per second in what `performance_benchmark` printed.

    Raises:
        ValueError: if it printed none.
    """
    found = re.search(r"^([0-9.e+]+) turns per second$", printed, re.MULTILINE)
    if found is None:
        raise ValueError(f"printed must hold 'turns per second' after a number, got {printed!r}")
    return float(found.group(1))


def turns_per_second_of(game: AECEnv, seconds: float) -> float:
    """The same turns as PettingZoo's, for a time of one's own."""
    game.reset()
    turns, began = 0, perf_counter()
    while perf_counter() - began < seconds:
        for agent in game.agent_iter(game.num_agents):
            game.last()
            game.step(game.action_space(agent).sample())
            turns += 1
            if all(game.terminations.values()) or all(game.truncations.values()):
                game.reset()
    return turns / (perf_counter() - began)


def measure(config: EnvironmentConfig, console: Console) -> dict[str, Rates]:
    """Turns per second of each repeat, by interface and environment."""
    random.seed(config.seed)
    rate = partial(turns_per_second_of, seconds=QUICK_SECONDS) if config.quick else turns_per_second
    rates: dict[str, Rates] = {}
    for interface in ("env", "raw_env"):
        games = {name: make() for name, make in environments(interface).items()}
        for game in games.values():
            for number, agent in enumerate(game.possible_agents):
                game.action_space(agent).seed(config.seed + number)
            turns_per_second_of(game, QUICK_SECONDS)  # what the first turns alone have to do
        rates[interface] = {name: [] for name in games}
        for repeat in range(config.repeats):
            for name, game in games.items():
                rates[interface][name].append(rate(game))
            shown = ", ".join(f"{name} {row[-1]:,.0f}" for name, row in rates[interface].items())
            console.print(f"{interface}, {repeat + 1} of {config.repeats}: {shown} turns/s", soft_wrap=True)
    return rates


def faster_peer(rates: Mapping[str, Sequence[float]]) -> str:
    """The peer with the larger median."""
    return max(PEERS, key=lambda name: statistics.median(rates[name]))


def report(config: EnvironmentConfig, rates: Mapping[str, Rates]) -> Record:
    """The table and the goals."""
    rows: list[list[str | float]] = []
    goals = []
    for interface, of in rates.items():
        peer = faster_peer(of)
        for name, each in of.items():
            low, high = spread(each, of[peer])
            rows.append([name, interface, statistics.median(each), ratio(each, of[peer]), low, high])
        what = f"{interface}: turns per second of {OURS} by those of {peer}, the faster peer"
        goals.append(Goal(what, ">=", ASKED, ratio(of[OURS], of[peer])))
    columns = ["environment", "interface", "turns per second", "by the faster peer", "least", "most"]
    title = f"Turns per second of random agents, median of {config.repeats} repeats"
    settings: dict[str, Any] = settings_of(config) | {"numpy": np.__version__}
    return Record(
        question="How many turns a second does the game play?",
        machine=machine(config.threads),
        settings=settings,
        tables=[Table(title, columns, rows)],
        goals=goals,
        points={"turns_per_second": rates},
    )


def main() -> int:
    """Entry point of `python -m benchmarks.environment`."""
    config = parse_arguments(EnvironmentConfig, sys.argv[1:], __doc__, "benchmarks.environment")
    torch.set_num_threads(config.threads)
    keep("environment", report(config, measure(config, Console())), config.docs)
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
