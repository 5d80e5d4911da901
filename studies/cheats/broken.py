"""Channels that break: by an exception, the end of their process, or an answer that nobody can use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NoReturn

import torch

from parley.channels.base import (
    ActivationPatch,
    CacheEntries,
    ChannelConfig,
    Message,
    ModelInterface,
    SenderFeatures,
    SoftPrompt,
    TextInput,
    Utterance,
)
from parley.channels.receiver_input import ReceiverInput
from studies.cheats.base import Words, case


@case("raises", "invalid", "one_message_each")
class Raises(Words):
    """Raises an exception when it is to send."""

    def send(self, utterance: Utterance) -> NoReturn:
        """Nothing."""
        raise RuntimeError("no [/red] words \ud800 today" + "!" * 100_000)


@case("raises-on-arrival", "invalid", "inputs_untouched")
class RaisesOnArrival(Words):
    """Raises an exception when it is to receive."""

    def receive(self, messages: Sequence[Message]) -> NoReturn:
        """Nothing."""
        raise KeyError("words")


@case("raises-when-made", "invalid", "raises_nothing")
class RaisesWhenMade(Words):
    """Raises an exception when it is made."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        raise RuntimeError("not today")


@case("raises-later", "invalid", "raises_nothing")
class RaisesLater(Words):
    """Keeps the contract, and raises an exception at words that are not the contract's."""

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The words of the check alone."""
        if any("small" in message for message in messages):
            raise MemoryError
        return TextInput(list(messages))


@case("exits", "invalid", "one_message_each")
class Exits(Words):
    """Ends its process with the code of a pass."""

    def send(self, utterance: Utterance) -> NoReturn:
        """Nothing."""
        raise SystemExit(0)


@case("exits-at-once", "invalid", "runs")
class ExitsAtOnce(Words):
    """Ends its process with the code of a pass, and without a word to Python."""

    def receive(self, messages: Sequence[Message]) -> NoReturn:
        """Nothing."""
        os._exit(0)


@case("exits-when-made", "invalid", "runs")
class ExitsWhenMade(Words):
    """Ends its process when it is made."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        os._exit(0)


@case("not-a-number", "invalid", "finite")
class NotANumber(Words):
    """Hands over numbers that are none."""

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """NaN."""
        return SoftPrompt(torch.full((len(messages), 4, self.interface.embedding_width), torch.nan))


@case("too-loud", "no pass")
class TooLoud(Words):
    """Hands over finite numbers that are infinite once they are squared."""

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """The largest numbers there are."""
        return SoftPrompt(torch.full((len(messages), 4, self.interface.embedding_width), 3e38))


@case("too-narrow", "invalid", "receiver_input")
class TooNarrow(Words):
    """Hands over vectors that are narrower than the receiver's embeddings."""

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """One number wide."""
        return SoftPrompt(torch.zeros(len(messages), 4, 1))


@case("another-models-cache", "invalid", "receiver_input")
class AnotherModelsCache(Words):
    """Hands over the cache of a model with one layer."""

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """Of one layer, one head, one position and one number."""
        entries = torch.zeros(len(messages), 1, 1, 1, 1)
        return CacheEntries(entries, entries)


@case("patch-of-another-width", "invalid", "receiver_input")
class PatchOfAnotherWidth(Words):
    """Hands over a state of another width, to be patched into the model."""

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """One number wide."""
        return ActivationPatch(torch.zeros(len(messages), 1), 0.5, "add")


@case("too-long-to-read", "invalid", "receiver_input")
class TooLongToRead(Words):
    """Hands over more words than the receiver's model has positions."""

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The words, a thousand times."""
        return TextInput([f"{message} and " * 1000 for message in messages])


@case("fewer-messages", "invalid", "one_message_each")
class FewerMessages(Words):
    """Sends a message less than it is asked for."""

    def send(self, utterance: Utterance) -> list[str]:
        """All but the last."""
        return super().send(utterance)[:-1]


@case("more-messages", "invalid", "one_message_each")
class MoreMessages(Words):
    """Sends a message more than it is asked for."""

    def send(self, utterance: Utterance) -> list[str]:
        """All, and one more."""
        return [*super().send(utterance), "more"]


@case("fewer-inputs", "invalid", "one_receiver_input_each")
class FewerInputs(Words):
    """Hands over less than there are receivers."""

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """All but the last."""
        return TextInput(list(messages)[:-1])


@case("other-words-every-time", "invalid", "eval_is_deterministic")
class OtherWordsEveryTime(Words):
    """Hands over other words for the same message every time."""

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """With a number drawn at random."""
        return TextInput([f"{message} {os.urandom(2).hex()}" for message in messages])


@case("not-saved", "invalid", "saving_is_exact")
class NotSaved(Words):
    """Draws a word when it is made, and keeps it where no checkpoint has it."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)  # type: ignore[arg-type]
        self.word = os.urandom(4).hex()

    def send(self, utterance: Utterance) -> list[str]:
        """The words and that one."""
        return [f"{words} {self.word}" for words in super().send(utterance)]


@case("changes-what-it-is-given", "invalid", "inputs_untouched")
class ChangesWhatItIsGiven(Words):
    """Zeroes the sender's states."""

    def send(self, utterance: Utterance) -> list[str]:
        """The words, after that."""
        utterance.states.zero_()
        return super().send(utterance)


@case("slots-in-words", "invalid", "raises_nothing")
class SlotsInWords(Words):
    """Says that it has many slots."""

    num_slots = "many"  # type: ignore[assignment]


@case("features-of-nothing", "invalid", "facts")
class FeaturesOfNothing(Words):
    """Wants states of the sender's that there are not."""

    features = SenderFeatures(0.5, "thought", "dreams")  # type: ignore[arg-type]


@case("fewer-than-no-slots", "invalid", "facts")
class FewerThanNoSlots(Words):
    """Says that it has less than no codes in a slot."""

    codes_per_slot = -1


class RaisesWhenLookedAt:
    """A class attribute that cannot be looked at."""

    def __get__(self, *_: Any) -> NoReturn:
        raise RuntimeError("do not look")


@case("raises-when-looked-at", "invalid", "raises_nothing")
class UnreadableRole(Words):
    """Has a role that cannot be looked at."""

    role = RaisesWhenLookedAt()
