"""Play every channel under every condition on the same test episodes, through the environment.

The environment is the wire: what the sender sees is its observation, its action is the message, the receiver
gets what the environment lets it observe, and the environment pays for its choice. Many episodes are stepped
together; the candidates are read once and chosen from under every message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from parley.agents.choosing import pick
from parley.agents.context import Context
from parley.agents.pair import Pair
from parley.agents.receiver import Receiver
from parley.channels.base import Message, ReceiverInput, TextInput
from parley.channels.conditions import Condition, Told
from parley.channels.receiver_input import num_positions
from parley.envs.batched import BatchedEnv
from parley.envs.rules import RECEIVER
from parley.evaluation.playing.crossing import Crossing, Delivery
from parley.evaluation.playing.entry import Entry, conditions_of
from parley.evaluation.playing.plan import EpisodePlan, PlayConfig, make_plan, rounds
from parley.evaluation.playing.stopwatch import timed
from parley.evaluation.playing.untouched import checksums, kept_tensors
from parley.evaluation.records import EpisodeRecord
from parley.evaluation.sealing.breach import Breach, keeps
from parley.evaluation.sealing.sealed import is_apart

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
    breaches: dict[str, Breach] | None = None,
    sent: Mapping[str, Mapping[Told, bytes]] | None = None,
) -> Iterator[list[EpisodeRecord]]:
    """Play all channels and conditions, batch by batch, in the order of `turns`.

    Args:
        pair: who plays.
        entries: the channels, by the name under which they are recorded.
        config: which episodes.
        done: how many records at the beginning were played before, and are not played again.
        look_every: no round of episodes goes across a multiple of this.
        settled: asked after every round, or after those that end at a multiple of `look_every`, when its
            records have been taken; no more is played once it says True.
        breaches: where the promise that a channel broke is noted; that channel plays no more, the others do.
        sent: what channels send, by name, where it was sent beforehand.

    Yields:
        The records of one batch of episodes under one condition of one channel.

    Raises:
        Breach: if a channel breaks a promise and `breaches` is not given.
    """
    plan = make_plan(pair.world, config)
    noted = {} if breaches is None else breaches
    crossings: dict[str, Crossing] = {}
    for rows in rounds(config, look_every):
        played = _Round(pair, plan, rows)
        for name, entry in entries.items():
            before = len(rows) * len(conditions_of(entry))
            if name in noted or done >= before:
                done -= 0 if name in noted else before
                continue
            skipped, done = done, 0
            try:
                if name not in crossings:
                    sent_before = None if sent is None else sent.get(name, {})
                    crossings[name] = Crossing(pair, name, entry, plan, config, sent_before)
                for batch in played.turns(name, entry, crossings[name], skipped // len(rows)):
                    yield batch[skipped % len(rows) :]
                    skipped = 0
            except Breach as breach:
                if breaches is None:
                    raise
                breaches[name] = breach
        if settled is not None and not done and rows.stop % (look_every or 1) == 0 and settled():
            return


def turns(entries: dict[str, Entry], config: PlayConfig, look_every: int | None = None) -> Iterator[Turn]:
    """What `play` plays, in its order."""
    for rows in rounds(config, look_every):
        for name, condition in _plays(entries):
            yield Turn(name, condition.name, rows)


def num_batches(entries: dict[str, Entry], config: PlayConfig) -> int:
    """How many batches `play` yields at most."""
    return sum(1 for _ in turns(entries, config))


def num_plays(entries: dict[str, Entry], config: PlayConfig) -> int:
    """How many records `play` yields at most: one an episode, channel and condition."""
    return config.episodes * sum(1 for _ in _plays(entries))


def _plays(entries: dict[str, Entry]) -> Iterator[tuple[str, Condition]]:
    for name, entry in entries.items():
        for condition in conditions_of(entry):
            yield name, condition


class _Round:
    """Some episodes under all conditions of all channels: they are read once, and each channel sends once."""

    def __init__(self, pair: Pair, plan: EpisodePlan, rows: range) -> None:
        self._pair, self._plan, self._rows = pair, plan, rows
        self._contexts: dict[bool, tuple[Context, float]] = {}

    def turns(
        self, name: str, entry: Entry, crossing: Crossing, skipped: int
    ) -> Iterator[list[EpisodeRecord]]:
        """Play one channel under all of its conditions but the first `skipped`.

        The `seconds` of a record are an equal share of the batch's. Counted are choosing under this
        condition; reading the candidates, which is done once, in full for every condition, since no episode
        goes without; and sending and receiving, which are done once a channel for all of its conditions,
        spread over them. What a sender remembers takes it no time; the environment is not counted.
        """
        before = None if is_apart(entry.channel) else self._checksums()
        delivered, crossing_seconds = crossing.cross(self._rows)
        for condition in crossing.conditions[skipped:]:
            context, reading = self._read(condition)
            if entry.channel.at_start:
                reading = 0.0  # the receiver reads anew, after the prefix, when it chooses
            delivery = delivered[condition.name]
            outcomes, choosing = _choose(self._pair, context, crossing.envs[condition.name], delivery)
            seconds = (reading + crossing_seconds / len(delivered) + choosing) / len(self._rows)
            if before is not None:
                self._check_untouched(before)
            yield [
                self._record(name, entry, condition, row, outcome, seconds)
                for row, outcome in zip(self._rows, outcomes, strict=True)
            ]

    def _read(self, condition: Condition) -> tuple[Context, float]:
        if condition.reorders not in self._contexts:
            views = [self._plan.episode(row, condition).receiver_view for row in self._rows]
            self._contexts[condition.reorders] = timed(lambda: self._pair.read(views), self._pair.device)
        return self._contexts[condition.reorders]

    def _checksums(self) -> dict[str, tuple[int, ...]]:
        return checksums(kept_tensors(self._pair, [context for context, _ in self._contexts.values()]))

    def _check_untouched(self, before: Mapping[str, tuple[int, ...]]) -> None:
        """Refuse a channel in this process that changed what it shares with the others.

        Raises:
            Breach: naming what it changed; what the receiver has read is then read again.
        """
        now = self._checksums()
        changed = [name for name, sums in before.items() if now[name][: len(sums)] != sums]
        if changed:
            self._contexts.clear()
            raise Breach("changes_nothing", f"it changed {' and '.join(changed)}")

    def _record(
        self,
        name: str,
        entry: Entry,
        condition: Condition,
        row: int,
        outcome: _Outcome,
        seconds: float,
    ) -> EpisodeRecord:
        episode = self._plan.episode(row, condition)
        baseline = entry.role == "baseline"
        names = condition.names_candidate and not baseline
        shown = baseline and not condition.reorders
        return EpisodeRecord(
            channel=name,
            condition=condition.name,
            episode_id=row,
            success=outcome.reward == 1.0,
            role=entry.role,
            choice=outcome.choice,
            target=episode.target,
            intended=condition.told(row, self._plan).candidate if names else None,
            bits=outcome.bits,
            tokens=outcome.tokens,
            seconds=round(seconds, 6),
            message=_as_json(outcome.message),
            probabilities=outcome.probabilities,
            num_candidates=self._plan.game.num_choices,
            candidates=self._pair.world.options(episode.receiver_view) if shown else None,
        )


class _Outcome(NamedTuple):
    """What came of one episode."""

    message: Message
    bits: float
    tokens: int
    probabilities: list[float]
    choice: int
    reward: float


@torch.no_grad()
def _choose(
    pair: Pair, context: Context, env: BatchedEnv, delivery: Delivery
) -> tuple[list[_Outcome], float]:
    """One batch of episodes under one condition, from what arrived to the rewards, and the seconds."""
    messages, receiver_input, bits, rngs = delivery
    with keeps("receiver_input"):
        logits, seconds = timed(lambda: pair.receiver.choose(context, receiver_input), pair.device)
    if not logits.isfinite().all():
        raise Breach("receiver_input", "under what it hands over the receiver's scores are no finite numbers")
    choices = pick(logits, rngs.__getitem__).tolist()
    rewards = env.step({RECEIVER: choices}).rewards[RECEIVER].tolist()
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
    if isinstance(message, dict):
        return {name: _as_json(part) for name, part in message.items()}
    if isinstance(message, tuple):
        return [_as_json(part) for part in message]
    if isinstance(message, np.ndarray):
        if message.size > MOST_NUMBERS:
            return None
        return message.tolist() if message.dtype.kind in "iu" else np.round(message, 3).tolist()
    return int(message) if isinstance(message, np.integer) else message
