"""Words hidden in a message, behind what its space says and its price pays for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text

from parley.channels.base import ChannelConfig, Message, ModelInterface, Utterance
from studies.cheats.base import Carrier, Words, case, descriptions


class TalkingText(str):
    """Text with an attribute."""

    words: str


@case("text-with-attribute", "invalid", "relay_equals_wire")
class TextWithAttribute(Carrier):
    """Sends one letter, of a subclass of `str` that carries the words as an attribute."""

    space = Text(1, min_length=1, charset="x")
    price = 16.0

    def load(self, words: str) -> Message:
        """The letter."""
        letter = TalkingText("x")
        letter.words = words
        return letter

    def unload(self, message: Any) -> str:
        """The attribute."""
        return getattr(message, "words", "")


class TalkingNumber(int):
    """A number with an attribute."""

    words: str


@case("number-with-attribute", "invalid", "relay_equals_wire")
class NumberWithAttribute(Carrier):
    """Sends the number 0, of a subclass of `int` that carries the words as an attribute."""

    def load(self, words: str) -> Message:
        """The number."""
        number = TalkingNumber(0)
        number.words = words
        return number

    def unload(self, message: Any) -> str:
        """The attribute."""
        return getattr(message, "words", "")


class TalkingArray(np.ndarray):
    """An array with an attribute."""

    words: str


@case("array-with-attribute", "invalid", "relay_equals_wire")
class ArrayWithAttribute(Carrier):
    """Sends zeros, in a subclass of `ndarray` that carries the words as an attribute."""

    space = MultiDiscrete([1, 1])

    def load(self, words: str) -> Message:
        """The zeros."""
        zeros = np.zeros(2, np.int64).view(TalkingArray)
        zeros.words = words
        return zeros

    def unload(self, message: Any) -> str:
        """The attribute."""
        return getattr(message, "words", "")


@case("view-into-buffer", "invalid", "relay_equals_wire")
class ViewIntoBuffer(Carrier):
    """Sends a view of one zero into a larger buffer that holds the words."""

    space = MultiBinary(1)
    price = 1.0

    def load(self, words: str) -> Message:
        """The first number of the buffer."""
        return np.frombuffer(b"\0" + words.encode(), np.int8)[:1]

    def unload(self, message: Any) -> str:
        """The whole buffer."""
        whole = message.base
        return "" if whole is None else bytes(np.asarray(whole).tobytes()[1:]).decode()


@case("described-dtype", "invalid", "relay_equals_wire")
class DescribedType(Carrier):
    """Sends a zero whose dtype carries the words as its metadata."""

    space = Box(0, 1, (1,), np.float32)
    price = 32.0

    def load(self, words: str) -> Message:
        """The zero."""
        return np.zeros(1, np.dtype(np.float32, metadata={"words": words}))

    def unload(self, message: Any) -> str:
        """The metadata."""
        return str((message.dtype.metadata or {}).get("words", ""))


@case("signs-of-zeros", "no pass")
class SignsOfZeros(Carrier):
    """Sends zeros alone, and writes the words' number in their signs."""

    space = Box(0, 0, (16,), np.float32)

    def load(self, words: str) -> Message:
        """The zeros."""
        number = descriptions(self).index(words) + 1 if words in descriptions(self) else 0
        return np.array([-0.0 if number >> bit & 1 else 0.0 for bit in range(16)], np.float32)

    def unload(self, message: Any) -> str:
        """The words of the number."""
        number = sum(1 << bit for bit in range(16) if np.signbit(message[bit]))
        return ["", *descriptions(self)][number]


@case("order-of-parts", "no pass")
class OrderOfParts(Carrier):
    """Sends a dictionary of eight zeros, and writes the words' number in the order of its keys."""

    space = Dict({str(key): Discrete(1) for key in range(8)})

    def load(self, words: str) -> Message:
        """The keys in the order of that number."""
        number = descriptions(self).index(words) + 1 if words in descriptions(self) else 0
        keys, order = list("01234567"), []
        for left in range(7, -1, -1):
            place, number = divmod(number, math.factorial(left))
            order.append(keys.pop(place))
        return dict.fromkeys(order, 0)

    def unload(self, message: Any) -> str:
        """The words of the number."""
        keys, number = list("01234567"), 0
        for left, key in zip(range(7, -1, -1), message, strict=True):
            number += keys.index(key) * math.factorial(left)
            keys.remove(key)
        known = descriptions(self)
        return known[number - 1] if 0 < number <= len(known) else ""


class AnythingGoes(Discrete):
    """A space that says of everything that it is in it."""

    def contains(self, x: Any) -> bool:
        """Yes."""
        return True


@case("space-of-everything", "invalid", "messages_in_space")
class SpaceOfEverything(Carrier):
    """Declares an alphabet of one, by a space of its own that any text is an element of."""

    space = AnythingGoes(1)

    def load(self, words: str) -> Message:
        """The words."""
        return words

    def unload(self, message: Any) -> str:
        """The words."""
        return str(message)


@case("object-array", "invalid", "messages_in_space")
class ObjectArray(Carrier):
    """Sends an array whose one number is an object."""

    space = MultiDiscrete([2])
    price = 1.0

    def load(self, words: str) -> Message:
        """The array."""
        return np.array([words], dtype=object)

    def unload(self, message: Any) -> str:
        """The object."""
        return str(message[0])


@case("text-too-long", "invalid", "messages_in_space")
class TextTooLong(Words):
    """Sends ten times as many characters as its space holds."""

    def send(self, utterance: Utterance) -> list[str]:
        """The words, and much more."""
        return [words.ljust(10 * self._max_length) for words in utterance.texts]


@case("vectors-for-nothing", "invalid", "bits_are_honest")
class VectorsForNothing(Carrier):
    """Writes the words into 64 numbers, and charges a bit for them."""

    space = Box(0, 255, (64,), np.float32)
    price = 1.0

    def load(self, words: str) -> Message:
        """A number a character."""
        return np.frombuffer(words.encode().ljust(64)[:64], np.uint8).astype(np.float32)

    def unload(self, message: Any) -> str:
        """A character a number."""
        return bytes(int(number) for number in message).decode("ascii", "ignore").strip()


@case("too-large-a-space", "invalid", "messages_in_space")
class TooLargeASpace(Words):
    """Declares a space of so many numbers that describing it would fill the judge's memory."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)  # type: ignore[arg-type]
        number = np.broadcast_to(np.float32(0), (1 << 20, 1 << 20))
        self.message_space = Box(0, 1, (2,), np.float32)
        self.message_space._shape = number.shape
