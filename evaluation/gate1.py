"""Put channels through Gate 1: does the message carry meaning?

    parley gate1 --channels all
    parley gate1 --channels all --resume
    parley gate1 --from-episodes episodes.jsonl

Plays every channel under every condition on the same test episodes, judges the records by the
rule in evaluation/GATE1.md, and writes run.json (what is played), episodes.jsonl, results.json, the
reports and their pictures. What is in the folder of an earlier, finished run is replaced.
Exit codes: 0 pass, 1 fail, 2 usage, 3 could not run, 4 inconclusive or unfit,
5 invalid.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from gymnasium.spaces import MultiDiscrete
from rich.console import Console

from parley.agents.command_line import RunError, exit_with, parse_arguments
from parley.agents.folder_lock import locked
from parley.agents.pair import ModelConfig, Pair
from parley.channels.registry import channel_names
from parley.envs.worlds import find_world
from parley.evaluation.aggregation.run_data import RunAggregator
from parley.evaluation.diagnostics.atlas import atlas_file, draw_atlas, panels_of
from parley.evaluation.diagnostics.diagnose import diagnose, diagnosed_referents, speak_of
from parley.evaluation.diagnostics.flops import counted_episodes, receiver_flops
from parley.evaluation.gates.verdict import EXIT_CODES, GATES
from parley.evaluation.judge import LOOK_EVERY, is_settled, judge_file, write_run
from parley.evaluation.playing.channel_settings import settings_of
from parley.evaluation.playing.entries import (
    asked_by_name,
    can_play,
    chosen_channels,
    enter,
    find_checkpoint,
    given_checkpoints,
)
from parley.evaluation.playing.marked_records import MarkedWriter
from parley.evaluation.playing.play import Entry, PlayConfig, make_plan, num_plays, play
from parley.evaluation.playing.progress import playing_progress
from parley.evaluation.playing.provenance import describe
from parley.evaluation.playing.run_folder import (
    EPISODES_FILE,
    check_folder,
    define,
    prepare_folder,
    records_so_far,
    was_sequential,
)
from parley.evaluation.reporting.terminal import print_table
from parley.evaluation.results import Results, build_results


def _there_are(default: str) -> str:
    """What `--help` says of `--channels`: looked up when it is shown, so that no other run waits for it."""
    return f"(default: {default}; there are: {', '.join(channel_names())})"


@dataclass(frozen=True, kw_only=True)
class Gate1Config:
    """What is put to the test.

    Args:
        channels: names, or all.
        checkpoint: checkpoint files or run folders; by default the newest that fits, under `runs`.
        settings: of channels that have nothing to learn, such as text_budget.budget=3.
        gate: which gates decide the verdict, such as 1,2,3; all are reported.
        until_decided: stop as soon as the verdict of every trained channel is settled, by intervals that are
            valid at every n; it is looked every 50 episodes, and `episodes` is the most that is played.
        resume: continue what the folder holds, instead of refusing an unfinished run.
        from_episodes: judge these recorded episodes again, without any model.
        folder: where the results go; by default runs/gate1, and runs/gate1-judged-again for recorded
            episodes, so that judging them never replaces what was written when they were played.
        runs: where run folders are looked for.
        play: which episodes.
        models: which frozen models play.
    """

    channels: Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint=_there_are)] = ("all",)
    checkpoint: tuple[Path, ...] = ()
    settings: tuple[str, ...] = ()
    gate: tuple[str, ...] = ("1",)
    until_decided: bool = False
    resume: bool = False
    from_episodes: Path | None = None
    folder: Path | None = None
    runs: Path = Path("runs")
    play: PlayConfig = field(default_factory=PlayConfig)
    models: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        if self.resume and self.from_episodes is not None:
            raise ValueError(
                f"resume must not go with from_episodes, which plays nothing, got {self.from_episodes}"
            )
        asked = self._asked()
        if not asked or not asked <= {str(gate) for gate in GATES}:
            raise ValueError(
                f"gate must be some of {', '.join(map(str, GATES))}, got {','.join(self.gate)!r}"
            )

    @property
    def gates(self) -> tuple[int, ...]:
        """The gates that decide, in ascending order."""
        return tuple(gate for gate in GATES if str(gate) in self._asked())

    def _asked(self) -> set[str]:
        return {part.strip() for given in self.gate for part in given.split(",") if part.strip()}


def run(config: Gate1Config, arguments: list[str]) -> int:
    """Play, judge, write and show; the exit code is the verdict's."""
    console = Console()
    if config.from_episodes is not None:
        folder = config.folder or Path("runs/gate1-judged-again")
        sequential = config.until_decided or was_sequential(config.from_episodes)
        with locked(folder):
            results = judge_file(config.from_episodes, folder, gates=config.gates, sequential=sequential)
    else:
        folder = config.folder or Path("runs/gate1")
        with locked(folder):
            results = play_and_judge(config, folder, arguments, console)
    print_table(results, console)
    console.print(f"report: {folder / 'report.html'}, and report.md beside it", soft_wrap=True)
    return EXIT_CODES[results["verdict"]]


def play_and_judge(config: Gate1Config, folder: Path, arguments: list[str], console: Console) -> Results:
    """Play all channels; the episodes are on disk as they are played."""
    names = chosen_channels(config.channels)
    given = given_checkpoints(config.checkpoint, names)
    settings = settings_of(config.settings, names)
    check_folder(folder, config.resume)
    torch.manual_seed(config.play.seed)
    game = config.play.make_game(find_world(config.play.world), "train")
    with console.status("the models are loaded"):  # no longer: what a sender reads has a bar of its own
        pair = Pair.load(config.models, game.world, game)
    files = {name: given.get(name) or find_checkpoint(name, pair, config.runs) for name in names}
    named = asked_by_name(config.channels)
    names = [name for name in names if can_play(name, pair.interface, name in named, console)]
    entries = {
        name: enter(name, pair, files[name], named=name in named, config=settings.get(name)) for name in names
    }
    used = {name: file for name, file in files.items() if file}
    provenance = describe("parley gate1", arguments, config.play, pair, used)
    look_every = LOOK_EVERY if config.until_decided else None
    if config.until_decided:
        provenance |= {"sequential": True, "look_every": look_every}
    prepare_folder(folder, define(provenance, config.play, entries, look_every), config.resume)
    console.print("the channels are diagnosed", style="dim")
    diagnostics, pictures = examine(pair, entries)
    for name, flops in count_flops(pair, entries, config.play).items():
        diagnostics.setdefault(name, {})["receiver_flops"] = flops
    outcomes = RunAggregator()
    settled = partial(is_settled, outcomes, provenance, config.gates) if config.until_decided else None
    try:
        play_all(pair, entries, config.play, folder / EPISODES_FILE, outcomes, settled, console)
    except KeyboardInterrupt:
        raise RunError(
            f"interrupted; the episodes played so far are kept in {folder / EPISODES_FILE}: add --resume to "
            f"the same command to go on; as they are they can be judged with --from-episodes"
        ) from None
    results = build_results(
        outcomes.close(),
        provenance,
        diagnostics=diagnostics,
        gates=config.gates,
        sequential=config.until_decided,
    )
    write_run(results, folder, folder / EPISODES_FILE, pictures)
    return results


def play_all(
    pair: Pair,
    entries: dict[str, Entry],
    config: PlayConfig,
    path: Path,
    outcomes: RunAggregator,
    settled: Callable[[], bool] | None,
    console: Console,
) -> None:
    """Play what is not in the file yet; each batch is in the file before the next one is played.

    Args:
        pair: who plays.
        entries: the channels, by name.
        config: which episodes.
        path: the episodes file; what it holds is read and checked, and written after.
        outcomes: to which all records are added.
        settled: asked every LOOK_EVERY episodes whether that is enough.
        console: where progress is shown.

    Raises:
        ValueError: if the file is not of this run.
    """
    look_every = None if settled is None else LOOK_EVERY
    plan, done = make_plan(pair.world, config), 0
    for record in records_so_far(path, entries, config, plan, look_every):
        outcomes.add(record)
        done += 1
    with MarkedWriter(path) as writer, playing_progress(console) as progress:
        task = progress.add_task("playing", total=num_plays(entries, config), completed=done)
        for batch in play(pair, entries, config, done=done, look_every=look_every, settled=settled):
            writer.write(batch)
            for record in batch:
                outcomes.add(record)
            progress.advance(task, len(batch))


def count_flops(pair: Pair, entries: dict[str, Entry], config: PlayConfig) -> dict[str, float]:
    """What an episode over each channel costs the receiver, by name."""
    episodes = counted_episodes(pair.world, config)
    return {name: receiver_flops(pair, entry.channel, episodes) for name, entry in entries.items()}


def examine(pair: Pair, entries: dict[str, Entry]) -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
    """Diagnose the channels, and draw the atlas of each trained one that sends codes.

    Args:
        pair: who speaks and listens.
        entries: the channels, by name.

    Returns:
        What was measured, by channel, and pictures by file name.
    """
    referents = diagnosed_referents(pair.world)
    diagnostics, pictures = {}, {}
    for name, (channel, role, _) in entries.items():
        if role == "baseline" or channel.sees_scene:  # what speaks about episodes has no word for referents
            continue
        diagnostics[name] = diagnose(pair, channel, referents)
        learned = channel.trainable and role != "untrained"
        if not learned or not isinstance(channel.message_space, MultiDiscrete):
            continue
        spoken = speak_of(pair, channel, referents)
        assert spoken.codes is not None, "a message of a MultiDiscrete is codes"
        file = diagnostics[name]["atlas"] = atlas_file(name)
        panels = panels_of(spoken.codes, referents, pair.world, spoken.codes_per_slot)
        title = f"{name}: what its codes stand for"
        pictures[file] = draw_atlas(panels, spoken.codebook_size, title)
    return diagnostics, pictures


def main() -> int:
    """Entry point of `parley gate1`, which is `python -m parley.evaluation.gate1`."""
    arguments = sys.argv[1:]
    config = parse_arguments(Gate1Config, arguments, __doc__, "parley gate1")
    return run(config, arguments)


if __name__ == "__main__":
    exit_with(main)
