"""Play every channel under every condition on the same test episodes, through the environment.

The environment is the wire: the sender's action is the message, and the receiver gets what the
environment lets it observe. Many environments are played side by side, so that the models work
in batches; the candidates are read once and chosen from under every message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from parley.agents.pair import Pair, ReceiverView
from parley.agents.receiver import Context, Receiver
from parley.channels.base import Channel, Message, ReceiverInput, TextInput, Utterance
from parley.channels.controls import CONDITIONS, Condition, Control, Sent
from parley.channels.receiver_input import num_positions
from parley.envs.referential import ReferentialEpisode
from parley.envs.world import Referents
from parley.evaluation.playing.plan import EpisodePlan, PlayConfig, make_plan, message_rng, rounds
from parley.evaluation.playing.stopwatch import timed
from parley.evaluation.playing.table import Table
from parley.evaluation.records import REORDERED, SILENCE, EpisodeRecord

__all__ = [
    "Entry",
    "PlayConfig",
    "Turn",
    "conditions_of",
    "make_plan",
    "num_batches",
    "num_plays",
    "play",
    "turns",
]

MOST_NUMBERS = 256
"""Of a message that are recorded: nobody reads more, and a file of them would be gigabytes long."""

_DELIVERY: dict[str, Condition] = {**{name: name for name in CONDITIONS}, REORDERED: "normal"}


class Entry(NamedTuple):
    """A channel as it is put to the test: trained or not (None where there is nothing to train), and how."""

    channel: Channel
    trained: bool | None
    conditions: Sequence[Condition] = CONDITIONS
    reference: bool = False  # played to compare with


class Turn(NamedTuple):
    """Episodes that are played side by side, over one channel under one condition."""

    channel: str
    condition: str
    rows: range


def play(
    pair: Pair,
    entries: dict[str, Entry],
    config: PlayConfig,
    *,
    done: int = 0,
    look_every: int | None = None,
    settled: Callable[[], bool] | None = None,
) -> Iterator[list[EpisodeRecord]]:
    """Play all channels and conditions, batch by batch, in the order of `turns`.

    Args:
        pair: who plays.
        entries: the channels, by the name under which they are recorded.
        config: which episodes.
        done: so many records at the beginning were played before, and are not played again.
        look_every: no round of episodes goes across a multiple of this.
        settled: asked after every round, or after those that end at a multiple of `look_every`, when its
            records have been taken; no more is played once it says True.

    Yields:
        The records of one batch of episodes under one condition of one channel.
    """
    plan = make_plan(pair.world, config)
    tables = {name: Table(pair.world, entry.channel, config) for name, entry in entries.items()}
    for rows in rounds(config, look_every):
        played = _Round(pair, config, plan, rows)
        for name, condition in _plays(entries):
            if done >= len(rows):
                done -= len(rows)
                continue
            yield played.turn(name, entries[name], condition, tables[name])[done:]
            done = 0
        if settled is not None and not done and rows.stop % (look_every or 1) == 0 and settled():
            return


def turns(entries: dict[str, Entry], config: PlayConfig, look_every: int | None = None) -> Iterator[Turn]:
    """What `play` plays, in its order."""
    for rows in rounds(config, look_every):
        for name, condition in _plays(entries):
            yield Turn(name, condition, rows)


def num_batches(entries: dict[str, Entry], config: PlayConfig) -> int:
    """How many batches `play` yields at most."""
    return sum(1 for _ in turns(entries, config))


def num_plays(entries: dict[str, Entry], config: PlayConfig) -> int:
    """How many records `play` yields at most: one an episode, channel and condition."""
    return config.episodes * sum(1 for _ in _plays(entries))


def conditions_of(name: str, entry: Entry) -> Sequence[str]:
    """Those it is put to; for the mere absence of a message the normal one, and for silence another order."""
    if entry.channel.judged:
        return entry.conditions
    return ("normal", REORDERED) if name == SILENCE else ("normal",)


def _plays(entries: dict[str, Entry]) -> Iterator[tuple[str, str]]:
    for name, entry in entries.items():
        for condition in conditions_of(name, entry):
            yield name, condition


class _Round:
    """Some episodes under all conditions of all channels: they are read once, and each channel sends once."""

    def __init__(self, pair: Pair, config: PlayConfig, plan: EpisodePlan, rows: range) -> None:
        self._pair, self._config, self._script, self._rows = pair, config, plan, rows
        self._contexts: dict[bool, tuple[Context, float]] = {}
        self._sent: dict[str, tuple[Sent, float]] = {}

    def turn(self, name: str, entry: Entry, condition: str, table: Table) -> list[EpisodeRecord]:
        """Play one channel under one condition.

        The `seconds` of a record are an equal share of the batch's. Counted are receiving and choosing
        under this condition; reading the candidates, which is done once, in full for every condition,
        since no episode goes without; and sending, which is done once a channel (for each episode its
        own, its partner's and its swap target's message), spread over the channel's conditions. What a sender
        remembers takes it no time; the environment is not counted.
        """
        candidates = table.sample_contexts([self._script.episode(row, condition) for row in self._rows])
        context, reading = self._read(candidates, condition)
        if entry.channel.at_start:
            reading = 0.0  # the receiver reads anew, after the prefix, when it chooses
        conditions = conditions_of(name, entry)
        sent, sending = self._send(name, entry.channel, conditions)
        controls = [
            Control(
                entry.channel,
                _DELIVERY[condition],
                message_rng(self._config, row, name, condition),
            )
            for row in self._rows
        ]
        messages = [
            control.deliver(Sent(*([message] for message in one)))[0]
            for control, *one in zip(controls, *sent, strict=True)
        ]
        outcomes, choosing = _choose(self._pair, context, table, controls[0], messages)
        seconds = (reading + sending / len(conditions) + choosing) / len(self._rows)
        return [
            self._record(name, entry, condition, row, outcome, seconds)
            for row, outcome in zip(self._rows, outcomes, strict=True)
        ]

    def _read(self, candidates: list[Referents], condition: str) -> tuple[Context, float]:
        reordered = condition == REORDERED
        if reordered not in self._contexts:
            self._contexts[reordered] = timed(lambda: self._pair.read(candidates), self._pair.device)
        return self._contexts[reordered]

    def _send(self, name: str, channel: Channel, conditions: Sequence[str]) -> tuple[Sent, float]:
        if name not in self._sent:
            work = partial(_send, self._pair, channel, self._script, self._rows, conditions)
            sent = timed(work, self._pair.device)
            self._sent = {name: sent}  # the channel before has had its turns
        return self._sent[name]

    def _record(
        self,
        name: str,
        entry: Entry,
        condition: str,
        row: int,
        outcome: _Outcome,
        seconds: float,
    ) -> EpisodeRecord:
        episode = self._script.episode(row, condition)
        intended = {"normal": episode.target, "swap": int(self._script.swap_targets[row])}.get(condition)
        describe, shown = self._pair.world.describe, name == SILENCE and condition == "normal"
        return EpisodeRecord(
            channel=name,
            condition=condition,
            episode_id=row,
            success=outcome.reward == 1.0,
            choice=outcome.choice,
            target=episode.target,
            intended=intended if entry.channel.judged else None,
            bits=outcome.bits,
            tokens=outcome.tokens,
            seconds=round(seconds, 6),
            message=_as_json(outcome.message),
            probabilities=outcome.probabilities,
            num_candidates=len(episode.candidates),
            candidates=[describe(candidate) for candidate in episode.candidates] if shown else None,
            trained=entry.trained,
            reference=entry.reference,
        )


class _Outcome(NamedTuple):
    """What came of one episode."""

    message: Message
    bits: float
    tokens: int
    probabilities: list[float]
    choice: int
    reward: float


def _send(pair: Pair, channel: Channel, plan: EpisodePlan, rows: range, conditions: Sequence[str]) -> Sent:
    """The messages about each episode's target, its partner's target and its swap target.

    Where no condition delivers the other two, they are not made, and the first stands in for them.
    """
    own = [plan.episodes[row] for row in rows]
    partners = [plan.episodes[plan.partners[row]] for row in rows]
    swap_targets = [
        episode._replace(target=int(plan.swap_targets[row])) for row, episode in zip(rows, own, strict=True)
    ]
    sent = channel.send(_speak(pair, channel, own))
    return Sent(
        sent,
        channel.send(_speak(pair, channel, partners)) if "shuffle" in conditions else sent,
        channel.send(_speak(pair, channel, swap_targets)) if "swap" in conditions else sent,
    )


def _speak(pair: Pair, channel: Channel, told: Sequence[ReferentialEpisode]) -> Utterance:
    """What the sender says of the targets of some episodes."""
    seen = ReceiverView([episode.candidates for episode in told], [episode.target for episode in told])
    return pair.speak(channel, np.stack([episode.sender_view for episode in told]), seen)


@torch.no_grad()
def _choose(
    pair: Pair, context: Context, table: Table, control: Control, messages: list[Message]
) -> tuple[list[_Outcome], float]:
    """One batch of episodes under one condition, from the messages to the rewards, and the seconds."""
    observed = table.speak(messages)

    def choose() -> tuple[ReceiverInput, torch.Tensor]:
        receiver_input = control.receive(observed)
        return receiver_input, pair.receiver.choose(context, receiver_input)

    (receiver_input, logits), seconds = timed(choose, pair.device)
    choices = logits.argmax(-1).tolist()
    rewards = table.choose(messages, choices)
    bits = [control.channel.message_bits(message) for message in messages]
    tokens = _num_positions(pair.receiver, receiver_input)
    probabilities = [[round(p, 6) for p in row] for row in logits.softmax(-1).tolist()]
    return list(map(_Outcome, messages, bits, tokens, probabilities, choices, rewards)), seconds


def _num_positions(receiver: Receiver, receiver_input: ReceiverInput) -> list[int]:
    """Positions of each receiver's input that a receiver input takes: of vectors, cache entries or tokens."""
    if isinstance(receiver_input, TextInput):
        return [len(tokens) for tokens in receiver.message_tokens(receiver_input.texts)]
    return num_positions(receiver_input).tolist()


def _as_json(message: Any) -> Any:
    """Text and codes as they are; of vectors three digits, enough to look at, and of long ones nothing."""
    if isinstance(message, np.ndarray):
        if message.size > MOST_NUMBERS:
            return None
        return message.tolist() if message.dtype.kind == "i" else np.round(message, 3).tolist()
    return int(message) if isinstance(message, np.integer) else message
