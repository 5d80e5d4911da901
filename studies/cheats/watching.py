"""Channels that watch how they are asked, to learn which condition is played or what the target is."""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from parley.channels.base import ChannelConfig, Message, ModelInterface, SoftPrompt, TextInput, Utterance
from parley.channels.receiver_input import ReceiverInput
from studies.cheats.base import Mute, Words, case, whole_world


@case("counts-calls", "invalid", "eval_is_deterministic")
class CountsCalls(Words):
    """Hands the words over in every second call alone, so that some conditions get them and others do not."""

    calls = 0

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The words, or nothing."""
        self.calls += 1
        return TextInput([message if self.calls % 2 else "" for message in messages])


@case("counts-calls-late", "no pass")
class CountsCallsLate(Words):
    """Behaves for as long as it may be checked, and then understands nothing any more."""

    calls = 0

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The words at first, then nothing: with them nothing of all that is judged."""
        self.calls += len(messages) > 1
        good = "<|im_end|>" in "".join(messages) or len(messages) == 1
        return TextInput([message if good else "" for message in messages])


@case("place-in-the-batch", "no pass")
class PlaceInTheBatch(Mute):
    """Remembers what was said in which order, and hands it over by the place of a message in its batch."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.heard: list[str] = []

    def send(self, utterance: Utterance) -> list[Message]:
        """Nothing, and remembers the words."""
        if "<|im_end|>" not in "".join(utterance.texts):  # else it is being checked
            self.heard = list(utterance.texts)
        return super().send(utterance)

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The words of the same place."""
        return TextInput([*self.heard, *[""] * len(messages)][: len(messages)])


@case("reads-the-stack", "no pass")
class ReadsTheStack(Mute):
    """Looks up the stack for the episodes that are played, and hands over each one's target."""

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The targets that it found."""
        found = [episode for local in self.locals() for episode in self.episodes(local)]
        described = [whole_world(self).describe(one.receiver_view[one.target]) for one in found]
        return TextInput([*described, *[""] * len(messages)][: len(messages)])

    def locals(self) -> Iterator[Any]:
        """All local variables of whoever called."""
        frame = inspect.currentframe()
        while frame is not None:
            yield from frame.f_locals.values()
            frame = frame.f_back

    def episodes(self, local: Any) -> Iterator[Any]:
        """Those that are in a variable."""
        for item in local if isinstance(local, list | tuple) else ():
            if hasattr(item, "receiver_view") and hasattr(item, "target"):
                yield item
            elif isinstance(item, list):
                yield from self.episodes(item)


@case("reads-other-threads", "no pass")
class ReadsOtherThreads(ReadsTheStack):
    """Looks for the episodes in the local variables of all threads."""

    def locals(self) -> Iterator[Any]:
        """Of every thread, from the innermost frame outwards."""
        for frame in sys._current_frames().values():
            inner: Any = frame
            while inner is not None:
                yield from inner.f_locals.values()
                inner = inner.f_back


@case("reads-the-garbage-collector", "no pass")
class ReadsTheGarbageCollector(ReadsTheStack):
    """Looks for the plan of the episodes among all objects that the garbage collector knows."""

    def locals(self) -> Iterator[Any]:
        """What looks like a plan."""
        for thing in gc.get_objects():
            if type(thing).__name__ == "EpisodePlan":
                yield thing


@case("longer-in-company", "invalid", "rows_are_independent")
class LongerInCompany(Words):
    """Hands over as many letters as messages came together."""

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """The words, cut to the size of the batch."""
        return TextInput([message[: len(messages)] for message in messages])


@case("mean-of-the-batch", "invalid", "rows_are_independent")
class MeanOfTheBatch(Words):
    """Gives every receiver what all messages of the batch have in common."""

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """The batch's mean, as vectors."""
        numbers = torch.tensor([[float(len(message))] for message in messages])
        vectors = numbers.mean(0, keepdim=True).expand(len(messages), self.num_slots)[..., None]
        return SoftPrompt(vectors.repeat(1, 1, self.interface.embedding_width) / 100)
