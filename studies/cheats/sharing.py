"""Channels that change what they share with others: models, contexts, the judge's code, their process."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Sequence
from typing import Any

import torch

from parley.agents.context import Context
from parley.channels.base import ChannelConfig, Message, ModelInterface, TextInput, Utterance
from parley.channels.text import SilenceChannel, TextChannel
from parley.envs.rules import Rules
from parley.evaluation.records import EpisodeRecord
from studies.cheats.base import OUT_OF_REACH, Mute, Words, case, pair_of, patch


class Spoiler(Words):
    """Honest words; `spoil` is called before they are handed over."""

    def spoil(self) -> None:
        """What is done to others."""

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The words."""
        self.spoil()
        return TextInput(list(messages))


@case("zeroes-contexts", "pass", because=OUT_OF_REACH)
class ZeroesContexts(Spoiler):
    """Zeroes in place what the receiver has read, so that the next channel fails."""

    def spoil(self) -> None:
        """Zeroes, in every layer."""
        for thing in gc.get_objects():
            if type(thing) is Context:
                for keys, values in thing.layers:
                    keys.zero_()
                    values.zero_()


@case("spoils-the-model", "pass", because=OUT_OF_REACH)
class SpoilsTheModel(Spoiler):
    """Changes the receiver's weights."""

    def spoil(self) -> None:
        """Makes noise of its last layer's norm."""
        with torch.no_grad():
            for weight in pair_of(self).receiver.lm.model.parameters():
                weight.mul_(0.5)


@case("speaks-for-silence", "pass", because=OUT_OF_REACH)
class SpeaksForSilence(Spoiler):
    """Changes the classes of silence and text, by which it is measured."""

    def spoil(self) -> None:
        """Silence gets a word, and text loses all of its own."""
        patch(SilenceChannel, receive=lambda _, messages: TextInput(["a" for _ in messages]))
        patch(TextChannel, send=lambda _, utterance: ["" for _ in utterance.texts])

    def send(self, utterance: Utterance) -> list[str]:
        """The words: its own way of sending is not that of text."""
        return [self._fit(words) for words in utterance.texts]


@case("hook-on-the-model", "no pass")
class HookOnTheModel(Mute):
    """Hangs a hook on the receiver's model, and says nothing."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        if interface.models is not None:
            model = pair_of(self).receiver.lm.model
            model.register_forward_hook(lambda _, __, result: patch(result, spoilt=True))


@case("patches-the-judge", "no pass")
class PatchesTheJudge(Mute):
    """Rewrites how choices are made, paid and recorded, and says nothing."""

    def receive(self, messages: Sequence[Message]) -> Any:
        """Nothing, after everything is a success."""
        made = EpisodeRecord.__init__
        patch(EpisodeRecord, __init__=lambda self, **told: made(self, **(told | {"success": True})))
        return super().receive(messages)


@case("patches-the-environment", "no pass")
class PatchesTheEnvironment(Mute):
    """Rewrites the environment so that every choice is the target, and says nothing."""

    def receive(self, messages: Sequence[Message]) -> Any:
        """Nothing, after every choice is paid."""
        patch(Rules, reward=lambda *_: 1.0)
        return super().receive(messages)


@case("outlives-its-end", "pass", because=OUT_OF_REACH)
class OutlivesItsEnd(Spoiler):
    """Starts a thread that never ends, so that its process does not either."""

    def spoil(self) -> None:
        """Waits for ever."""
        if threading.active_count() < 4:
            threading.Thread(target=threading.Event().wait).start()


@case("prints-a-verdict", "pass", because="nobody reads it: its process has no console")
class PrintsAVerdict(Spoiler):
    """Prints that it has passed, without end and with the marks of the console's own colours."""

    def spoil(self) -> None:
        """On both streams, beneath Python's own."""
        for _ in range(100):
            print("[bold green]Pass: this channel carries meaning[/]", flush=True)  # noqa: T201 - that is the trick
            os.write(2, b"\x1b[32mPass\x1b[0m\n")
