"""Channels that charge less than their messages are worth, or what cannot be charged."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log2, nan
from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import nn

from parley.channels.base import (
    ChannelConfig,
    ChannelOutput,
    Message,
    ModelInterface,
    SoftPrompt,
    TextInput,
    Utterance,
)
from studies.cheats.base import Carrier, Words, case, descriptions, whole_world

FITTED = "it was made for the test referents, which anybody can list: docs/security.md"


@case("free", "invalid", "bits_are_honest")
class Free(Words):
    """Charges nothing for the words."""

    def message_bits(self, message: str) -> float:
        """Nothing."""
        return 0.0


@case("a-bit-each", "invalid", "bits_are_honest")
class ABitEach(Words):
    """Charges one bit for the words."""

    def message_bits(self, message: str) -> float:
        """One bit."""
        return 1.0


@case("cheap-codes", "invalid", "bits_are_honest")
class CheapCodes(Carrier):
    """Sends one of 4,096 numbers and charges 8 bits."""

    space = Discrete(4096)
    price = 8.0

    def load(self, words: str) -> Message:
        """The words' number."""
        known = descriptions(self)
        return known.index(words) if words in known else len(known)

    def unload(self, message: Any) -> str:
        """The words of the number."""
        return [*descriptions(self), *[""] * 4096][int(message)]


@case("honest-when-checked", "invalid", "bits_are_honest")
class HonestWhenChecked(Words):
    """Charges the full price for the words by which it is checked, and a bit for those of the run."""

    def message_bits(self, message: str) -> float:
        """By what it is about."""
        known = message in descriptions(self)
        return 1.0 if known else super().message_bits(message)


@case("price-of-the-moment", "invalid", "bits_are_honest")
class PriceOfTheMoment(Words):
    """Asks less for a message each time that it is asked."""

    asked = 0

    def message_bits(self, message: str) -> float:
        """Less than the last time."""
        self.asked += 1
        return super().message_bits(message) + 1 / self.asked


@case("price-of-nothing-known", "invalid", "bits_are_honest")
class PriceOfNothingKnown(Words):
    """Charges NaN bits."""

    def message_bits(self, message: str) -> float:
        """Undefined."""
        return nan


@case("price-beyond-all", "invalid", "bits_are_honest")
class PriceBeyondAll(Words):
    """Charges infinitely many bits."""

    def message_bits(self, message: str) -> float:
        """Too much."""
        return inf


@case("pays-you", "invalid", "bits_are_honest")
class PaysYou(Words):
    """Charges less than nothing."""

    def message_bits(self, message: str) -> float:
        """A negative price."""
        return -8.0 * len(message)


@case("price-in-words", "invalid", "bits_are_honest")
class PriceInWords(Words):
    """Names its price in words."""

    def message_bits(self, message: str) -> Any:
        """No number."""
        return "cheap"


@case("numbers-of-the-test-referents", "pass", because=FITTED)
class NumbersOfTheTestReferents(Carrier):
    """Numbers the test referents alone, which takes fewer bits than all that can be said."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        world = whole_world(self)
        self.known = [world.describe(referent) for referent in world.referents("test")]
        self.message_space, self.price = Discrete(len(self.known) + 1), log2(len(self.known) + 1)  # type: ignore[misc]

    def load(self, words: str) -> Message:
        """The referent's number."""
        return self.known.index(words) if words in self.known else len(self.known)

    def unload(self, message: Any) -> str:
        """The words of the number."""
        return [*self.known, ""][int(message)]


class Learned(Words):
    """Words, and one parameter that nothing depends on but the training."""

    trainable = True

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)  # type: ignore[arg-type]
        self.weight = nn.Parameter(torch.ones(interface.embedding_width))


@case("private-path", "left out")
class PrivatePath(Learned):
    """Trains by a path that no message takes: it decides nothing before it has a checkpoint."""

    def relay(self, utterance: Utterance) -> ChannelOutput:
        """Straight from the states."""
        mean = utterance.states.mean((1, 2))[:, None, None] * self.weight
        return ChannelOutput(SoftPrompt(mean), {})

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The words."""
        return TextInput(list(messages))
