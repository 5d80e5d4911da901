"""Put channels through Gate 1: does the message carry meaning?

    python -m evaluation.gate1 --channels all
    python -m evaluation.gate1 --from-episodes episodes.jsonl

Plays every channel under every condition on the same test episodes, judges the records by the
rule in evaluation/GATE1.md, and writes episodes.jsonl, results.json, report.md and success.png.
Exit codes: 0 pass, 1 fail, 2 usage, 3 could not run, 4 inconclusive.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.progress import track

from agents.command_line import RunError, exit_with
from agents.pair import ModelConfig, Pair
from channels.checkpoint import file_hash, read_header
from envs.world import objects_world
from evaluation.contestants import chosen_channels, enter, find_checkpoint, given_checkpoints
from evaluation.judge import EXIT_CODES, judge, judge_file, versions, write_run
from evaluation.play import Contestant, PlayConfig, num_batches, play
from evaluation.records import EpisodeRecord, RecordWriter
from evaluation.report import print_table
from evaluation.results import Results


@dataclass(frozen=True, kw_only=True)
class Gate1Config:
    """What is put to the test.

    Args:
        channels: names, or all.
        checkpoint: checkpoint files or run folders; by default the newest that fits, under `runs`.
        from_episodes: judge these recorded episodes again, without any model.
        folder: where the results go; by default runs/gate1, and runs/gate1-judged-again for recorded
            episodes, so that judging them never replaces what was written when they were played.
        runs: where run folders are looked for.
        play: which episodes.
        models: which frozen models play.
    """

    channels: tuple[str, ...] = ("all",)
    checkpoint: tuple[Path, ...] = ()
    from_episodes: Path | None = None
    folder: Path | None = None
    runs: Path = Path("runs")
    play: PlayConfig = field(default_factory=PlayConfig)
    models: ModelConfig = field(default_factory=ModelConfig)


def run(config: Gate1Config, arguments: list[str]) -> int:
    """Play, judge, write and show; the exit code is the verdict's."""
    console = Console()
    if config.from_episodes is not None:
        folder = config.folder or Path("runs/gate1-judged-again")
        results = judge_file(config.from_episodes, folder)
    else:
        folder = config.folder or Path("runs/gate1")
        results = play_and_judge(config, folder, arguments, console)
    print_table(results, console)
    console.print(f"report: {folder / 'report.md'}", soft_wrap=True)
    return EXIT_CODES[results["verdict"]]


def play_and_judge(config: Gate1Config, folder: Path, arguments: list[str], console: Console) -> Results:
    """Play all channels; the episodes are on disk as they are played."""
    names = chosen_channels(config.channels)
    given = given_checkpoints(config.checkpoint, names)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.play.seed)
    with console.status("the models are loaded, and the sender reads"):
        pair = Pair.load(config.models, objects_world())
        files = {name: given.get(name) or find_checkpoint(name, pair, config.runs) for name in names}
        contestants = {name: enter(name, pair, files[name]) for name in names}
    provenance = describe(config, pair, {n: f for n, f in files.items() if f}, arguments)
    with RecordWriter(folder / "episodes.jsonl") as writer:
        try:
            records = _played(pair, contestants, config.play, writer, console)
            results = judge(records, provenance)
        except KeyboardInterrupt:
            raise RunError(
                f"interrupted; the episodes played so far are kept in {folder / 'episodes.jsonl'} "
                f"and can be judged with --from-episodes"
            ) from None
    write_run(results, folder)
    return results


def _played(
    pair: Pair, contestants: dict[str, Contestant], config: PlayConfig, writer: RecordWriter, console: Console
) -> Iterator[EpisodeRecord]:
    """The records, each written before it is judged."""
    total = num_batches(contestants, config)
    batches = play(pair, contestants, config)
    for batch in track(batches, "playing", total=total, console=console, transient=True):
        writer.write(batch)
        yield from batch


def describe(config: Gate1Config, pair: Pair, files: dict[str, Path], arguments: list[str]) -> dict[str, Any]:
    """What a reader needs to play the same again."""
    return {
        "command": shlex.join(["python", "-m", "evaluation.gate1", *arguments]),
        "world": pair.world.name,
        "split": "test",
        "episodes": config.play.episodes,
        "num_candidates": config.play.num_candidates,
        "seeds": {"evaluation": config.play.seed},
        "models": {
            "sender": {"name": pair.sender.lm.name, "sha256": pair.fingerprints["sender"]},
            "receiver": {"name": pair.receiver.lm.name, "sha256": pair.fingerprints["receiver"]},
        },
        "checkpoints": {
            name: {
                "file": path.as_posix(),
                "sha256": file_hash(path),
                "training": read_header(path).training,
            }
            for name, path in files.items()
        },
        "precision": str(pair.receiver.lm.dtype).removeprefix("torch."),
        "versions": versions("torch", "transformers", "gymnasium", "pettingzoo", "scipy", "numpy"),
    }


def main() -> int:
    """Entry point of `python -m evaluation.gate1`."""
    arguments = sys.argv[1:]
    config = tyro.cli(
        Gate1Config,
        args=arguments,
        description=__doc__,
        config=(tyro.conf.OmitArgPrefixes,),
        prog="evaluation.gate1",
    )
    return run(config, arguments)


if __name__ == "__main__":
    exit_with(main)
