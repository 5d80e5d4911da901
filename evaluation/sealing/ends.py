"""What runs in a channel's own processes: it answers what the judge asks, in bytes.

Requests: `facts`, what the channel says of itself; `send`, messages of utterances; `receive`, receiver inputs
and prices of messages; `check`, the contract.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from parley.channels.base import Channel, Utterance
from parley.channels.canonical import decode, describe_space, encode, make_space
from parley.channels.receiver_input import zeros_like_input
from parley.channels.testing import ContractError, check_channel
from parley.channels.wire_format import pack
from parley.evaluation.playing.entry import Entry
from parley.evaluation.sealing.breach import Breach, keeps
from parley.evaluation.sealing.process import Answers


class RemoteWords(Sequence[str]):
    """What the sender says, asked for when it is looked at: most channels never do."""

    def __init__(self, number: int, ask: Callable[[], list[str]]) -> None:
        self._number, self._ask = number, ask
        self._words: list[str] | None = None

    def __len__(self) -> int:
        return self._number

    def __getitem__(self, place: Any) -> Any:
        if self._words is None:
            self._words = self._ask()
        return self._words[place]


def serve_channel(
    make: Callable[[], Entry], device: torch.device, ask_words: Callable[[], list[str]]
) -> Answers:
    """The answers of a channel.

    Args:
        make: the channel and what it is played for.
        device: where it is to run.
        ask_words: asks the judge for the words of the utterance that was handed over last.
    """
    entry = make()
    channel = entry.channel.eval()
    with keeps("messages_in_space"):
        described = describe_space(channel.message_space)
        space = make_space(described)

    @torch.no_grad()
    def send(utterance: Utterance) -> bytes:
        number = len(utterance.states)
        utterance = utterance._replace(
            texts=RemoteWords(number, ask_words),
            states=utterance.states.to(device),
            mask=utterance.mask.to(device),
        )
        messages = channel.send(utterance)
        if len(messages) != number:
            raise Breach("one_message_each", f"send made {len(messages)} messages of {number} utterances")
        with keeps("messages_in_space"):
            return join([encode(space, message) for message in messages])

    @torch.no_grad()
    def receive(messages: list[bytes]) -> bytes:
        plain = [decode(space, message) for message in messages]
        prices = [float(channel.message_bits(message)) for message in plain]
        received = channel.receive([decode(space, message) for message in messages])
        return join([struct.pack(f"<{len(prices)}d", *prices), pack(received)])

    def prices(messages: list[bytes]) -> bytes:
        found = [float(channel.message_bits(decode(space, message))) for message in messages]
        return struct.pack(f"<{len(found)}d", *found)

    def null() -> bytes:
        with keeps("null_is_zero"):
            return pack(zeros_like_input(channel.null_input(1)))

    def facts() -> bytes:
        return json.dumps(_facts(entry, described)).encode()

    return {
        "facts": facts,
        "null": null,
        "send": send,
        "receive": receive,
        "prices": prices,
        "check": partial(prove_contract, channel),
    }


def _facts(entry: Entry, space: dict[str, Any]) -> dict[str, Any]:
    channel = entry.channel
    return {
        "name": channel.name,
        "role": entry.role,
        "conditions": None if entry.conditions is None else list(entry.conditions),
        "settings": channel.settings,
        "space": space,
        "features": list(channel.features),
        "trainable": bool(channel.trainable),
        "sees_scene": bool(channel.sees_scene),
        "at_start": bool(channel.at_start),
        "num_slots": int(channel.num_slots),
        "codes_per_slot": int(channel.codes_per_slot),
    }


def prove_contract(channel: Channel) -> bytes:
    """Nothing, if a channel keeps its contract.

    Raises:
        Breach: at the first promise that is broken.
    """
    try:
        check_channel(channel)
    except ContractError as error:
        raise Breach(error.promise, str(error)) from error
    return b""


def join(parts: Sequence[bytes]) -> bytes:
    """Byte strings as one: their number, their lengths, and they themselves."""
    lengths = struct.pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts))
    return b"".join([lengths, *parts])


def split(joined: bytes) -> list[bytes]:
    """The byte strings that were joined.

    Raises:
        ValueError: if these are no joined byte strings.
    """
    if len(joined) < 8:
        raise ValueError(f"joined bytes must be at least 8, got {len(joined)}")
    (number,) = struct.unpack_from("<Q", joined)
    start = 8 * (number + 1)
    if start > len(joined):
        raise ValueError(f"joined bytes must hold the lengths of {number} parts, got {len(joined)} bytes")
    parts = []
    for length in struct.unpack_from(f"<{number}Q", joined, 8):
        parts.append(joined[start : start + length])
        start += length
    if start != len(joined):
        raise ValueError(f"joined bytes must be {start} long, got {len(joined)}")
    return parts
