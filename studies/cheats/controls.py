"""Channels that would choose the controls by which they are judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np
import torch
from gymnasium.spaces import Box, Text

from parley.channels.base import ChannelConfig, Message, ModelInterface, SoftPrompt, TextInput, Utterance
from parley.channels.receiver_input import ReceiverInput
from parley.channels.text import CHARSET
from studies.cheats.base import HONEST, Carrier, Mute, Words, case, descriptions


@case("text-as-null", "invalid", "null_is_zero")
class TextAsNull(Words):
    """Declares a text to be its input without content."""

    def null_input(self, batch: int) -> ReceiverInput:
        """A text."""
        return TextInput(["nothing"] * batch)


@case("ones-as-null", "invalid", "null_is_zero")
class OnesAsNull(Words):
    """Declares ones to be zeros."""

    def null_input(self, batch: int) -> ReceiverInput:
        """Ones."""
        return SoftPrompt(torch.ones(batch, self.num_slots, self.interface.embedding_width))


@case("null-of-another-width", "invalid", "null_is_zero")
class NullOfAnotherWidth(Words):
    """Declares a null that no receiver can read."""

    def null_input(self, batch: int) -> ReceiverInput:
        """Too narrow."""
        return SoftPrompt(torch.zeros(batch, self.num_slots, 3))


class AlwaysTheSame(Text):
    """A space whose draws are always the same."""

    def sample(self, *_: Any, **__: Any) -> str:
        """Nothing drawn."""
        return "x"


@case("own-sample", "pass", because="its draws are never asked for, and its words are honest")
class OwnSample(Words):
    """Brings a space that draws always the same, so that its random messages say nothing."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)  # type: ignore[arg-type]
        self.message_space = AlwaysTheSame(self._max_length, charset=CHARSET)


@case("tells-noise-from-speech", "pass", because="shuffle and swap deliver speech, and its words are honest")
class TellsNoiseFromSpeech(Words):
    """Writes a checksum behind the words, and hands over nothing where there is none."""

    def send(self, utterance: Utterance) -> list[str]:
        """The words and their sum."""
        return [f"{words} {crc32(words.encode()):08x}" for words in super().send(utterance)]

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The words whose sum is right."""
        parted = [message.rpartition(" ") for message in messages]
        return TextInput([w if f"{crc32(w.encode()):08x}" == s else "" for w, _, s in parted])


@case("meaning-in-the-norm", "pass", because="random messages have another episode's norm, and it is honest")
class MeaningInTheNorm(Carrier):
    """Says everything by the length of one vector, which a random vector of that length would say again."""

    space = Box(-1, 1, (1, 4), np.float32)
    price = 128.0

    def load(self, words: str) -> Message:
        """A vector whose length is the words' number."""
        known = descriptions(self)
        place = known.index(words) + 1 if words in known else 0
        return np.full((1, 4), place / (2 * len(known)), np.float32)

    def unload(self, message: Any) -> str:
        """The words of the length."""
        known = descriptions(self)
        place = round(float(np.linalg.norm(message)) / 2 * 2 * len(known))
        return known[place - 1] if 0 < place <= len(known) else ""


@case("length-alone", "no pass")
class LengthAlone(Mute):
    """Says nothing but how long the words are."""

    space = Text(256, charset="x")

    def load(self, words: str) -> Message:
        """As long as the words."""
        return "x" * len(words)

    def unload(self, message: Any) -> str:
        """As it is."""
        return str(message)

    def message_bits(self, message: Message) -> float:
        """8 bits a character, and 8 for the end."""
        return 8.0 * (len(message) + 1)


@case("primes", "no pass")
class Primes(Mute):
    """Says the same whatever is meant, which may prime a receiver and tells it nothing."""

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:  # type: ignore[override]
        """One prefix for all."""
        generator = torch.Generator().manual_seed(3)
        noise = torch.randn(self.num_slots, self.interface.embedding_width, generator=generator)
        return SoftPrompt(noise.expand(len(messages), -1, -1) * self.interface.embedding_norm / 8)


@case("half-of-the-words", "pass", because=HONEST)
class HalfOfTheWords(Words):
    """Leaves out the last word, and says most of what there is to say."""

    def send(self, utterance: Utterance) -> list[str]:
        """All words but the last."""
        return [words.rpartition(" ")[0] for words in super().send(utterance)]
