"""The zoo: every registered channel through Gate 1 on the same episodes, with its price in bits.

    python -m studies.zoo --seeds 0

Trains what has something to learn, by the default recipe or the one its class asks for, plays all channels
by name, and writes docs/results/zoo.json and the page made of it. A training or an evaluation that was cut
goes on; what is finished is not run again.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.channels.registry import channel_class, channel_names
from parley.evaluation.files import atomic_write
from parley.evaluation.gate1 import Gate1Config
from parley.evaluation.playing.play import PlayConfig
from parley.evaluation.reporting.templates import templates_in
from parley.training.log import read_metrics
from parley.training.run import parse, train
from studies.read_runs import brief
from studies.zoo_plan import ORDER, expectation

RECORD, TEMPLATE, PAGE = "zoo.json", "zoo.md.jinja", "zoo.md"


@dataclass(frozen=True, kw_only=True)
class ZooConfig:
    """What is run.

    Args:
        seeds: training seeds; what has nothing to learn is played with the first alone.
        runs: where run folders are kept.
        results: where the record and the page go.
        play: which episodes.
        render_only: make the page of the record that is there, and run nothing.
    """

    seeds: tuple[int, ...] = (0,)
    runs: Path = Path("runs/zoo")
    results: Path = Path("docs/results")
    play: PlayConfig = field(default_factory=PlayConfig)
    render_only: bool = False


def run(config: ZooConfig, console: Console) -> None:
    """Train, play, record, and make the page."""
    record = config.results / RECORD
    if not config.render_only:
        rows = [row for seed in config.seeds for row in play_seed(seed, config, console)]
        atomic_write(record, (json.dumps(rows, indent=1) + "\n").encode())
    rows = json.loads(record.read_text())
    atomic_write(config.results / PAGE, render(rows).encode())
    console.print(f"{record} and {config.results / PAGE}", soft_wrap=True)


def play_seed(seed: int, config: ZooConfig, console: Console) -> list[dict[str, Any]]:
    """Train every trainable channel with one seed, and put them through Gate 1 together."""
    trained = {name: _train(name, seed, config) for name in channel_names() if channel_class(name).trainable}
    names = channel_names() if seed == config.seeds[0] else sorted({*trained, "silence", "text"})
    folder = config.runs / f"gate1-seed{seed}"
    asked = Gate1Config(
        channels=tuple(names),
        checkpoint=tuple(trained.values()),
        folder=folder,
        resume=(folder / "run.json").exists(),
        seed=config.play.seed,
        play=config.play,
    )
    results = asked.made(folder, [f"--channels {','.join(names)}"]).judge(console)
    return [describe(name, seed, results, trained.get(name)) for name in names]


def _train(name: str, seed: int, config: ZooConfig) -> Path:
    """The run folder of a trained channel; one that is finished is left alone."""
    folder = config.runs / f"{name}-seed{seed}"
    chosen = parse(["--channel", name, "--seed", str(seed), "--folder", str(folder), "--resume"])
    logged = read_metrics(folder)
    return folder if logged and logged[-1]["step"] >= chosen[2].steps else train(*chosen)


def describe(name: str, seed: int, results: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """What a channel came to, in brief."""
    kind, found = channel_class(name), results["channels"][name]
    row: dict[str, Any] = {
        "channel": name,
        "about": (kind.__doc__ or "").strip().splitlines()[0],
        "seed": seed if kind.trainable else None,
        "reference": kind.role != "judged",
        "price": kind.bits_formula,
        "bits": found["bits"],
        "tokens": found["tokens"],
        "num_parameters": None,
        "n": results["p0"]["n"],
        "conditions": {key: brief(rate) for key, rate in found["conditions"].items()},
        "followed": brief(found["swap_consistency"]),
        "gate1": found["gate1"]["passed"],
        "failed": [item["reason"] for item in found["gate1"]["criteria"] if item["passed"] is False],
        "transmitted_bits": (found["information"] or {}).get("ci_low"),
        "receiver_flops": results["diagnostics"].get(name, {}).get("receiver_flops"),
    }
    if folder is not None:
        steps = read_metrics(folder)
        best = max(step.get("validation_success", 0) for step in steps)
        row["training"] = {"steps": steps[-1]["step"], "seconds": steps[-1]["seconds"], "validation": best}
    return row


def render(rows: list[dict[str, Any]]) -> str:
    """The page, made of the record alone."""
    environment = templates_in(Path(__file__).parent)
    ordered = sorted(rows, key=_place)
    once = list({row["channel"]: row for row in reversed(ordered)}.values())[::-1]
    return environment.get_template(TEMPLATE).render(rows=ordered, once=once, expectation=expectation)


def _place(row: dict[str, Any]) -> tuple[int, str, int]:
    """Known channels first, in the plan's order; others by name; seeds in ascending order."""
    name = row["channel"]
    return (ORDER.index(name) if name in ORDER else len(ORDER), name, row["seed"] or 0)


def main() -> int:
    """Entry point of `python -m studies.zoo`."""
    run(parse_arguments(ZooConfig, sys.argv[1:], __doc__, "studies.zoo"), Console())
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
