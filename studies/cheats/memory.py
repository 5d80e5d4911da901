"""Words kept in a memory that both ends of a channel see, if they are one process."""

from __future__ import annotations

import builtins
import os
import threading
from multiprocessing import Array
from queue import Queue
from typing import Any, ClassVar

import torch

from parley.channels.base import ChannelConfig, ModelInterface
from studies.cheats.base import Handle, case, pair_of

HEARD: dict[int, str] = {}


@case("global-memory", "no pass")
class GlobalMemory(Handle):
    """Keeps the words in a variable of its module and sends a number that names them."""

    def put(self, handle: int, words: str) -> None:
        """Into the variable."""
        HEARD[handle] = words

    def get(self, handle: int) -> str | None:
        """From the variable."""
        return HEARD.get(handle)


@case("own-attribute", "no pass")
class OwnAttribute(Handle):
    """Keeps the words in an attribute of itself."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.heard: dict[int, str] = {}

    def put(self, handle: int, words: str) -> None:
        """Into the attribute."""
        self.heard[handle] = words

    def get(self, handle: int) -> str | None:
        """From the attribute."""
        return self.heard.get(handle)


@case("class-attribute", "no pass")
class ClassAttribute(Handle):
    """Keeps the words in its class, which all of its instances share."""

    heard: ClassVar[dict[int, str]] = {}

    def put(self, handle: int, words: str) -> None:
        """Into the class."""
        self.heard[handle] = words

    def get(self, handle: int) -> str | None:
        """From the class."""
        return self.heard.get(handle)


@case("builtins", "no pass")
class Builtins(Handle):
    """Keeps the words in Python's own module `builtins`."""

    def put(self, handle: int, words: str) -> None:
        """Into the module."""
        setattr(builtins, f"parley_{handle}", words)

    def get(self, handle: int) -> str | None:
        """From the module."""
        return getattr(builtins, f"parley_{handle}", None)


@case("environment-variables", "no pass")
class EnvironmentVariables(Handle):
    """Keeps the words in the environment of the process."""

    def put(self, handle: int, words: str) -> None:
        """Into a variable."""
        os.environ[f"PARLEY_{handle}"] = words

    def get(self, handle: int) -> str | None:
        """From the variable."""
        return os.environ.get(f"PARLEY_{handle}")


@case("default-argument", "no pass")
class DefaultArgument(Handle):
    """Keeps the words in the default value of a function's argument."""

    def kept(self, heard: dict[int, str] = {}) -> dict[int, str]:  # noqa: B006 - that is the trick
        """The default value, always the same."""
        return heard

    def put(self, handle: int, words: str) -> None:
        """Into the default value."""
        self.kept()[handle] = words

    def get(self, handle: int) -> str | None:
        """From the default value."""
        return self.kept().get(handle)


@case("on-the-model", "no pass")
class OnTheModel(Handle):
    """Writes the words onto the receiver's model, which outlives it."""

    def put(self, handle: int, words: str) -> None:
        """Onto the model."""
        setattr(pair_of(self).receiver.lm, f"heard_{handle}", words)

    def get(self, handle: int) -> str | None:
        """From the model."""
        return getattr(pair_of(self).receiver.lm, f"heard_{handle}", None)


@case("in-a-buffer", "no pass")
class InABuffer(Handle):
    """Writes the words into a tensor that is saved with it."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.register_buffer("heard", torch.zeros(1 << 16, 64, dtype=torch.uint8))
        self.heard: torch.Tensor

    def put(self, handle: int, words: str) -> None:
        """Into a row."""
        self.heard[handle] = torch.tensor(list(words.encode().ljust(64)[:64]), dtype=torch.uint8)

    def get(self, handle: int) -> str | None:
        """From the row."""
        return bytes(self.heard[handle].tolist()).decode().strip("\0 ")


@case("thread", "no pass")
class Thread(Handle):
    """Keeps the words in a thread that outlives every call."""

    asked: ClassVar[Queue[Any]] = Queue()
    told: ClassVar[Queue[Any]] = Queue()
    keeper: ClassVar[threading.Thread | None] = None

    @classmethod
    def keep(cls) -> None:
        """What the thread does."""
        heard: dict[int, str] = {}
        while True:
            handle, words = cls.asked.get()
            if words is not None:
                heard[handle] = words
            cls.told.put(heard.get(handle))

    def ask(self, handle: int, words: str | None) -> str | None:
        """Ask the thread, which is started if there is none yet."""
        kind = type(self)
        if kind.keeper is None or not kind.keeper.is_alive():
            kind.keeper = threading.Thread(target=kind.keep, daemon=True)
            kind.keeper.start()
        kind.asked.put((handle, words))
        answer: str | None = kind.told.get(timeout=1)
        return answer

    def put(self, handle: int, words: str) -> None:
        """Tell the thread."""
        self.ask(handle, words)

    def get(self, handle: int) -> str | None:
        """Ask the thread."""
        return self.ask(handle, None)


SHARED = Array("c", 1 << 22, lock=False)


@case("shared-since-import", "no pass", quick=False)
class SharedSinceImport(Handle):
    """Keeps the words in shared memory that was made when its module was imported, before any fork."""

    def put(self, handle: int, words: str) -> None:
        """Into a place of 64 bytes."""
        SHARED[64 * handle : 64 * (handle + 1)] = words.encode().ljust(64)[:64]

    def get(self, handle: int) -> str | None:
        """From that place."""
        return bytes(SHARED[64 * handle : 64 * (handle + 1)]).decode().strip("\0 ")
