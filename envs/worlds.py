"""Which worlds exist: `@register_world("name")` on a function without arguments in any file of this folder.

An installed package brings more by an entry point of the group `parley.worlds`. A file of referents is a
world without any registration.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from parley.envs.world import AnyWorld, objects_world
from parley.envs.world_file import SUFFIX, read_world
from parley.plugins.registry import Registry

Factory = Callable[[], AnyWorld]
F = TypeVar("F", bound=Factory)
WORLDS: Registry[Factory] = Registry("world", "parley.worlds", folder="parley.envs")
DEFAULT_WORLD = "objects"


def register_world(name: str) -> Callable[[F], F]:
    """Decorator that makes the world which a function returns known by name; the world must have that name.

    Raises:
        ValueError: if another function has the name already.
    """
    return WORLDS.register(name)


def world_names() -> list[str]:
    """Names of all worlds, in alphabetical order."""
    return WORLDS.names()


def find_world(name: str) -> AnyWorld:
    """The world registered under a name, or the one that a file lists.

    Args:
        name: of a world, or the path of a file that ends in .jsonl.

    Raises:
        ValueError: if there is neither, listing the names and suggesting the nearest; if the file is
            malformed, naming the line; or if the world says that it has another name.
        PluginError: if a plug-in of that name is installed and cannot be imported.
        OSError: if the file cannot be read.
    """
    if name.endswith(SUFFIX) and Path(name).is_file():
        return read_world(Path(name))
    world = WORLDS.find(name, f". A file of referents must exist and end in {SUFFIX}")()
    if world.name != name:
        raise ValueError(f"world {name!r} must have that name, for records bear it; it has {world.name!r}")
    return world


register_world(DEFAULT_WORLD)(objects_world)
