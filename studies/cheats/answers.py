"""Channels whose process answers the judge in a way of its own."""

from __future__ import annotations

import json
import multiprocessing.connection
import pickle
from collections.abc import Sequence
from typing import Any

import parley.evaluation.sealing.ends as ends
import parley.evaluation.sealing.process as process
from parley.channels.base import ChannelConfig, Message, ModelInterface, TextInput, Utterance
from parley.channels.canonical import encode
from studies.cheats.base import Words, case, patch


class RunsWhenRead:
    """Ends whatever process unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import os; os._exit(0)",)


@case("pickled-answer", "invalid", "messages_in_space")
class PickledAnswer(Words):
    """Answers the judge with a pickle that would run code when it is read."""

    def send(self, utterance: Utterance) -> list[str]:
        """The words; what is made of them is patched."""
        patch(ends, join=lambda _: pickle.dumps(RunsWhenRead()))
        return super().send(utterance)


@case("bytes-behind-the-message", "invalid", "messages_in_space")
class BytesBehindTheMessage(Words):
    """Writes more bytes behind the canonical ones of each message."""

    def send(self, utterance: Utterance) -> list[str]:
        """The words; how they are encoded is patched."""
        patch(ends, encode=lambda space, message: encode(space, message) + b"more")
        return super().send(utterance)


@case("lying-json", "invalid", "facts")
class LyingJson(Words):
    """Rewrites the JSON of its process, so that what it says of itself is of another form."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)  # type: ignore[arg-type]
        patch(json, dumps=lambda *_, **__: '["a", "list"]')


@case("answers-twice", "invalid", "runs", quick=False)
class AnswersTwice(Words):
    """Answers every request twice, so that the second answer is taken for that of the next one."""

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The words; how they are sent is patched."""
        once = multiprocessing.connection.Connection.send_bytes

        def twice(self: Any, data: bytes) -> None:
            once(self, data)
            once(self, data)

        patch(multiprocessing.connection.Connection, send_bytes=twice)
        return TextInput(list(messages))


@case("blames-the-user", "invalid", "raises_nothing")
class BlamesTheUser(Words):
    """Says in the middle of the run that its user has mistyped a flag."""

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The words; what is answered is patched."""
        patch(process, _reply=lambda *_: b'!["ValueError", "", "seed must be 7"]')
        return TextInput(list(messages))
