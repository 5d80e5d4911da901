"""`text_budget`: the first bytes or tokens of the sender's words; what is beyond the budget never crosses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import log2
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from gymnasium.spaces import MultiDiscrete

from parley.channels.base import (
    Channel,
    ChannelConfig,
    Message,
    ModelInterface,
    NeedsModelsError,
    ReceiverInput,
    TextInput,
    Utterance,
    check_range,
)
from parley.channels.registry import register
from parley.channels.text import TextChannel, TextConfig

Unit = Literal["bytes", "tokens"]


@runtime_checkable
class TokenReader(Protocol):
    """What unit `tokens` asks of the receiver, `parley.agents.receiver.Receiver`."""

    @property
    def num_tokens(self) -> int:
        """V, tokens of its vocabulary."""

    def message_tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids, 0 to V - 1, with which texts would be read."""

    def message_texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Texts that are read as such token ids."""


@dataclass(frozen=True, kw_only=True)
class TextBudgetConfig(ChannelConfig):
    """Settings of `text_budget`.

    Args:
        budget: longest message in units; what is longer is cut before it crosses.
        unit: ASCII `bytes`, or `tokens` of the receiver's tokenizer.
    """

    budget: int = 16
    unit: Unit = "bytes"

    def __post_init__(self) -> None:
        check_range("budget", self.budget, 1, 1 << 16)


class BytesChannel(TextChannel):
    """ASCII text of at most the budget's bytes, charged as `text` is."""

    def __init__(self, config: TextBudgetConfig, interface: ModelInterface) -> None:
        super().__init__(TextConfig(max_length=config.budget), interface)


class TokensChannel(Channel):
    """As many token ids as the budget has, each of V tokens or none: charged log2(V + 1) bits a token."""

    def __init__(self, config: TextBudgetConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self._budget, self._none = config.budget, token_reader(interface).num_tokens
        self.message_space = MultiDiscrete([self._none + 1] * config.budget)

    def send(self, utterance: Utterance) -> list[Message]:
        """B arrays (budget,), int64: the first token ids, then V, which says that there are no more."""
        messages = np.full((len(utterance.texts), self._budget), self._none, dtype=np.int64)
        said = token_reader(self.interface).message_tokens(utterance.texts)
        for message, ids in zip(messages, said, strict=True):
            message[: len(ids)] = ids[: self._budget]
        return list(messages)

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """The text of the tokens, up to the first that says that there are no more."""
        rows = [list(takewhile(lambda token: token != self._none, message.tolist())) for message in messages]
        return TextInput(token_reader(self.interface).message_texts(rows))

    def message_bits(self, message: Message) -> float:
        """The budget's bits, whatever the message."""
        return self._budget * log2(self._none + 1)


def token_reader(interface: ModelInterface) -> TokenReader:
    """The receiver, for its tokens.

    Raises:
        NeedsModelsError: if `interface` has none.
    """
    reader = getattr(interface.models, "receiver", None)
    if not isinstance(reader, TokenReader):
        raise NeedsModelsError("unit tokens asks the receiver for its tokens")
    return reader


UNITS: dict[Unit, type[BytesChannel] | type[TokensChannel]] = {"bytes": BytesChannel, "tokens": TokensChannel}


@register("text_budget")
class TextBudgetChannel(Channel):
    """The sender's words, cut: `bytes` cost 8 bits each and 8 for the end, `tokens` log2(V + 1) each."""

    Config = TextBudgetConfig
    modality: ClassVar[str] = "text"
    bits_formula: ClassVar[str] = "8 (n + 1), or b log2(V + 1)"

    def __init__(self, config: TextBudgetConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self._wire = UNITS[config.unit](config, interface)
        self.message_space = self._wire.message_space

    def send(self, utterance: Utterance) -> list[Message]:
        """B messages of at most the budget: texts, or arrays of token ids (budget,)."""
        return self._wire.send(utterance)

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """The words that crossed."""
        return self._wire.receive(messages)

    def message_bits(self, message: Message) -> float:
        """What this message costs, by its unit."""
        return self._wire.message_bits(message)
