"""Which channels exist: `@channels.register("name")` on a class in any file of this folder makes it known.

An installed package brings more by an entry point of the group `parley.channels`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from parley.channels.base import Channel
from parley.channels.conditions.base import CONDITIONS
from parley.plugins.registry import LeftOut, Registry

C = TypeVar("C", bound=type[Channel])
ALL = "all"
CHANNELS: Registry[type[Channel]] = Registry("channel", "parley.channels", folder="parley.channels")


def register(name: str) -> Callable[[C], C]:
    """Class decorator that makes a channel known by name.

    Raises:
        ValueError: if another class has the name already, or it may not be one.
    """
    if name == ALL:
        raise ValueError(f"no channel may be named {ALL!r}: on the command line it stands for every one")

    def add(channel_class: C) -> C:
        CHANNELS.register(name)(channel_class)
        channel_class.name = name
        return channel_class

    return add


def channel_names() -> list[str]:
    """Names of all channels, in alphabetical order."""
    return CHANNELS.names()


def own_channels(names: Collection[str] | None = None) -> list[str]:
    """Those of some names, or of all, that the project itself brings; no plug-in of others is imported."""
    return CHANNELS.own(names)


def channel_class(name: str) -> type[Channel]:
    """The class registered under a name.

    Raises:
        ValueError: if there is none; lists the valid names and suggests the nearest, and says so if it is the
            name of a condition.
        PluginError: if a plug-in of that name is there and cannot be used.
    """
    hint = f". {name!r} is a condition, under which every channel is played; name a channel"
    return CHANNELS.find(name, hint if name in CONDITIONS.names() else "")


def left_out() -> list[LeftOut]:
    """The plug-ins that cannot be used, for one who shows them."""
    return CHANNELS.left_out()
