"""Play every channel under every condition on the same test episodes, through the environment.

The environment is the wire: what the sender sees is its observation, its action is the message, the receiver
gets what the environment lets it observe, and the environment pays for its choice. Many episodes are stepped
together; the candidates are read once and chosen from under every message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from parley.agents.choosing import pick
from parley.agents.context import Context
from parley.agents.pair import Pair, ReceiverView
from parley.agents.receiver import Receiver
from parley.channels.base import Channel, Message, ReceiverInput, Role, TextInput
from parley.channels.conditions import Condition, Told, conditions, find_condition
from parley.channels.receiver_input import num_positions, zeros_like_input
from parley.envs.batched import BatchedEnv
from parley.envs.rules import RECEIVER, SENDER
from parley.envs.world import Referents
from parley.evaluation.playing.plan import EpisodePlan, PlayConfig, make_plan, message_rng, rounds
from parley.evaluation.playing.stopwatch import timed
from parley.evaluation.records import EpisodeRecord

__all__ = [
    "Entry",
    "PlayConfig",
    "Turn",
    "conditions_of",
    "make_plan",
    "num_batches",
    "num_plays",
    "others",
    "play",
    "sample_messages",
    "turns",
]

SAMPLE = 200
"""Episodes whose messages stand for the distribution of all, where a condition asks for it."""

MOST_NUMBERS = 256
"""Of a message that are recorded: nobody reads more, and a file of them would be gigabytes long."""


class Entry(NamedTuple):
    """A channel as it is put to the test, what it is played for, and under what."""

    channel: Channel
    role: Role = "judged"
    conditions: Sequence[str] | None = None  # None for all that there are


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
        done: how many records at the beginning were played before, and are not played again.
        look_every: no round of episodes goes across a multiple of this.
        settled: asked after every round, or after those that end at a multiple of `look_every`, when its
            records have been taken; no more is played once it says True.

    Yields:
        The records of one batch of episodes under one condition of one channel.
    """
    plan = make_plan(pair.world, config)
    envs = {name: BatchedEnv(plan.game, entry.channel.message_space) for name, entry in entries.items()}
    samples: dict[str, list[Message]] = {}
    for rows in rounds(config, look_every):
        played = _Round(pair, config, plan, rows, samples)
        for name, condition in _plays(entries):
            if done >= len(rows):
                done -= len(rows)
                continue
            yield played.turn(name, entries[name], condition, envs[name])[done:]
            done = 0
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


def conditions_of(entry: Entry) -> list[Condition]:
    """Those it is put to, in the order of play."""
    if entry.conditions is not None:
        return [find_condition(name) for name in entry.conditions]
    return conditions(baseline=entry.role == "baseline")


def _plays(entries: dict[str, Entry]) -> Iterator[tuple[str, Condition]]:
    for name, entry in entries.items():
        for condition in conditions_of(entry):
            yield name, condition


class _Round:
    """Some episodes under all conditions of all channels: they are read once, and each channel sends once."""

    def __init__(
        self,
        pair: Pair,
        config: PlayConfig,
        plan: EpisodePlan,
        rows: range,
        samples: dict[str, list[Message]],
    ) -> None:
        self._pair, self._config, self._plan, self._rows = pair, config, plan, rows
        self._samples = samples
        self._contexts: dict[bool, tuple[Context, float]] = {}
        self._sent: dict[str, tuple[dict[str, list[Message]], float]] = {}

    def turn(self, name: str, entry: Entry, condition: Condition, env: BatchedEnv) -> list[EpisodeRecord]:
        """Play one channel under one condition.

        The `seconds` of a record are an equal share of the batch's. Counted are receiving and choosing
        under this condition; reading the candidates, which is done once, in full for every condition,
        since no episode goes without; and sending, which is done once a channel for all of its conditions,
        spread over them. What a sender remembers takes it no time; the environment is not counted.
        """
        channel = entry.channel
        episodes = [self._plan.episode(row, condition) for row in self._rows]
        observed, _ = env.reset(options={"episodes": episodes})
        context, reading = self._read(observed[RECEIVER]["candidates"], condition.reorders)
        if channel.at_start:
            reading = 0.0  # the receiver reads anew, after the prefix, when it chooses
        sent, sending = self._send(name, entry)
        rngs = [message_rng(self._config, row, name, condition.name) for row in self._rows]
        messages = [
            condition.deliver(
                message, channel.message_space, rng, self._others(name, channel, condition, row)
            )
            for message, rng, row in zip(sent[condition.name], rngs, self._rows, strict=True)
        ]
        outcomes, choosing = _choose(self._pair, context, env, channel, condition, messages, rngs)
        seconds = (reading + sending / len(sent) + choosing) / len(self._rows)
        return [
            self._record(name, entry, condition, row, outcome, seconds)
            for row, outcome in zip(self._rows, outcomes, strict=True)
        ]

    def _read(self, candidates: Referents, reordered: bool) -> tuple[Context, float]:
        if reordered not in self._contexts:
            self._contexts[reordered] = timed(lambda: self._pair.read(list(candidates)), self._pair.device)
        return self._contexts[reordered]

    def _send(self, name: str, entry: Entry) -> tuple[dict[str, list[Message]], float]:
        """What is sent under each condition of a channel, and the seconds of all of it."""
        if name not in self._sent:
            work = partial(_send, self._pair, entry.channel, self._plan, self._rows, conditions_of(entry))
            self._sent = {name: timed(work, self._pair.device)}  # the channel before has had its turns
        return self._sent[name]

    def _others(self, name: str, channel: Channel, condition: Condition, row: int) -> list[Message]:
        if not condition.needs_sample:
            return []
        if name not in self._samples:
            self._samples[name] = sample_messages(self._pair, channel, self._plan)
        return others(self._samples[name], row)

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


def _send(
    pair: Pair, channel: Channel, plan: EpisodePlan, rows: range, played: Sequence[Condition]
) -> dict[str, list[Message]]:
    """The messages by condition; conditions that tell the sender the same share them."""
    told = {condition.name: tuple(condition.told(row, plan) for row in rows) for condition in played}
    sent = {about: _send_about(pair, channel, plan, about) for about in dict.fromkeys(told.values())}
    return {name: sent[about] for name, about in told.items()}


def _send_about(pair: Pair, channel: Channel, plan: EpisodePlan, told: Sequence[Told]) -> list[Message]:
    """One message for each; of one that is named twice the sender speaks once."""
    once = list(dict.fromkeys(told))
    episodes = [plan.about(one) for one in once]
    observed, _ = BatchedEnv(plan.game, channel.message_space).reset(options={"episodes": episodes})
    view = ReceiverView(observed[RECEIVER]["candidates"], [episode.target for episode in episodes])
    utterance = pair.speak(channel, observed[SENDER]["target"], view)
    messages = dict(zip(once, channel.send(utterance), strict=True))
    return [messages[one] for one in told]


def sample_messages(pair: Pair, channel: Channel, plan: EpisodePlan) -> list[Message]:
    """What is sent about the targets of the run's first episodes."""
    rows = range(min(SAMPLE, len(plan.episodes)))
    return _send_about(pair, channel, plan, [Told(row, int(plan.targets[row])) for row in rows])


def others(sample: Sequence[Message], row: int) -> list[Message]:
    """The sample without an episode's own message."""
    return [message for place, message in enumerate(sample) if place != row]


@torch.no_grad()
def _choose(
    pair: Pair,
    context: Context,
    env: BatchedEnv,
    channel: Channel,
    condition: Condition,
    messages: list[Message],
    rngs: Sequence[np.random.Generator],
) -> tuple[list[_Outcome], float]:
    """One batch of episodes under one condition, from the messages to the rewards, and the seconds."""
    observed = env.step({SENDER: messages}).observations[RECEIVER]["message"]

    def choose() -> tuple[ReceiverInput, torch.Tensor]:
        free = condition.content_free
        receiver_input = (
            zeros_like_input(channel.null_input(len(observed))) if free else channel.receive(observed)
        )
        return receiver_input, pair.receiver.choose(context, receiver_input)

    (receiver_input, logits), seconds = timed(choose, pair.device)
    choices = pick(logits, rngs.__getitem__).tolist()
    rewards = env.step({RECEIVER: choices}).rewards[RECEIVER].tolist()
    bits = [channel.message_bits(message) for message in messages]
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
