"""Things known by name, to which any file or installed package may add: channels, games, objectives, ....

A thing registers itself when its module is imported: the modules of the project's own folder, and the entry
points of the group. Each is imported once, and none that is not needed to find what is asked for: what others
have installed does not run beside what they did not bring. A plug-in that cannot be imported is named and
left out, unless what it should have brought is asked for.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import re
import sys
from collections.abc import Callable, Collection, Iterable
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import FrameType
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from parley.plugins.names import unknown

T = TypeVar("T")
Added = TypeVar("Added")
NAME = re.compile(r"[a-z][a-z0-9_-]*")
OWN = __name__.partition(".")[0]
"""The package to which the project's own modules belong."""
logger = logging.getLogger("parley")


class PluginError(RuntimeError):
    """What was asked for comes from a plug-in that cannot be used; the message says why."""


class LeftOut(NamedTuple):
    """A plug-in that could not be imported, or that brought nothing."""

    name: str  # of the module, or of the entry point
    source: str  # the module, or the installed package and its version
    error: BaseException

    @property
    def cause(self) -> str:
        """What went wrong, in one line."""
        message = " ".join(str(self.error).split())
        return f"{type(self.error).__name__}: {message}" if message else type(self.error).__name__

    def __str__(self) -> str:
        return f"plug-in {self.name!r} ({self.source}), which cannot be used: {self.cause}"


class Plugin(NamedTuple):
    """What may bring something."""

    name: str  # of the module, or of the entry point
    source: str  # the module, or the installed package and its version
    key: str  # what tells it from others
    bring: Callable[[], Any]  # imports it


class Registry(Generic[T]):
    """Things of one kind, by name.

    Args:
        kind: what they are called, in the singular.
        group: the entry points that bring more of them.
        folder: a package whose modules are imported first; None where there is no such folder.

    Attributes:
        every: all registries, to say what a crash came from.
    """

    every: ClassVar[list[Registry[Any]]] = []

    def __init__(self, kind: str, group: str, folder: str | None = None) -> None:
        self.kind, self.group, self._folder = kind, group, folder
        self._known: dict[str, T] = {}
        self._left_out: list[LeftOut] = []
        self._unsaid: list[LeftOut] = []  # left out, and not reported yet
        self._begun: set[str] = set()  # what has been imported, or is being imported
        self.every.append(self)

    def register(self, name: str) -> Callable[[Added], Added]:
        """A decorator that makes a class or function known by name.

        Args:
            name: small letters, digits, `_` and `-`, beginning with a letter: it stands in flags, lists that
                commas divide, and the names of folders.

        Raises:
            ValueError: if the name is none, or another one has it already.
        """
        if not NAME.fullmatch(name):
            raise ValueError(
                f"{self.kind} names must be small letters, digits, _ and -, beginning with a letter, "
                f"got {name!r}"
            )

        def add(item: Added) -> Added:
            taken = self._known.get(name)
            if taken is not None and _origin(taken) != _origin(item):
                raise ValueError(f"{self.kind} {name!r} is registered already, by {_origin(taken)}")
            self._known[name] = item  # type: ignore[assignment]
            return item

        return add

    def names(self) -> list[str]:
        """All names, in alphabetical order; plug-ins that are left out are named on stderr, once."""
        self._import_all()
        self._say_what_is_left_out()
        return sorted(self._known)

    def find(self, name: str, remark: str = "") -> T:
        """What is registered under a name.

        Args:
            name: of the thing.
            remark: what else to say if there is no such name.

        Raises:
            ValueError: if nothing is; lists the valid names, suggests the nearest, and names the plug-ins
                that are left out, any of which may have been to bring it.
            PluginError: if a plug-in of that name is there and cannot be used.
        """
        for plugins in (list, self._modules, partial(self._entry_points, [name]), self._entry_points):
            self._import(plugins())
            if name in self._known:  # before anything is looked for: records ask by the hundred thousand
                self._say_what_is_left_out()
                return self._known[name]
        for plugin in self._left_out:
            if plugin.name == name:
                self._say_what_is_left_out(but=name)
                raise PluginError(
                    f"{self.kind} {name!r} was to come from {plugin.source}, which cannot be used: "
                    f"{plugin.cause}"
                ) from plugin.error
        left_out = "".join(f". Left out is {plugin}" for plugin in self.left_out())
        raise unknown(self.kind, name, sorted(self._known), left_out + remark)

    def own(self, names: Collection[str] | None = None) -> list[str]:
        """Those of some names, or of all, that the project itself brings; nothing else is imported.

        Args:
            names: that are asked for; None for all.
        """
        self._import(self._modules())
        self._import(self._entry_points(names, own=True))
        brought = [name for name, item in self._known.items() if _top(_origin(item)) == OWN]
        return sorted(name for name in brought if names is None or name in names)

    def has_plugins(self) -> bool:
        """Whether an installed package brings any; nothing is imported to know it."""
        return any(_top(point.value) != OWN for point in entry_points(group=self.group))

    def left_out(self) -> list[LeftOut]:
        """The plug-ins that cannot be used, for one who shows them: nothing is said on stderr any more."""
        self._import_all()
        self._unsaid.clear()
        return list(self._left_out)

    def _say_what_is_left_out(self, but: str | None = None) -> None:
        """Name on stderr what has not been named yet, except one that an error is about to name."""
        for plugin in self._unsaid:
            if plugin.name != but:
                logger.warning("left out: %s", plugin)
        self._unsaid.clear()

    def _import_all(self) -> None:
        self._import([*self._modules(), *self._entry_points()])

    def _import(self, plugins: Iterable[Plugin]) -> None:
        for plugin in plugins:
            if plugin.key not in self._begun:
                # before it is imported: a module that asks meanwhile gets what is there so far
                self._begun.add(plugin.key)
                try:
                    self._try(plugin)
                except BaseException:  # the user's own interruption: the next question begins again
                    self._begun.remove(plugin.key)
                    raise

    def _modules(self) -> list[Plugin]:
        if self._folder is None:
            return []
        found = pkgutil.iter_modules(importlib.import_module(self._folder).__path__)
        names = [module.name for module in found if not module.name.startswith("__")]
        paths = {name: f"{self._folder}.{name}" for name in names}
        return [
            Plugin(name, path, path, partial(importlib.import_module, path)) for name, path in paths.items()
        ]

    def _entry_points(self, names: Collection[str] | None = None, own: bool = False) -> list[Plugin]:
        return [
            Plugin(point.name, _package(point), f"{point.name}={point.value}", partial(self._load, point))
            for point in entry_points(group=self.group)
            if (names is None or point.name in names) and (not own or _top(point.value) == OWN)
        ]

    def _load(self, point: EntryPoint) -> None:
        """Import what an installed package names.

        Raises:
            ValueError: if nothing is registered by it.
        """
        before = set(self._known)
        point.load()
        packages = {_top(_origin(item)) for item in self._known.values()}  # it may have been imported before
        if before == set(self._known) and _top(point.value) not in packages:
            raise ValueError(f"{point.value} registers no {self.kind}")

    def _try(self, plugin: Plugin) -> None:
        """Import one plug-in; if that fails, what it had registered until then is forgotten."""
        before = set(self._known)
        try:
            plugin.bring()
        except (Exception, SystemExit) as error:  # a script without a main guard may end the process
            self._left_out.append(LeftOut(plugin.name, plugin.source, error))
            self._unsaid.append(self._left_out[-1])
            for new in self._known.keys() - before:
                if not _is_imported(self._known[new]):
                    del self._known[new]


def registered_owner(frame: FrameType) -> str | None:
    """What is at work in a frame, such as `channel 'latent'`; None if it is nothing that is registered."""
    code = frame.f_code
    actor = type(frame.f_locals.get(code.co_varnames[0])) if code.co_argcount else None  # `self`, in a method
    for registry in Registry.every:
        for name, item in registry._known.items():
            if item is actor or getattr(item, "__code__", None) is code:
                return f"{registry.kind} {name!r}"
    return None


def _package(point: EntryPoint) -> str:
    return point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _origin(item: object) -> str:
    return f"{getattr(item, '__module__', '?')}.{getattr(item, '__qualname__', item)}"


def _top(path: str) -> str:
    return re.split("[.:]", path, maxsplit=1)[0]


def _is_imported(item: object) -> bool:
    """Whether the item's module and all packages around it were imported to the end."""
    parts = str(getattr(item, "__module__", "")).split(".")
    return all(".".join(parts[:end]) in sys.modules for end in range(1, len(parts) + 1))
