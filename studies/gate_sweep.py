"""Play a trained channel with its prefix scaled up and down: does success follow the scale, or the content?

    python -m studies.gate_sweep --checkpoint runs/latent_vq-seed0 --gates 0 0.5 1 1.5

Plays the normal condition with the decoder's `scale_gate` set to each value, and to the learned one, on
the same test episodes, with success under null beside it: at gate 0 the prefix is null, bit for bit.
Writes gate_sweep.json and gate_sweep.png. Exit codes: 0 done, 2 usage, 3 could not run.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.agents.pair import ModelConfig, Pair
from parley.channels.base import check_range
from parley.channels.checkpoint import read_header
from parley.channels.latent import LatentChannel
from parley.channels.registry import channel_class
from parley.envs.worlds import find_world
from parley.evaluation.aggregation.nll import nll_by_condition
from parley.evaluation.files import atomic_write
from parley.evaluation.playing.entries import CHECKPOINT_FILE, enter
from parley.evaluation.playing.play import Entry, PlayConfig, num_batches, play
from parley.evaluation.playing.provenance import describe
from parley.evaluation.records import EpisodeRecord
from parley.evaluation.reporting import cells
from parley.evaluation.statistics import wilson
from studies.gate_chart import draw_gates

SCHEMA_VERSION = 1
HIGHEST_GATE = 100.0


@dataclass(frozen=True, kw_only=True)
class GateSweepConfig:
    """What is swept.

    Args:
        checkpoint: a checkpoint file or run folder of a channel with a codec.
        gates: values of the decoder's scale gate, which replace the learned one; it is played as well.
        folder: where the results go; by default gate_sweep, beside the checkpoint.
        play: which episodes.
        models: which frozen models play.
    """

    checkpoint: Path
    gates: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
    folder: Path | None = None
    play: PlayConfig = field(default_factory=PlayConfig)
    models: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        if not self.gates:
            raise ValueError("gates must hold at least 1 value, got none")
        for gate in self.gates:
            check_range("gates", gate, 0, HIGHEST_GATE)

    @property
    def file(self) -> Path:
        """The checkpoint file."""
        return self.checkpoint / CHECKPOINT_FILE if self.checkpoint.is_dir() else self.checkpoint


def run(config: GateSweepConfig, arguments: list[str]) -> int:
    """Load, sweep, write and show."""
    console = Console()
    name = read_header(config.file).channel
    if not issubclass(channel_class(name), LatentChannel):
        raise ValueError(f"checkpoint must be of a channel with a scale gate, got {name!r}")
    folder = config.folder or config.file.parent / "gate_sweep"
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.play.seed)
    with console.status("the models are loaded"):
        game = config.play.make_game(find_world(config.play.world), "train")
        pair = Pair.load(config.models, game.world, game)
        channel = enter(name, pair, config.file).channel
    assert isinstance(channel, LatentChannel), "checked by its class"
    results = sweep(pair, channel, config.gates, config.play, console)
    results["provenance"] = describe(
        "python -m studies.gate_sweep", arguments, config.play, pair, {name: config.file}
    )
    text = json.dumps(results, indent=2, allow_nan=False) + "\n"
    atomic_write(folder / "gate_sweep.json", text.encode())
    atomic_write(folder / "gate_sweep.png", draw_gates(results))
    print_gates(results, console)
    console.print(f"written to {folder}", soft_wrap=True)
    return ExitCode.PASS


def sweep(
    pair: Pair, channel: LatentChannel, gates: tuple[float, ...], config: PlayConfig, console: Console
) -> dict[str, Any]:
    """Play a channel under each gate, the learned one included.

    Args:
        pair: who plays.
        channel: in eval mode; it stays as it is.
        gates: values of the decoder's scale gate, at least 0.
        config: which episodes.
        console: where progress is shown.

    Returns:
        The content of gate_sweep.json but for its provenance, see docs/results_schema.md.
    """
    learned = channel.decoder.scale_gate.item()
    values = sorted({*gates, learned})
    entries = {str(value): Entry(with_gate(channel, value), channel.role, ("normal",)) for value in values}
    entries["null"] = Entry(channel, channel.role, ("null",))
    records: dict[str, list[EpisodeRecord]] = defaultdict(list)
    total = num_batches(entries, config)
    batches = play(pair, entries, config)
    for batch in track(batches, "playing", total=total, console=console, transient=True):
        records[batch[0].channel] += batch
    return {
        "schema_version": SCHEMA_VERSION,
        "channel": channel.name,
        "learned_gate": learned,
        "num_candidates": config.num_candidates,
        "chance": 1 / config.num_candidates,
        "null": _success(records["null"]),
        "gates": [
            {"gate": value, "learned": value == learned, **_success(records[str(value)])} for value in values
        ],
    }


def with_gate(channel: LatentChannel, gate: float) -> LatentChannel:
    """A copy of a channel whose decoder scales the prefix by `gate`."""
    scaled = deepcopy(channel)
    torch.nn.init.constant_(scaled.decoder.scale_gate, gate)
    return scaled


def _success(records: list[EpisodeRecord]) -> dict[str, float]:
    """A proportion as in results.json, and the negative log-likelihood in nats."""
    proportion = asdict(wilson(sum(record.success for record in records), len(records)))
    [nll] = nll_by_condition(records).values()
    return {**proportion, "nll": nll}


def print_gates(results: dict[str, Any], console: Console) -> None:
    """Print the sweep as a table, null first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for header in ("gate", "success", "interval", "nll, nats"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("")
    table.add_row("null", *_row(results["null"]), "true zeros", style="dim")
    for point in results["gates"]:
        said = "learned" if point["learned"] else "the prefix is null" if point["gate"] == 0 else ""
        style = "bold" if point["learned"] else ""
        table.add_row(f"{point['gate']:.4g}", *_row(point), said, style=style)
    console.print(table)
    console.print(
        f"{results['channel']}, {results['null']['n']} episodes a gate, {results['null']['confidence']:.0%} "
        f"Wilson intervals in percent; chance {cells.percent(results['chance'])}.",
        style="dim",
    )


def _row(point: dict[str, Any]) -> tuple[str, str, str]:
    return cells.percent(point["rate"]), cells.span(point), cells.digits(point["nll"], 3)


def main() -> int:
    """Entry point of `python -m studies.gate_sweep`."""
    arguments = sys.argv[1:]
    config = parse_arguments(GateSweepConfig, arguments, __doc__, "studies.gate_sweep")
    return run(config, arguments)


if __name__ == "__main__":
    exit_with(main)
