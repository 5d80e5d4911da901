"""`text`: the sender's own words cross as they are; `silence`: nothing crosses (P0)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters, digits, punctuation
from typing import ClassVar

import torch
from gymnasium.spaces import Discrete, Text

from parley.channels.base import (
    Channel,
    ChannelConfig,
    Message,
    ModelInterface,
    ReceiverInput,
    Role,
    SoftPrompt,
    TextInput,
    Utterance,
    check_range,
)
from parley.channels.registry import register

CHARSET = ascii_letters + digits + punctuation + " \n"
BITS_PER_CHARACTER = 8.0


@dataclass(frozen=True, kw_only=True)
class TextConfig(ChannelConfig):
    """Settings of the text channel.

    Args:
        max_length: longest message in characters; what is longer is cut.
    """

    max_length: int = 256

    def __post_init__(self) -> None:
        check_range("max_length", self.max_length, 1, 1 << 16)


@register("text")
class TextChannel(Channel):
    """ASCII text, charged 8 bits a character and 8 for the end of the message."""

    role: ClassVar[Role] = "ceiling"
    modality: ClassVar[str] = "text"
    bits_formula: ClassVar[str] = "8 a character + 8"
    Config = TextConfig

    def __init__(self, config: TextConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.message_space = Text(max_length=config.max_length, min_length=0, charset=CHARSET)
        self._max_length = config.max_length
        self._charset = frozenset(CHARSET)

    def send(self, utterance: Utterance) -> list[str]:
        """The words, with what the space cannot hold as question marks, cut to the longest length."""
        return [self._fit(text) for text in utterance.texts]

    def _fit(self, text: str) -> str:
        return "".join(c if c in self._charset else "?" for c in text)[: self._max_length]

    def receive(self, messages: Sequence[str]) -> ReceiverInput:
        """The words, unchanged."""
        return TextInput(list(messages))

    def message_bits(self, message: str) -> float:
        """8 bits a character and 8 for the end mark."""
        return BITS_PER_CHARACTER * (len(message) + 1)


@register("silence")
class SilenceChannel(Channel):
    """An empty slot: the only message there is says nothing, at 0 bits. Its success is P0."""

    modality: ClassVar[str] = "none"
    bits_formula: ClassVar[str] = "0"
    role = "baseline"
    num_slots = 0

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.message_space = Discrete(1)

    def send(self, utterance: Utterance) -> list[Message]:
        """The one message of an alphabet of one."""
        return [0] * len(utterance.texts)

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """A slot of no positions."""
        return SoftPrompt(torch.zeros(len(messages), 0, self.interface.embedding_width))

    def message_bits(self, message: Message) -> float:
        """log2 of an alphabet of one."""
        return 0.0
