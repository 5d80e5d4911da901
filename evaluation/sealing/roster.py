"""Who is judged in a run: every channel in its own processes, its contract asked for before it plays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console

from parley.agents.pair import Pair
from parley.channels.base import Channel
from parley.evaluation.playing.channel_settings import settings_of
from parley.evaluation.playing.entries import (
    ALL,
    asked_by_name,
    chosen_channels,
    enter,
    find_checkpoint,
    given_checkpoints,
)
from parley.evaluation.playing.entry import Entry
from parley.evaluation.sealing.breach import Breach, keeps
from parley.evaluation.sealing.cards import read_cards
from parley.evaluation.sealing.ends import prove_contract
from parley.evaluation.sealing.process import Start
from parley.evaluation.sealing.sealed import SealedChannel
from parley.evaluation.sealing.training_world import training_part

BASELINE, CEILING = "silence", "text"
"""What all others are measured against is the project's own."""


@dataclass(kw_only=True)
class Roster:
    """The channels of a run.

    Attributes:
        entries: those that play, by name.
        files: their checkpoints.
        breaches: what was broken, by the name of a channel that is judged.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    breaches: dict[str, Breach] = field(default_factory=dict)

    @property
    def told_breaches(self) -> dict[str, str]:
        """What was broken, in words."""
        return {name: str(breach) for name, breach in self.breaches.items()}

    def close(self) -> None:
        """End the processes of all channels."""
        for entry in self.entries.values():
            if isinstance(entry.channel, SealedChannel):
                entry.channel.close()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a command line asks to be judged.

    Args:
        channels: names, or all.
        checkpoint: checkpoint files or run folders.
        settings: NAME.SETTING=VALUE.
        runs: where checkpoints are looked for.
        sealed: whether each channel runs in processes of its own.
    """

    channels: Sequence[str]
    checkpoint: Sequence[Path] = ()
    settings: Sequence[str] = ()
    runs: Path = Path("runs")
    sealed: bool = True


def assemble(wanted: Wanted, pair: Pair, bring: Callable[[], Pair], console: Console) -> Roster:
    """Bring the channels to where they can play.

    Args:
        wanted: which.
        pair: between whom, as the judge has it.
        bring: the pair as a process that shares no memory with the judge can have it: it is pickled.
        console: where it is said what is left out.

    Raises:
        ValueError: if what is asked for cannot be had.
        CheckpointError: if a checkpoint that should be used cannot be.
    """
    start: Start = "fork" if pair.device.type == "cpu" else "spawn"
    asked, every = asked_by_name(wanted.channels), ALL in ",".join(wanted.channels).split(",")
    listed = None if every else sorted({BASELINE, *asked})
    cards = read_cards(listed, wanted.settings, pair.interface, start)
    names = chosen_channels(wanted.channels, {name: card.role for name, card in cards.items()})
    given = given_checkpoints(wanted.checkpoint, names)
    shared = bring if start == "spawn" else lambda: pair  # a forked process has it in memory
    at_hand = partial(_apart, shared) if wanted.sealed else lambda: pair
    roster = Roster()
    try:
        for name in names:
            card, named = cards[name], name in asked
            if not can_play(name, card.incompatibility, named, console):
                continue
            file = given.get(name) or (find_checkpoint(name, pair, wanted.runs) if card.trainable else None)
            settings = [text for text in wanted.settings if text.startswith(f"{name}.")]
            make = partial(_enter, name, at_hand, file, named, settings)
            decides = card.role != "reference" and name not in (BASELINE, CEILING)
            is_judged = decides and (named or (card.trainable and file is not None))
            try:
                if card.breach is not None:
                    raise card.breach
                roster.entries[name] = _admit(name, make, pair, start if wanted.sealed else None)
            except Breach as breach:
                console.print(f"{name} is left out: {breach}", soft_wrap=True, markup=False)
                if is_judged:
                    roster.breaches[name] = breach
                continue
            if file is not None:
                roster.files[name] = file
    except BaseException:
        roster.close()
        raise
    return roster


def can_play(name: str, incompatibility: str | None, named: bool, console: Console) -> bool:
    """Whether a channel can stand between these models; one that came with `all` is left out, and named.

    Raises:
        ValueError: if one was asked for by name and cannot.
    """
    if incompatibility is None:
        return True
    if named:
        raise ValueError(f"channel {name!r} cannot stand between these models: {incompatibility}")
    console.print(f"{name} is left out: {incompatibility}", soft_wrap=True, markup=False)
    return False


def _enter(
    name: str, bring: Callable[[], Pair], file: Path | None, named: bool, settings: Sequence[str]
) -> Entry:
    """The channel, wherever this runs."""
    config = settings_of(settings, [name]).get(name)
    return enter(name, bring(), file, named=named, config=config)


def _apart(bring: Callable[[], Pair]) -> Pair:
    """The pair in a channel's own process: of its world only the training referents are listed."""
    pair = bring()
    pair.world = pair.sender.world = training_part(pair.world)
    return pair


def _admit(name: str, make: Callable[[], Entry], pair: Pair, start: Start | None) -> Entry:
    """A channel that keeps what is asked of it before it plays.

    Raises:
        Breach: naming the promise that is broken.
        ValueError: if it is refused for what the user asked for.
    """
    if start is None:
        with keeps("can_be_made", but=ValueError):
            entry = make()
    else:
        entry = SealedChannel(name, make, pair.interface, pair.device, start).entry
    try:
        _check_role(name, entry)
        if entry.role == "judged":
            _check_contract(entry.channel)
    except BaseException:
        if isinstance(entry.channel, SealedChannel):
            entry.channel.close()
        raise
    return entry


def _check_role(name: str, entry: Entry) -> None:
    for role, own in (("baseline", BASELINE), ("ceiling", CEILING)):
        if entry.role == role and name != own:
            raise Breach("role_is_its_own", f"only {own} is the {role}; a channel is judged or a reference")
    if entry.channel.sees_scene and entry.role == "judged":
        raise Breach("sees_no_scene", "it is told what the receiver sees, which only a reference may be")


def _check_contract(channel: Channel) -> None:
    if isinstance(channel, SealedChannel):
        channel.check()
    else:
        prove_contract(channel)
