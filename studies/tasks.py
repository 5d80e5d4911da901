"""What a study is made of: one training or one replay each, kept in a folder of its own.

A task writes `outcome.json` when it is done; a study that was cut goes on with those that lack one.
"""

from __future__ import annotations

import json
import shlex
from abc import ABC, abstractmethod
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

from parley.agents.command_line import RunError
from parley.agents.pair import ModelConfig, Pair
from parley.agents.player import digest
from parley.channels.base import Channel
from parley.channels.checkpoint import load_channel
from parley.channels.text import TextChannel, TextConfig
from parley.envs.world import objects_world
from parley.evaluation.files import atomic_write
from parley.evaluation.playing.entries import CHECKPOINT_FILE
from parley.evaluation.playing.play import PlayConfig
from parley.training.log import read_metrics
from parley.training.run import parse, train
from studies.cross_play import CrossedChannel
from studies.measure import Outcome, measure

OUTCOME_FILE = "outcome.json"


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """One row of a table with one seed.

    Args:
        part: which question of the study it belongs to.
        variant: what is different in it, in a few words.
        seed: of the training.
    """

    part: str
    variant: str
    seed: int

    def folder(self, root: Path) -> Path:
        """Where it is kept."""
        return root / self.part / f"{self.variant.replace(' ', '_').replace('/', '_')}-seed{self.seed}"

    @abstractmethod
    def perform(self, root: Path) -> Outcome:
        """Do it, and say what came of it."""

    def run(self, root: Path) -> Outcome:
        """Do it, or read what came of it; what it prints goes to its log."""
        folder = self.folder(root)
        finished = folder / OUTCOME_FILE
        if finished.exists():
            return read_outcome(finished)
        folder.mkdir(parents=True, exist_ok=True)
        began = monotonic()
        with (folder / "log.txt").open("a") as log, redirect_stdout(log), redirect_stderr(log):
            outcome = self.perform(root)
        outcome |= {"part": self.part, "variant": self.variant, "seed": self.seed}
        outcome |= {"seconds": round(monotonic() - began, 1)}
        write_outcome(finished, outcome)
        return outcome


@dataclass(frozen=True, kw_only=True)
class Training(Task):
    """A training by its command line, then Gate 1 over its checkpoint.

    Args:
        flags: of `python -m training.run`, but for seed and folder.
        with_text: whether the text channel is played too.
    """

    flags: tuple[str, ...] = ()
    with_text: bool = False

    @property
    def command(self) -> str:
        """How a reader trains the same."""
        return shlex.join(["python", "-m", "training.run", *self.flags, "--seed", str(self.seed)])

    def perform(self, root: Path) -> Outcome:
        """Train, then play."""
        folder = self.folder(root)
        name, codec, config = parse(
            [*self.flags, "--seed", str(self.seed), "--folder", str(folder), "--resume"]
        )
        pair = load_pair(config.models)
        train(name, codec, config, pair)
        channel = load_channel(folder / CHECKPOINT_FILE, pair.interface, pair.fingerprints)
        outcome = measure(pair, channel, PlayConfig(), with_text=self.with_text)
        return outcome | {"command": self.command, "steps": config.steps, "curve": validation_curve(folder)}


@dataclass(frozen=True, kw_only=True)
class Replay(Task):
    """A checkpoint of another task, played in another way.

    Args:
        source: the training whose checkpoint sends.
        partner: the training whose checkpoint receives; by default the same.
        play: which episodes.
    """

    source: Training
    partner: Training | None = None
    play: PlayConfig = field(default_factory=PlayConfig)

    def perform(self, root: Path) -> Outcome:
        """Load and play."""
        pair = load_pair(ModelConfig())
        channel = self._load(self.source, root, pair)
        if self.partner is not None:
            channel = CrossedChannel(channel, self._load(self.partner, root, pair))
        return measure(pair, channel, self.play, with_text=True)

    def _load(self, task: Training, root: Path, pair: Pair) -> Channel:
        path = task.folder(root) / CHECKPOINT_FILE
        return load_channel(path, pair.interface, pair.fingerprints)


@dataclass(frozen=True, kw_only=True)
class TextBudget(Task):
    """Text cut to so many characters, charged 8 bits each and 8 for the end."""

    characters: int

    def perform(self, root: Path) -> Outcome:
        """Play."""
        pair = load_pair(ModelConfig())
        return measure(
            pair, TextChannel(TextConfig(max_length=self.characters), pair.interface), PlayConfig()
        )


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write what came of a task, with a digest."""
    atomic_write(path, (json.dumps({**outcome, "sha256": digest(outcome)}, indent=1) + "\n").encode())


def read_outcome(path: Path) -> Outcome:
    """Read what came of a task; that of before there was a digest lacks it.

    Raises:
        RunError: if it is damaged.
    """
    try:
        outcome: Outcome = json.loads(path.read_bytes())
        kept = outcome.pop("sha256", None)
    except (ValueError, AttributeError, TypeError) as error:
        raise RunError(f"{path} is damaged, remove it to do the task anew: {error}") from error
    if kept not in (None, digest(outcome)):
        raise RunError(f"{path} is damaged, remove it to do the task anew")
    return outcome


@cache
def load_pair(models: ModelConfig) -> Pair:
    """The frozen pair, loaded once a process; the sender says and reads everything once only."""
    return Pair.load(models, objects_world())


def validation_curve(folder: Path) -> list[list[Any]]:
    """Step and validation success, as training went."""
    logged = read_metrics(folder)
    return [[line["step"], line["validation_success"]] for line in logged if "validation_success" in line]
