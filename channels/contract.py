"""What a promise of the contract is, what it is checked on, and how what crosses is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from torch import Tensor

from parley.channels.base import Channel, Message, ReceiverInput, TextInput, Utterance
from parley.channels.canonical import decode, encode, plain_space
from parley.channels.conditions.random import random_message
from parley.channels.receiver_input import ActivationPatch, CacheEntries, SoftPrompt, tensors_of


class ContractError(AssertionError):
    """A promise that a channel breaks; the message says how, and what to do.

    Attributes:
        promise: its name, short and stable.
    """

    def __init__(self, promise: str, lesson: str) -> None:
        super().__init__(lesson)
        self.promise = promise


class BrokenError(Exception):
    """What a check raises; which promise it checks is known to who called it."""


def demand(kept: bool, lesson: str) -> None:
    """Go on only if a promise is kept."""
    if not kept:
        raise BrokenError(lesson)


class Subject:
    """A channel that is checked, utterances to send, and what it sent of them.

    Args:
        channel: a copy.
        utterance: synthetic.
        rng: draws messages.
    """

    def __init__(self, channel: Channel, utterance: Utterance, rng: np.random.Generator) -> None:
        self.channel, self.utterance, self.rng = channel, utterance, rng
        self.handed = _copied(utterance)

    @property
    def untouched(self) -> bool:
        """Whether the utterance is still what it was."""
        return all(map(np.array_equal, _copied(self.utterance), self.handed))

    @cached_property
    def sent(self) -> list[Message]:
        """As `send` made them."""
        return self.channel.send(self.utterance)

    @cached_property
    def space(self) -> Space[Any]:
        """The message space, a plain one."""
        return plain_space(self.channel.message_space)

    @property
    def messages(self) -> list[Message]:
        """Those that were sent, as they arrive: plain and fresh."""
        return [decode(self.space, data) for data in self.encoded(self.sent)]

    @cached_property
    def received(self) -> ReceiverInput:
        """What receivers get for them."""
        return self.channel.receive(self.messages)

    def random(self, number: int) -> list[Message]:
        """Messages drawn by chance."""
        return [random_message(self.space, self.rng) for _ in range(number)]

    def encoded(self, messages: Sequence[Message]) -> list[bytes]:
        """Canonical bytes."""
        return [encode(self.space, message) for message in messages]


def _copied(utterance: Utterance) -> tuple[Any, ...]:
    return utterance.states.cpu().numpy().copy(), utterance.mask.cpu().numpy().copy(), list(utterance.texts)


Check = Callable[[Subject], None]
PROMISES: dict[str, Check] = {}


def promise(check: Check) -> Check:
    """Decorator that makes a check known by its name, which is that of the promise, after those before it."""
    PROMISES[check.__name__] = check
    return check


def content(receiver_input: ReceiverInput) -> bytes:
    """All that a receiver's input tells: where and how it is put would tell so much more."""
    if isinstance(receiver_input, TextInput):
        return "".join(receiver_input.texts).encode()
    # a zero has no sign: that of a message is lost on the wire
    parts = [part.detach().cpu().float() + 0.0 for part in tensors_of(receiver_input)]
    return b"".join(part.numpy().tobytes() for part in parts) + _placing(receiver_input)


def _placing(receiver_input: SoftPrompt | ActivationPatch | CacheEntries) -> bytes:
    if isinstance(receiver_input, ActivationPatch):
        return f"{receiver_input.depth} {receiver_input.mode}".encode()
    return b"at the start" if isinstance(receiver_input, SoftPrompt) and receiver_input.at_start else b""


def same(first: ReceiverInput, second: ReceiverInput) -> bool:
    """Whether two receiver inputs agree to the last bit."""
    return type(first) is type(second) and content(first) == content(second)


def alike(alone: Sequence[ReceiverInput], together: ReceiverInput) -> bool:
    """Whether receiver inputs agree but for the rounding of differently shaped products."""
    if isinstance(together, TextInput):
        return [text for receiver_input in alone for text in receiver_input[0]] == list(together.texts)
    vectors = [receiver_input for receiver_input in alone if not isinstance(receiver_input, TextInput)]
    return {_placing(receiver_input) for receiver_input in vectors} == {_placing(together)} and all(
        part.shape == whole.shape and torch.allclose(part.float(), whole.float(), rtol=1e-4, atol=1e-5)
        for row, receiver_input in enumerate(vectors)
        for part, whole in zip(_read(receiver_input, 0), _read(together, row), strict=True)
    )


def _read(receiver_input: SoftPrompt | ActivationPatch | CacheEntries, row: int) -> list[Tensor]:
    """What one receiver reads: how long the others' padding is makes no difference to it."""
    mask = None if isinstance(receiver_input, ActivationPatch) else receiver_input.mask
    parts = [part[row] for part in tensors_of(receiver_input)]
    return parts if mask is None else [part[..., mask[row], :] for part in parts if part.dtype != torch.bool]
