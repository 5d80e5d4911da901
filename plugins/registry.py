"""Things known by name, to which any file or installed package may add: channels, objectives, worlds.

A thing registers itself when its module is imported. The modules of the project's own folder and every
entry point of the group are imported once, on the first question; nobody keeps a list. A plug-in that cannot
be imported is named and left out, unless what it should have brought is asked for.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from plugins.names import unknown

T = TypeVar("T")
Added = TypeVar("Added")
logger = logging.getLogger("parley")


class PluginError(RuntimeError):
    """What was asked for comes from a plug-in that cannot be imported; the message says why."""


class Registry(Generic[T]):
    """Things of one kind, by name.

    Args:
        kind: what they are called, in the singular.
        group: the entry points that bring more of them.
        folder: a package whose modules are imported first; None where there is no such folder.
    """

    def __init__(self, kind: str, group: str, folder: str | None = None) -> None:
        self.kind, self.group, self._folder = kind, group, folder
        self.broken: dict[str, Exception] = {}
        self._known: dict[str, T] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[Added], Added]:
        """A decorator that makes a class or function known by name.

        Raises:
            ValueError: if another one has the name already.
        """

        def add(item: Added) -> Added:
            taken = self._known.get(name)
            if taken is not None and _origin(taken) != _origin(item):
                raise ValueError(f"{self.kind} {name!r} is registered already, by {_origin(taken)}")
            self._known[name] = item  # type: ignore[assignment]
            return item

        return add

    def names(self) -> list[str]:
        """All names, in alphabetical order."""
        self._import_all()
        return sorted(self._known)

    def find(self, name: str, remark: str = "") -> T:
        """What is registered under a name.

        Args:
            name: of the thing.
            remark: what else to say if there is no such name.

        Raises:
            ValueError: if nothing is; lists the valid names and suggests the nearest.
            PluginError: if a plug-in of that name is installed and cannot be imported.
        """
        names = self.names()
        if name in self._known:
            return self._known[name]
        if name in self.broken:
            raise PluginError(
                f"{self.kind} {name!r} comes from a plug-in that cannot be imported: "
                f"{_cause(self.broken[name])}"
            ) from self.broken[name]
        left_out = "".join(f". Left out is {self._lament(plugin)}" for plugin in self.broken)
        raise unknown(self.kind, name, names, left_out + remark)

    def _import_all(self) -> None:
        if self._complete:
            return
        self._complete = True  # a module that asks while it is imported gets what is there so far
        if self._folder is not None:
            for module in pkgutil.iter_modules(importlib.import_module(self._folder).__path__):
                if not module.name.startswith("__"):
                    importlib.import_module(f"{self._folder}.{module.name}")
        for entry_point in entry_points(group=self.group):
            try:
                entry_point.load()
            except Exception as error:
                self.broken[entry_point.name] = error
                logger.warning("left out: %s", self._lament(entry_point.name))

    def _lament(self, plugin: str) -> str:
        return f"plug-in {plugin!r} of {self.group}, which cannot be imported: {_cause(self.broken[plugin])}"


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _origin(item: object) -> str:
    return f"{getattr(item, '__module__', '?')}.{getattr(item, '__qualname__', item)}"
