"""Put channels through Gate 1: does the message carry meaning?

    python -m evaluation.gate1 --channels all
    python -m evaluation.gate1 --from-episodes episodes.jsonl

Plays every channel under every condition on the same test episodes, judges the records by the
rule in evaluation/GATE1.md, and writes episodes.jsonl, results.json, report.md, success.png and, for
every trained channel of codes, atlas-CHANNEL.png.
Exit codes: 0 pass, 1 fail, 2 usage, 3 could not run, 4 inconclusive.
"""

from __future__ import annotations

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
from envs.world import objects_world
from evaluation.atlas import atlas_file, draw_atlas, panels_of
from evaluation.contestants import chosen_channels, enter, find_checkpoint, given_checkpoints
from evaluation.diagnostics import diagnose, diagnosed_referents, speak_of
from evaluation.files import write_whole
from evaluation.judge import EXIT_CODES, judge, judge_file, write_run
from evaluation.play import Contestant, PlayConfig, num_batches, play
from evaluation.provenance import describe
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
    with console.status("the channels are diagnosed"):
        diagnostics, pictures = examine(pair, contestants)
    used = {name: file for name, file in files.items() if file}
    provenance = describe("evaluation.gate1", arguments, config.play, pair, used)
    with RecordWriter(folder / "episodes.jsonl") as writer:
        try:
            records = _played(pair, contestants, config.play, writer, console)
            results = judge(records, provenance, diagnostics)
        except KeyboardInterrupt:
            raise RunError(
                f"interrupted; the episodes played so far are kept in {folder / 'episodes.jsonl'} "
                f"and can be judged with --from-episodes"
            ) from None
    write_run(results, folder)
    for file, picture in pictures.items():
        write_whole(folder / file, picture)
    return results


def examine(
    pair: Pair, contestants: dict[str, Contestant]
) -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
    """Diagnose the channels, and draw the atlas of each trained one that sends codes.

    Args:
        pair: who speaks and listens.
        contestants: the channels, by name.

    Returns:
        What was measured, by channel, and pictures by file name.
    """
    referents = diagnosed_referents(pair.world)
    diagnostics, pictures = {}, {}
    for name, (channel, trained, _) in contestants.items():
        if not channel.judged:
            continue
        diagnostics[name] = diagnose(pair, channel, referents)
        spoken = speak_of(pair, channel, referents)
        if trained and spoken.codes is not None:
            file = diagnostics[name]["atlas"] = atlas_file(name)
            panels = panels_of(spoken.codes, referents, pair.world)
            title = f"{name}: what its codes stand for"
            pictures[file] = draw_atlas(panels, spoken.codebook_size, title)
    return diagnostics, pictures


def _played(
    pair: Pair, contestants: dict[str, Contestant], config: PlayConfig, writer: RecordWriter, console: Console
) -> Iterator[EpisodeRecord]:
    """The records, each written before it is judged."""
    total = num_batches(contestants, config)
    batches = play(pair, contestants, config)
    for batch in track(batches, "playing", total=total, console=console, transient=True):
        writer.write(batch)
        yield from batch


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
