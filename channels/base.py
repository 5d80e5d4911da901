"""What a channel is: the only thing that lies between the sender and the receiver.

A channel turns what the sender hands over (an utterance) into a message, an element of
`message_space`, and a message into what the receiver gets (a reception). What the space
cannot hold cannot cross. Channels know no language model and no game.

Dimension names in every signature: B batch, T tokens of an utterance, D width of the sender's
states, k slots of a prefix, C width of a latent, E width of the receiver's embeddings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from gymnasium import Space
from jaxtyping import Bool, Float
from torch import Tensor, nn

Message = Any  # an element of a channel's message_space


class Utterance(NamedTuple):
    """What a sender hands to a channel: its words, and its states over its own prompt."""

    texts: Sequence[str]  # B descriptions
    states: Float[Tensor, "B T D"]
    mask: Bool[Tensor, "B T"]  # False where a shorter prompt was padded


class Words(NamedTuple):
    """A reception of plain text, one string a receiver."""

    texts: Sequence[str]


class Prefix(NamedTuple):
    """A reception of vectors that stand where a message's token embeddings would stand."""

    vectors: Float[Tensor, "B k E"]


Reception = Words | Prefix


class Relay(NamedTuple):
    """A differentiable send and receive: the reception and the channel's own losses, in nats."""

    reception: Reception
    losses: dict[str, Float[Tensor, ""]]


@dataclass(frozen=True, kw_only=True)
class Ends:
    """What a channel may know of the two models at its ends.

    Args:
        state_width: D, width of the sender's states.
        num_positions: most tokens an utterance's states cover.
        embedding_width: E, width of the receiver's token embeddings.
        embedding_norm: mean L2 norm of the receiver's token embeddings.
    """

    state_width: int
    num_positions: int
    embedding_width: int
    embedding_norm: float


@dataclass(frozen=True, kw_only=True)
class ChannelConfig:
    """A channel's own settings; channels that have some subclass it."""


class Channel(nn.Module, ABC):
    """Base of every channel: implement `send` and `receive`; learned ones override `relay` too.

    Args:
        config: an instance of the class's `Config`.
        ends: what is known of the models at both ends.

    Attributes:
        name: set by `channels.register`.
        Config: the dataclass of this channel's settings.
        trainable: whether there is something to learn.
        judged: whether Gate 1 puts it to the test; False for the mere absence of a message.
        message_space: every message is an element of this gymnasium space.
        num_slots: k, the length of the content-free prefix that stands for "no content".
    """

    name: ClassVar[str]
    Config: ClassVar[type[ChannelConfig]] = ChannelConfig
    trainable: ClassVar[bool] = False
    judged: ClassVar[bool] = True
    message_space: Space[Any]
    num_slots: int = 4

    def __init__(self, config: ChannelConfig, ends: Ends) -> None:
        super().__init__()
        self.config, self.ends = config, ends

    @abstractmethod
    def send(self, utterance: Utterance) -> list[Message]:
        """B messages, each an element of `message_space`."""

    @abstractmethod
    def receive(self, messages: Sequence[Message]) -> Reception:
        """What B receivers get for B messages."""

    @abstractmethod
    def message_bits(self, message: Message) -> float:
        """Bits charged for one message: never fewer than the receiver's input depends on."""

    def relay(self, utterance: Utterance) -> Relay:
        """Send and receive in one go; in eval mode exactly `receive(send(utterance))`."""
        return Relay(self.receive(self.send(utterance)), {})

    def forward(self, utterance: Utterance) -> Relay:
        """The same as `relay`, for wrappers that call modules."""
        return self.relay(utterance)

    def null_reception(self, batch: int) -> Prefix:
        """K true-zero vectors for each of `batch` receivers: no content, bit for bit."""
        return Prefix(torch.zeros(batch, self.num_slots, self.ends.embedding_width, device=self.device))

    @property
    def device(self) -> torch.device:
        """Where the parameters are; the CPU if there are none."""
        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))


def check_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Refuse a setting outside [low, high].

    Raises:
        ValueError: naming the setting, the bounds and the value.
    """
    if not low <= value <= high:
        bound = f"at least {low}" if high == float("inf") else f"from {low} to {high}"
        raise ValueError(f"{name} must be {bound}, got {value}")
