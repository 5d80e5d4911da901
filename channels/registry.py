"""Which channels exist: `@register("name")` on a class in any file makes it known.

Every module of this folder, and every installed package's entry point of the group
`parley.channels`, is imported once, on the first question; nobody keeps a list.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from typing import TypeVar

import channels
from channels.base import Channel

ENTRY_POINTS = "parley.channels"
C = TypeVar("C", bound=type[Channel])
_REGISTERED: dict[str, type[Channel]] = {}


def register(name: str) -> Callable[[C], C]:
    """Class decorator that makes a channel known by name.

    Raises:
        ValueError: if another class has the name already.
    """

    def add(channel_class: C) -> C:
        known = _REGISTERED.get(name)
        if known is not None and _origin(known) != _origin(channel_class):
            raise ValueError(f"channel {name!r} is registered already, by {_origin(known)}")
        channel_class.name = name
        _REGISTERED[name] = channel_class
        return channel_class

    return add


def _origin(channel_class: type[Channel]) -> str:
    return f"{channel_class.__module__}.{channel_class.__qualname__}"


@cache
def _import_channel_modules() -> None:
    for module in pkgutil.iter_modules(channels.__path__):
        importlib.import_module(f"channels.{module.name}")
    for entry_point in entry_points(group=ENTRY_POINTS):
        entry_point.load()


def channel_names() -> list[str]:
    """Names of all channels, in alphabetical order."""
    _import_channel_modules()
    return sorted(_REGISTERED)


def channel_class(name: str) -> type[Channel]:
    """The class registered under a name.

    Raises:
        ValueError: if there is none; lists the valid names and suggests the nearest.
    """
    names = channel_names()
    if name not in names:
        nearest = get_close_matches(name, names, n=1)
        hint = f", did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"unknown channel {name!r}{hint or '.'} The channels are: {', '.join(names)}")
    return _REGISTERED[name]
