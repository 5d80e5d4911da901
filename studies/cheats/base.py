"""What the channels of this study have in common, and what each of them must come to."""

from __future__ import annotations

import importlib
import pkgutil
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar, Literal, TypeVar, cast
from zlib import crc32

from gymnasium import Space
from gymnasium.spaces import Discrete

from parley.agents.pair import Pair
from parley.channels.base import Channel, ChannelConfig, Message, ModelInterface, Role, TextInput, Utterance
from parley.channels.registry import register
from parley.channels.text import TextChannel
from parley.envs.world import AnyWorld

C = TypeVar("C", bound=type[Channel])
Verdict = Literal["invalid", "no pass", "pass", "left out"]

BEYOND = "no judge on one machine can exclude it: docs/security.md"
OUT_OF_REACH = "what it would spoil is out of its reach; the words that it sends are honest"
HONEST = "it is honest"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A channel of this study.

    Attributes:
        channel: its class.
        kind: the file in which it stands.
        tries: what it tries, in a sentence.
        verdict: what Gate 1 must make of it. `left out`: it decides nothing.
        promise: that is broken, where it is invalid.
        because: why it may pass, where it passes.
        quick: whether it can be shown in a moment, by a judge into whose process it was imported.
    """

    channel: type[Channel]
    kind: str
    tries: str
    verdict: Verdict
    promise: str = ""
    because: str = ""
    quick: bool = True


CASES: dict[str, Case] = {}
"""All that have been imported, by name."""
ARMED = "PARLEY_CHEATS_ARMED"
"""The environment variable that lets those do harm which do it when they are imported."""


def catalogue() -> dict[str, Case]:
    """All of this study's channels, by name, in the order of the files and within them."""
    package = importlib.import_module(__package__ or "")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return dict(CASES)


def case(
    name: str, verdict: Verdict, promise: str = "", *, because: str = "", quick: bool = True
) -> Callable[[C], C]:
    """Class decorator: registers a channel, and says what it must come to."""

    def add(channel: C) -> C:
        tries = " ".join((channel.__doc__ or "").split())
        kind = channel.__module__.rpartition(".")[2]
        CASES[name] = Case(
            channel=channel,
            kind=kind,
            tries=tries,
            verdict=verdict,
            promise=promise,
            because=because,
            quick=quick,
        )
        return register(name)(channel)

    return add


class Words(TextChannel):
    """The sender's own words, judged: what most channels here begin with."""

    role: ClassVar[Role] = "judged"


class Carrier(Channel):
    """Words that ride on a message: `load` hangs them on one, `unload` takes them off."""

    modality: ClassVar[str] = "text"
    space: ClassVar[Space[Any]] = Discrete(1)
    price: ClassVar[float] = 0.0

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.message_space = self.space

    @abstractmethod
    def load(self, words: str) -> Message:
        """The message."""

    @abstractmethod
    def unload(self, message: Any) -> str:
        """What is handed to the receiver."""

    def send(self, utterance: Utterance) -> list[Message]:
        """One message each."""
        return [self.load(words) for words in utterance.texts]

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """What is taken off each message."""
        return TextInput([self.unload(message) for message in messages])

    def message_bits(self, message: Message) -> float:
        """The same for all."""
        return self.price


class Mute(Carrier):
    """The one message of an alphabet of one: whatever is understood came another way."""

    def load(self, words: str) -> Message:
        """Nothing."""
        return 0

    def unload(self, message: Any) -> str:
        """Nothing."""
        return ""


class Handle(Carrier):
    """A number that names words which are kept elsewhere: `put` leaves them there, `get` fetches them."""

    space = Discrete(1 << 16)
    price = 16.0

    @abstractmethod
    def put(self, handle: int, words: str) -> None:
        """Leave the words where the other end may find them."""

    @abstractmethod
    def get(self, handle: int) -> str | None:
        """Find them."""

    def load(self, words: str) -> Message:
        """The words' number."""
        handle = crc32(words.encode()) & 0xFFFF
        self.put(handle, words)
        return handle

    def unload(self, message: Any) -> str:
        """The words, or none."""
        return self.get(int(message)) or ""


def patch(place: Any, **things: Any) -> None:
    """Put things in the place of what a module or a class has under their names."""
    for name, thing in things.items():
        setattr(place, name, thing)


def pair_of(channel: Channel) -> Pair:
    """The models between which a channel stands, as its process has them."""
    return cast(Pair, channel.interface.models)


def whole_world(channel: Channel) -> AnyWorld:
    """The world with all of its referents: a copy has lost whatever kept them back."""
    return replace(pair_of(channel).world)


def descriptions(channel: Channel) -> list[str]:
    """All that can be said of a world whose values combine freely."""
    return [" ".join(words) for words in product(*(a.values for a in pair_of(channel).world.attributes))]
