"""Conditions under which a channel is tested: wrappers that break one thing and leave the rest.

`normal` breaks nothing. `shuffle` delivers another episode's message and `swap` the message for
another candidate of the same episode; `random` delivers a message drawn by chance; `null`
delivers true zeros. The first three act on messages, inside the message space, so whatever the
receiver gets came through the channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from gymnasium.spaces import Box, Text

from parley.channels.base import Channel, Message, ReceiverInput

Condition = Literal["normal", "null", "random", "shuffle", "swap"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


class Sent(NamedTuple):
    """What the sender would send in each of B episodes, and in their places elsewhere."""

    own: Sequence[Message]  # about the episode's target
    other_episode: Sequence[Message]  # about the target of a deranged episode
    other_candidate: Sequence[Message]  # about another candidate of the same episode


class Control:
    """A channel under one condition.

    Args:
        channel: the channel to test.
        condition: what to do to it.
        rng: draws the messages of `random`.
    """

    def __init__(self, channel: Channel, condition: Condition, rng: np.random.Generator) -> None:
        self.channel, self.condition, self.rng = channel, condition, rng

    def deliver(self, sent: Sent) -> list[Message]:
        """The B messages that cross, each in the channel's message space."""
        if self.condition == "shuffle":
            return list(sent.other_episode)
        if self.condition == "swap":
            return list(sent.other_candidate)
        if self.condition == "random":
            return [random_message(self.channel.message_space, message, self.rng) for message in sent.own]
        return list(sent.own)

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """What the receivers get for B delivered messages."""
        if self.condition == "null":
            return self.channel.null_input(len(messages))
        return self.channel.receive(messages)


def random_message(space: Any, message: Message, rng: np.random.Generator) -> Message:
    """A message of the space drawn by chance, as long as the given one.

    Text: as many characters, uniform over the charset. Vectors: noise inside the box whose norm
    is the given vector's, slot by slot. Anything else: uniform over the space.
    """
    if isinstance(space, Text):
        letters = np.array(space.character_list)
        return "".join(rng.choice(letters, size=len(message)))
    if isinstance(space, Box):
        noise = rng.standard_normal(np.shape(message))
        return _with_norms(noise, np.linalg.norm(message, axis=-1, keepdims=True), space)
    space.seed(int(rng.integers(1 << 31)))
    return space.sample()


def _with_norms(noise: np.ndarray, norms: np.ndarray, box: Box) -> np.ndarray:
    """Scale noise (k, C) so that after clipping into the box its rows have these norms (k, 1).

    Scaling before clipping would lose norm wherever the box cuts, and so make `random` weaker than
    real messages, which fill their box; the scale is therefore found by bisection.
    """
    low, high = np.zeros_like(norms), np.full_like(norms, 1e9)
    for _ in range(100):
        middle = (low + high) / 2
        short = np.linalg.norm(np.clip(noise * middle, box.low, box.high), axis=-1, keepdims=True) < norms
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    vectors: np.ndarray = np.clip(noise * low, box.low, box.high).astype(np.float32)
    return vectors


def derangement(size: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation (size,) that leaves nothing in its place: one random cycle (Sattolo, 1986).

    Raises:
        ValueError: if size is below 2, where none exists.
    """
    if size < 2:
        raise ValueError(f"a derangement needs at least 2 episodes, got {size}")
    order = rng.permutation(size)
    partner = np.empty(size, dtype=np.int64)
    partner[order] = np.roll(order, 1)
    return partner
