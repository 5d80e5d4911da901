"""What a further condition costs, and what the failed experiment's way of evaluating would.

    python -m benchmarks.evaluating --episodes 400 --repeats 5

Every channel plays the same episodes through `parley.evaluation.playing.play`, under normal alone and under
all conditions. Then episodes are played one by one, each message and each answer by a forward pass of its
own. The codecs are untrained, which costs what trained ones cost.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from benchmarks.loops import Choice, play_one_by_one
from benchmarks.parts import Method, seconds_of
from benchmarks.record import FOLDER, Cell, Goal, Record, Table, keep, settings_of
from benchmarks.timing import Seconds, alternate, machine, ratio, spread
from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.agents.pair import ModelConfig, Pair
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import check_range
from parley.channels.conditions import condition_names
from parley.envs.batched import BatchedEnv
from parley.envs.worlds import find_world
from parley.evaluation.playing import play as playing
from parley.evaluation.playing.crossing import Crossing
from parley.evaluation.playing.entries import enter
from parley.evaluation.playing.play import Entry, PlayConfig, make_plan, num_plays, play
from parley.evaluation.playing.stopwatch import timed
from parley.evaluation.records import EpisodeRecord, RecordWriter

ONE = "latent_vq"
CHANNELS = ("silence", "text", "latent", ONE)
COMPARED = (ONE, "text")  # with the loop of single episodes
FURTHER, FASTER = 0.25, 30.0
WARM, COLD, LOOP = "sender warm", "sender cold", "one by one"
PARTS: dict[str, list[Method]] = {
    "reading the candidates": [(Pair, "read")],
    "sending": [(Crossing, "said")],
    "receiving": [(Crossing, "_receive")],
    "choosing": [(Receiver, "choose")],
    "environment": [(BatchedEnv, "reset"), (BatchedEnv, "step")],
    "records": [(vars(playing)["_Round"], "_record"), (RecordWriter, "write")],
}
Entries = dict[str, Entry]
Tell = Callable[[str, float], object] | None


@dataclass(frozen=True, kw_only=True)
class EvaluatingConfig:
    """What is measured.

    Args:
        episodes: that are played side by side, at least 2.
        single: the first of them, that are also played one by one.
        repeats: how often everything is timed, in turns; at least 5.
        threads: CPU threads.
        seed: of the episodes.
        model: sender and receiver.
        quick: a tenth of the episodes, for a look.
        docs: where the record goes.
    """

    episodes: int = 400
    single: int = 20
    repeats: int = 5
    threads: int = 1
    seed: int = 0
    model: str = ModelConfig().model
    quick: bool = False
    docs: Path = FOLDER

    def __post_init__(self) -> None:
        check_range("episodes", self.episodes, 2)
        check_range("single", self.single, 1, self.episodes)
        check_range("repeats", self.repeats, 5)
        check_range("threads", self.threads, 1, 1024)

    @property
    def plays(self) -> PlayConfig:
        """The episodes that are played."""
        return PlayConfig(
            episodes=max(2, self.episodes // 10) if self.quick else self.episodes, seed=self.seed
        )

    @property
    def rows(self) -> range:
        """Those that are played one by one."""
        return range(max(1, self.single // 10) if self.quick else self.single)


class Stage:
    """Who plays, and the ways in which it is timed.

    Args:
        pair: the models; its sender remembers what it was asked.
        entries: the channels, by name, among them ONE.
        config: the episodes.
        rows: those of them that are played one by one.
        folder: where records are written.
    """

    def __init__(self, pair: Pair, entries: Entries, config: PlayConfig, rows: range, folder: Path) -> None:
        self.pair, self.entries, self.config, self.rows = pair, entries, config, rows
        self.plan = make_plan(pair.world, config)
        self._file = folder / "episodes.jsonl"

    def play(self, entries: Entries, cold: bool = False) -> list[EpisodeRecord]:
        """Play and write the records; a cold sender has said nothing yet."""
        pair = self.pair
        if cold:
            pair = Pair(Sender(pair.sender.lm, pair.world), pair.receiver, pair.world)
        records = []
        with RecordWriter(self._file) as writer:
            for batch in play(pair, entries, self.config):
                writer.write(batch)
                records += batch
        return records

    def alone(self, name: str, *, normal: bool = False) -> Entries:
        """One channel, under all conditions or the normal one."""
        entry = self.entries[name]
        return {name: entry._replace(conditions=("normal",)) if normal else entry}

    def one_by_one(self, name: str) -> list[Choice]:
        """The same choices by the plain loop."""
        channel = self.entries[name].channel
        return play_one_by_one(self.pair, channel, name, self.plan, self.config, self.rows)


def set_stage(config: EvaluatingConfig, folder: Path) -> Stage:
    """Load the models, and bring the channels to where they can be played."""
    models = ModelConfig(model=config.model, device="cpu", threads=config.threads)
    pair = Pair.load(models, find_world(config.plays.world))
    entries = {name: enter(name, pair, None) for name in CHANNELS}
    return Stage(pair, entries, config.plays, config.rows, folder)


def time_conditions(stage: Stage, repeats: int, tell: Tell = None) -> dict[str, Seconds]:
    """Seconds of the normal condition alone and of all, for one channel and for all, warm and cold."""
    works: dict[str, Callable[[], object]] = {
        f"{ONE}, normal alone, {WARM}": lambda: stage.play(stage.alone(ONE, normal=True)),
        f"{ONE}, all conditions, {WARM}": lambda: stage.play(stage.alone(ONE)),
        f"all channels, all conditions, {WARM}": lambda: stage.play(stage.entries),
        f"{ONE}, normal alone, {COLD}": lambda: stage.play(stage.alone(ONE, normal=True), cold=True),
        f"{ONE}, all conditions, {COLD}": lambda: stage.play(stage.alone(ONE), cold=True),
        f"all channels, all conditions, {COLD}": lambda: stage.play(stage.entries, cold=True),
    }
    return alternate(works, repeats=repeats, tell=tell)


def further(first: Sequence[float], all_of_them: Sequence[float], conditions: int) -> list[float]:
    """What each condition after the first adds, by the first: of each repeat."""
    added = [(whole - one) / (conditions - 1) for one, whole in zip(first, all_of_them, strict=True)]
    return [cost / one for cost, one in zip(added, first, strict=True)]


def report_conditions(stage: Stage, seconds: Mapping[str, Seconds]) -> tuple[Table, list[Goal]]:
    """The marginal cost of a condition, and whether it is as low as was asked."""
    rows: list[list[Cell]] = []
    goals = []
    for warmth in (WARM, COLD):
        first = seconds[f"{ONE}, normal alone, {warmth}"]
        rows.append([f"{ONE}, normal alone", warmth, 1, statistics.median(first), None, None, None])
        for what, who in ((ONE, stage.alone(ONE)), ("all channels", stage.entries)):
            whole = seconds[f"{what}, all conditions, {warmth}"]
            conditions = num_plays(who, stage.config) // stage.config.episodes
            costs = further(first, whole, conditions)
            cost, least, most = statistics.median(costs), min(costs), max(costs)
            row: list[Cell] = [f"{what}, all conditions", warmth, conditions, statistics.median(whole)]
            rows.append([*row, cost, least, most])
            if warmth == WARM:
                said = f"{what}, {warmth}: what a further condition costs, by {ONE}'s normal one alone"
                goals.append(Goal(said, "<=", FURTHER, cost))
    columns = ["played", "", "conditions", "seconds", "a further one, by the first", "least", "most"]
    return Table(f"{stage.config.episodes} episodes, by the conditions played", columns, rows), goals


def report_parts(stage: Stage) -> Table:
    """Where the seconds of all channels and conditions go, with a sender that remembers."""
    rows: list[list[Cell]] = []
    with seconds_of(PARTS) as seconds:
        _, whole = timed(lambda: stage.play(stage.entries), stage.pair.device)
    for part, second in [*seconds.items(), ("all else", whole - sum(seconds.values()))]:
        rows.append([part, second, second / whole])
    return Table(
        "Where the seconds of all channels and conditions go, once", ["part", "seconds", "share"], rows
    )


def report_loop(
    stage: Stage, repeats: int, tell: Tell = None
) -> tuple[Table, list[Goal], dict[str, dict[str, Seconds]]]:
    """Episodes times conditions a second, side by side and one by one, and whether all choices agree."""
    rows: list[list[Cell]] = []
    goals, points = [], {}
    for name in COMPARED:
        works: dict[str, Callable[[], object]] = {
            LOOP: lambda name=name: stage.one_by_one(name),  # type: ignore[misc]
            WARM: lambda name=name: stage.play(stage.alone(name)),  # type: ignore[misc]
            COLD: lambda name=name: stage.play(stage.alone(name), cold=True),  # type: ignore[misc]
        }
        seconds = alternate(works, repeats=repeats, tell=tell)
        plays = {LOOP: len(condition_names()) * len(stage.rows)}
        plays[WARM] = plays[COLD] = len(condition_names()) * stage.config.episodes
        each = {way: [s / plays[way] for s in seconds[way]] for way in works}
        for way in works:
            rate = 1 / statistics.median(each[way])
            rows.append(
                [
                    f"{name}, {way}",
                    plays[way],
                    rate,
                    ratio(each[LOOP], each[way]),
                    *spread(each[LOOP], each[way]),
                ]
            )
        points[name] = each
        agreeing = agreement(stage, name)
        if name == ONE:
            for way in (WARM, COLD):
                what = f"{name}, {way}: episodes times conditions a second, by those one by one"
                goals.append(Goal(what, ">=", FASTER, ratio(each[LOOP], each[way])))
        goals.append(Goal(f"{name}: share of choices that are those of the loop", ">=", 1.0, agreeing))
    columns = ["way", "episodes times conditions", "a second", "by those one by one", "least", "most"]
    return Table("Against a loop of single episodes, without memory", columns, rows), goals, points


def agreement(stage: Stage, name: str) -> float:
    """The share of the loop's choices that `play` records too."""
    recorded = {
        Choice(record.episode_id, record.condition, record.choice if record.choice is not None else -1)
        for record in stage.play(stage.alone(name))
    }
    looped = stage.one_by_one(name)
    return sum(choice in recorded for choice in looped) / len(looped)


def measure(config: EvaluatingConfig, console: Console) -> Record:
    """All of it."""

    def tell(name: str, seconds: float) -> None:
        console.print(f"{name}: {seconds:.2f} s")

    with TemporaryDirectory() as folder:
        console.print("the models are loaded, and the sender reads")
        stage = set_stage(config, Path(folder))
        console.print(f"{', '.join(CHANNELS)}: the conditions are timed")
        seconds = time_conditions(stage, config.repeats, tell)
        conditions, cheap = report_conditions(stage, seconds)
        parts = report_parts(stage)
        console.print(f"{len(stage.rows)} episodes are played one by one")
        loop, fast, each = report_loop(stage, config.repeats, tell)
    return Record(
        question="What does a further condition cost, and what would one episode at a time?",
        machine=machine(config.threads),
        settings=settings_of(config),
        tables=[conditions, parts, loop],
        goals=[*cheap, *fast],
        points={"seconds": seconds, "seconds_a_play": each},
    )


def main() -> int:
    """Entry point of `python -m benchmarks.evaluating`."""
    config = parse_arguments(EvaluatingConfig, sys.argv[1:], __doc__, "benchmarks.evaluating")
    keep("evaluating", measure(config, Console()), config.docs)
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
