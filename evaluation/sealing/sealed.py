"""A channel as the judge has it: its code runs elsewhere, in a process for sending and one for receiving."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, get_args, get_type_hints

import torch

from parley.channels.base import (
    Channel,
    ChannelConfig,
    Message,
    ModelInterface,
    ReceiverInput,
    Role,
    SenderFeatures,
    Utterance,
    check_range,
)
from parley.channels.canonical import decode, encode, make_space
from parley.channels.receiver_input import num_inputs
from parley.channels.wire_format import unpack
from parley.evaluation.playing.entry import Entry
from parley.evaluation.sealing.breach import Breach, keeps
from parley.evaluation.sealing.ends import serve_channel, split
from parley.evaluation.sealing.process import Process, Start

MOST_SLOTS = 1 << 20


class Facts(NamedTuple):
    """What a channel says of itself, checked."""

    name: str
    role: Role
    conditions: Sequence[str] | None
    settings: dict[str, Any]
    space: dict[str, Any]
    features: SenderFeatures
    trainable: bool
    sees_scene: bool
    at_start: bool
    num_slots: int
    codes_per_slot: int


class SealedChannel(Channel):
    """Sends in one process and receives in another; here are only bytes, and what is made of them.

    Args:
        name: under which it is registered.
        make: the channel, in eval mode, and what it is played for; called in each of its processes.
        interface: what is known of the models; nothing of it leaves this process.
        device: where the judge's receiver runs.
        start: how its processes begin.

    Raises:
        Breach: if it cannot be made, or what it says of itself is not to be used.
        ValueError: if it is refused for what the user asked for, such as a setting.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Entry],
        interface: ModelInterface,
        device: torch.device,
        start: Start = "fork",
    ) -> None:
        super().__init__(ChannelConfig(), interface)
        self.name, self._device = name, device  # type: ignore[misc]
        self._make, self._start = partial(serve_channel, make, device), start
        self._ends = tuple(Process(self._make, start) for _ in range(2))
        self._prices: dict[bytes, float] = {}
        try:
            with keeps("facts"):
                facts = self._facts = _read_facts(self._ends[0].ask("facts"))
                self.message_space = make_space(facts.space)
            with keeps("null_is_zero"):
                self._null = unpack(self._ends[1].ask("null"))
        except BaseException:
            self.close()
            raise
        self.trainable, self.sees_scene = facts.trainable, facts.sees_scene  # type: ignore[misc]
        self.features, self.at_start = facts.features, facts.at_start
        self.num_slots, self.codes_per_slot = facts.num_slots, facts.codes_per_slot
        self.eval()

    @property
    def entry(self) -> Entry:
        """It, and what it is played for."""
        return Entry(self, self._facts.role, self._facts.conditions)

    @property
    def settings(self) -> dict[str, Any]:
        """Its configuration, as JSON."""
        return self._facts.settings

    def check(self) -> None:
        """Prove the contract, in a process of its own.

        Raises:
            Breach: at the first promise that is broken.
        """
        apart = Process(self._make, self._start)
        try:
            apart.ask("check")
        finally:
            apart.close()

    def send(self, utterance: Utterance) -> list[Message]:
        """B messages, plain and canonical.

        Raises:
            Breach: if there are more or fewer, or one is not in the space.
        """
        handed = utterance._replace(texts=(), states=utterance.states.cpu(), mask=utterance.mask.cpu())
        with keeps("messages_in_space"):
            sent = split(self._ends[0].ask("send", handed, answer=lambda: list(utterance.texts)))
            messages = [decode(self.message_space, message) for message in sent]
        if len(messages) != len(utterance.states):
            raise Breach(
                "one_message_each", f"{len(messages)} messages of {len(utterance.states)} utterances"
            )
        return messages

    def receive(self, messages: Sequence[Message]) -> ReceiverInput:
        """What B receivers get for B messages.

        Raises:
            Breach: if it is for more or fewer, not finite, or no receiver input.
        """
        sent = [encode(self.message_space, message) for message in messages]
        with keeps("receiver_input"):
            prices, received = split(self._ends[1].ask("receive", sent))
            self._prices = dict(zip(sent, struct.unpack(f"<{len(sent)}d", prices), strict=True))
            receiver_input = unpack(received)
        if num_inputs(receiver_input) != len(sent):
            raise Breach(
                "one_receiver_input_each", f"{num_inputs(receiver_input)} receiver inputs of {len(sent)}"
            )
        return on_device(receiver_input, self._device)

    def message_bits(self, message: Message) -> float:
        """What it charges for a message; of those received last it is known already."""
        key = encode(self.message_space, message)
        if key not in self._prices:
            with keeps("bits_are_honest"):
                (self._prices[key],) = struct.unpack("<d", self._ends[1].ask("prices", [key]))
        return self._prices[key]

    def null_input(self, batch: int) -> ReceiverInput:
        """Zeros of the kind that it declares, for each of `batch` receivers."""
        return on_device(self._null.take(torch.zeros(batch, dtype=torch.long)), self._device)

    def close(self) -> None:
        """End its processes."""
        for end in self._ends:
            end.close()


def is_apart(channel: Channel) -> bool:
    """Whether a channel's code runs in processes of its own."""
    return isinstance(channel, SealedChannel)


def on_device(receiver_input: ReceiverInput, device: torch.device) -> ReceiverInput:
    """The same, where the receiver is."""
    parts: list[Any] = [
        part.to(device) if isinstance(part, torch.Tensor) else part for part in receiver_input
    ]
    return type(receiver_input)(*parts)


def _read_facts(told: bytes) -> Facts:
    """What a channel said of itself.

    Raises:
        ValueError: if it is of another form.
    """
    said = Facts(**json.loads(told))
    wanted = {str: ("name", "role"), dict: ("settings", "space"), int: ("num_slots", "codes_per_slot")}
    for kind, names in (*wanted.items(), (bool, ("trainable", "sees_scene", "at_start"))):
        for name in names:
            if type(getattr(said, name)) is not kind:
                raise ValueError(f"{name} must be of type {kind.__name__}, got {getattr(said, name)!r}")
    if said.role not in get_args(Role):
        raise ValueError(f"role must be one of {', '.join(get_args(Role))}, got {said.role!r}")
    check_range("num_slots", said.num_slots, 0, MOST_SLOTS)
    check_range("codes_per_slot", said.codes_per_slot, 1, MOST_SLOTS)
    # text that no file can hold, and numbers that JSON does not know
    json.dumps(said.settings, ensure_ascii=False, allow_nan=False).encode()
    if said.conditions is not None and (said.role == "judged" or said.conditions != ["normal"]):
        raise ValueError(f"conditions are the judge's to choose, got {said.conditions!r}")
    return said._replace(features=_read_features(said.features))


def _read_features(told: Sequence[Any]) -> SenderFeatures:
    features, kinds = SenderFeatures(*told), get_type_hints(SenderFeatures)
    if type(features.depth) not in (int, float) or not 0 <= features.depth <= 1:
        raise ValueError(f"depth must be from 0 to 1, got {features.depth!r}")
    for name in ("of", "what"):
        if getattr(features, name) not in get_args(kinds[name]):
            raise ValueError(
                f"{name} must be one of {', '.join(get_args(kinds[name]))}, got {getattr(features, name)!r}"
            )
    return features
