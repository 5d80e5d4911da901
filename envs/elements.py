"""The chemical elements: a world of real facts."""

from __future__ import annotations

from pathlib import Path

from parley.envs.listed_world import ListedWorld
from parley.envs.world_file import read_world
from parley.envs.worlds import register_world

ELEMENTS_FILE = Path(__file__).with_name("elements.jsonl")


@register_world("elements")
def elements_world() -> ListedWorld:
    """The 118 chemical elements by atomic number; where its facts are from stands in docs/worlds.md."""
    return read_world(ELEMENTS_FILE, "elements")
