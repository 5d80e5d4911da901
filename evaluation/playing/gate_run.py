"""A run of the gate, from the models to the results; `parley.evaluation.gate1` is its command line."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from parley.agents.command_line import RunError, check_same_settings
from parley.agents.pair import ModelConfig, Pair
from parley.channels.conditions import Told
from parley.envs.worlds import find_world
from parley.evaluation.aggregation.run_data import RunAggregator
from parley.evaluation.judge import LOOK_EVERY, is_settled, write_run
from parley.evaluation.playing.crossing import Crossing
from parley.evaluation.playing.examine import measure
from parley.evaluation.playing.marked_records import MarkedWriter
from parley.evaluation.playing.plan import PlayConfig, make_plan, rounds
from parley.evaluation.playing.play import num_plays, play
from parley.evaluation.playing.progress import playing_progress
from parley.evaluation.playing.provenance import describe
from parley.evaluation.playing.run_folder import (
    EPISODES_FILE,
    check_folder,
    define,
    planned,
    prepare_folder,
    records_so_far,
)
from parley.evaluation.results import Results, build_results
from parley.evaluation.sealing.messages_file import Messages, Said, read_messages, write_messages
from parley.evaluation.sealing.roster import Roster, Wanted, assemble

LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class GateRun:
    """What is played, and how.

    Args:
        wanted: the channels.
        play: which episodes; their seed is that of `seed`.
        models: who plays.
        seed: None to draw one when the channels are fixed.
        gates: those that decide.
        until_decided: whether the run stops as soon as the verdict is settled.
        resume: whether what the folder holds is continued.
        hear: a file of messages that are judged in the place of what the channels would send.
        folder: where it is written.
        arguments: of the command line, for the provenance.
    """

    wanted: Wanted
    play: PlayConfig
    models: ModelConfig
    seed: int | None = None
    gates: tuple[int, ...] = (1,)
    until_decided: bool = False
    resume: bool = False
    hear: Path | None = None
    folder: Path
    arguments: tuple[str, ...] = ()

    def judge(self, console: Console) -> Results:
        """Play, judge and write; the episodes are on disk as they are played.

        Raises:
            RunError: if it is interrupted.
            ValueError: if what is asked for cannot be had.
        """
        check_folder(self.folder, self.resume)
        heard = None if self.hear is None else read_messages(self.hear)
        with Stage.set(self, heard, console) as stage:
            if heard is not None and self.hear is not None:
                check_same_settings(self.hear, heard.definition, stage.definition)
            prepare_folder(self.folder, stage.definition, self.resume)
            outcomes = self._play(stage, heard, console)
            console.print("the channels are diagnosed", style="dim")
            roster = stage.roster
            diagnostics, pictures = measure(stage.pair, roster.entries, stage.play, roster.breaches)
        results = build_results(
            outcomes.close(),
            stage.provenance | {"breaches": stage.roster.told_breaches},
            diagnostics=diagnostics,
            gates=self.gates,
            sequential=self.until_decided,
        )
        write_run(results, self.folder, self.folder / EPISODES_FILE, pictures)
        return results

    def drawn_seed(self, heard: Messages | None) -> tuple[int, bool]:
        """The seed of the episodes, and whether it was chosen: a run that goes on keeps both."""
        begun = planned(self.folder) if heard is None and self.resume else None
        known = heard.definition if heard is not None else begun
        if known is None:
            return secrets.randbelow(LARGEST_SEED) if self.seed is None else self.seed, self.seed is not None
        seed = int(known["play"]["seed"])
        same = self.seed in (None, seed)
        return (seed, bool(known.get("seed_chosen", True))) if same else (int(self.seed or 0), True)

    def _play(self, stage: Stage, heard: Messages | None, console: Console) -> RunAggregator:
        outcomes = RunAggregator()
        settled = partial(is_settled, outcomes, stage.provenance, self.gates) if self.until_decided else None
        try:
            play_all(stage, self.folder / EPISODES_FILE, outcomes, settled, heard, console)
        except KeyboardInterrupt:
            raise RunError(
                f"interrupted; the episodes played so far are kept in {self.folder / EPISODES_FILE}: add "
                f"--resume to the same command to go on; as they are they can be judged with --from-episodes"
            ) from None
        return outcomes

    def say(self, path: Path, console: Console) -> None:
        """Write what all channels send, and nothing else.

        Args:
            path: of the file, which must not be there.
            console: where progress is shown.

        Raises:
            OSError: if the file is there, or cannot be written.
        """
        with Stage.set(self, None, console) as stage, playing_progress(console) as progress:
            task = progress.add_task("sending", total=None)
            for number in write_messages(path, stage.definition, stage.said()):
                progress.update(task, completed=number)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that is there before the first message: it is closed in the end."""

    pair: Pair
    roster: Roster
    play: PlayConfig
    look_every: int | None
    provenance: dict[str, Any]
    definition: dict[str, Any]

    @classmethod
    def set(cls, run: GateRun, heard: Messages | None, console: Console) -> Stage:
        """Load the models, bring the channels, and only then draw the seed."""
        load = partial(load_pair, run.models, run.play)
        with console.status("the models are loaded"):  # no longer: what a sender reads has a bar of its own
            pair = load()
        roster = assemble(run.wanted, pair, load, console)
        look_every = LOOK_EVERY if run.until_decided else None
        seed, is_chosen = run.drawn_seed(heard)
        play = replace(run.play, seed=seed)
        provenance = describe("parley gate1", run.arguments, play, pair, roster.files)
        provenance |= {
            "sealed": run.wanted.sealed,
            "seed_chosen": is_chosen,
            "breaches": roster.told_breaches,
        }
        if look_every:
            provenance |= {"sequential": True, "look_every": look_every}
        definition = define(provenance, play, roster.entries, look_every)
        return cls(
            pair=pair,
            roster=roster,
            play=play,
            look_every=look_every,
            provenance=provenance,
            definition=definition,
        )

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.roster.close()

    def said(self) -> Iterator[Said]:
        """All that is sent in the run, each message once."""
        plan = make_plan(self.pair.world, self.play)
        for name, entry in self.roster.entries.items():
            crossing, known = Crossing(self.pair, name, entry, plan, self.play), set[Told]()
            for rows in rounds(self.play, self.look_every):
                for told, message in crossing.said(rows).items():
                    if told not in known:
                        known.add(told)
                        yield name, told, message


def load_pair(models: ModelConfig, play: PlayConfig) -> Pair:
    """The models, about the world of the episodes."""
    game = play.make_game(find_world(play.world), "train")
    return Pair.load(models, game.world, game)


def play_all(
    stage: Stage,
    path: Path,
    outcomes: RunAggregator,
    settled: Callable[[], bool] | None,
    heard: Messages | None,
    console: Console,
) -> None:
    """Play what is not in the file yet; each batch is in the file before the next one is played.

    Args:
        stage: who plays what.
        path: the episodes file; what it holds is read and checked, and written after.
        outcomes: to which all records are added.
        settled: asked every LOOK_EVERY episodes whether that is enough.
        heard: what the channels send, where it is known.
        console: where progress is shown.

    Raises:
        ValueError: if the file is not of this run.
    """
    entries, config, done = stage.roster.entries, stage.play, 0
    plan = make_plan(stage.pair.world, config)
    for record in records_so_far(path, entries, config, plan, stage.look_every):
        outcomes.add(record)
        done += 1
    with MarkedWriter(path) as writer, playing_progress(console) as progress:
        task = progress.add_task("playing", total=num_plays(entries, config), completed=done)
        for batch in play(
            stage.pair,
            entries,
            config,
            done=done,
            look_every=stage.look_every,
            settled=settled,
            breaches=stage.roster.breaches,
            sent=heard and heard.sent,
        ):
            writer.write(batch)
            for record in batch:
                outcomes.add(record)
            progress.advance(task, len(batch))
