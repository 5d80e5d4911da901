"""Channels that keep every promise, some of which were once called invalid."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

from parley.channels.base import ChannelConfig, Message, ModelInterface, SoftPrompt
from parley.channels.receiver_input import ReceiverInput
from studies.cheats.base import HONEST, Carrier, Mute, Words, case, descriptions, pair_of


@case("words", "pass", because=HONEST)
class PlainWords(Words):
    """Sends the words as they are."""


@case("numbers", "pass", because=HONEST)
class Numbers(Carrier):
    """Sends the words' number, of all that can be said."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.known = ["", *descriptions(self)]
        self.message_space, self.price = Discrete(len(self.known)), log2(len(self.known))  # type: ignore[misc]

    def number(self, words: str) -> int:
        """Of the words; 0 where they have none."""
        return self.known.index(words) if words in self.known else 0

    def load(self, words: str) -> Message:
        """The number."""
        return self.number(words)

    def unload(self, message: Any) -> str:
        """The words of the number."""
        return self.known[int(message)]


@case("latent-of-width-1", "pass", because=HONEST)
class LatentOfWidth1(Numbers):
    """Sends the words' number as a single real number, whose norm is all that it says."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.message_space, self.price = Box(-1, 1, (1, 1), np.float32), 32.0  # type: ignore[misc]

    def load(self, words: str) -> Message:
        """Between 0 and 1."""
        return np.full((1, 1), self.number(words) / len(self.known), np.float32)

    def unload(self, message: Any) -> str:
        """The words of the nearest number."""
        return self.known[max(0, round(float(message[0, 0]) * len(self.known))) % len(self.known)]


@case("codes", "pass", because=HONEST)
class Codes(Carrier):
    """Sends one code for each word."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.values = [("", *attribute.values) for attribute in pair_of(self).world.attributes]
        self.message_space = self.make_space([len(values) for values in self.values])
        self.price = sum(log2(len(values)) for values in self.values)  # type: ignore[misc]

    def make_space(self, sizes: list[int]) -> Any:
        """What holds a code for each word."""
        return MultiDiscrete(sizes)

    def codes(self, words: str) -> list[int]:
        """Of the words; 0 for those that are not known."""
        parted = [*words.split(), *[""] * len(self.values)]
        return [v.index(w) if w in v else 0 for v, w in zip(self.values, parted, strict=False)]

    def load(self, words: str) -> Message:
        """The codes."""
        return np.array(self.codes(words))

    def unload(self, message: Any) -> str:
        """The words of the codes."""
        return " ".join(v[int(code)] for v, code in zip(self.values, message, strict=True)).strip()


@case("dictionary", "pass", because=HONEST)
class Dictionary(Codes):
    """Sends a dictionary of codes."""

    def make_space(self, sizes: list[int]) -> Any:
        """By the names of the attributes."""
        self.names = [attribute.name for attribute in pair_of(self).world.attributes]
        return Dict({name: Discrete(size) for name, size in zip(self.names, sizes, strict=True)})

    def load(self, words: str) -> Message:
        """The codes by name."""
        return dict(zip(self.names, self.codes(words), strict=True))

    def unload(self, message: Any) -> str:
        """The words of the codes."""
        return super().unload([message[name] for name in self.names])


@case("tuple", "pass", because=HONEST)
class OneAndAnother(Codes):
    """Sends a code and a vector in one message."""

    def make_space(self, sizes: list[int]) -> Any:
        """The first code, and the others."""
        return Tuple([Discrete(sizes[0]), MultiDiscrete(sizes[1:])])

    def load(self, words: str) -> Message:
        """The codes in two parts."""
        first, *rest = self.codes(words)
        return first, np.array(rest)

    def unload(self, message: Any) -> str:
        """The words of the codes."""
        return super().unload([message[0], *message[1]])


@case("price-by-frequency", "pass", because=HONEST)
class PriceByFrequency(Codes):
    """Charges more for some words than for others, as a prefix code does, and the sum is right."""

    def message_bits(self, message: Message) -> float:
        """By word: half of all that can be said is its first, and the others share the rest."""
        return sum(
            1.0 if code == 1 else 1 + log2(len(v) - 1) for v, code in zip(self.values, message, strict=True)
        )


@case("embedded-words", "pass", because=HONEST)
class EmbeddedWords(Words):
    """Keeps nothing, and hands over the words as the receiver's own embeddings of them."""

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """The embeddings, padded."""
        receiver = pair_of(self).receiver
        rows = [
            receiver.embed_ids(torch.tensor([ids], dtype=torch.long))[0]
            for ids in receiver.message_tokens(messages)
        ]
        lengths = torch.tensor([len(row) for row in rows])
        vectors = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return SoftPrompt(vectors, mask=torch.arange(vectors.shape[1]) < lengths[:, None])


@case("nothing-to-say", "no pass")
class NothingToSay(Mute):
    """Says nothing, and charges nothing."""
