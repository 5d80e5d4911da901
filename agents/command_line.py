"""What commands about models share: flags of worlds and games, and what a resumed run is held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from parley.arguments import parse_arguments
from parley.envs.game import GAMES
from parley.envs.worlds import world_names
from parley.exit_codes import ExitCode, RunError, exit_with, run_command

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "ASIDE",
    "ExitCode",
    "GameName",
    "RunError",
    "WorldName",
    "check_same_settings",
    "defining",
    "exit_with",
    "parse_arguments",
    "run_command",
]

ASIDE = MappingProxyType({"defines_run": False})
"""Metadata of a setting that does not define a run, or only through another that is recorded."""


def _worlds(default: str) -> str:
    """What --help says after the flag's own words; asked when the flags are made, so that plug-ins are in."""
    return f"(one of {', '.join(world_names())}, or a file; default: {default})"


def _games(default: str) -> str:
    return f"(one of {', '.join(GAMES.names())}; default: {default})"


GameName = Annotated[str, tyro.conf.arg(help_behavior_hint=_games)]
WorldName = Annotated[str, tyro.conf.arg(help_behavior_hint=_worlds)]


def defining(settings: DataclassInstance) -> dict[str, Any]:
    """The settings that define a run, by name, and those of the settings in them; not what is set `ASIDE`."""
    kept = (each.name for each in fields(settings) if each.metadata.get("defines_run", True))
    values = {name: getattr(settings, name) for name in kept}
    return {
        name: defining(value) if is_dataclass(value) and not isinstance(value, type) else value
        for name, value in values.items()
    }


def check_same_settings(folder: Path, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to resume a run under other settings than it was begun with.

    Args:
        folder: of the run, for the message.
        kept: its settings, as JSON.
        asked: those that are asked for now, as JSON.

    Raises:
        ValueError: naming each setting that differs.
    """
    there, here = _flatten(kept), _flatten(asked)
    differing = [
        f"{name} is {there.get(name)!r} there and {here.get(name)!r} here"
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    ]
    if differing:
        raise ValueError(f"the run in {folder} has other settings: {'; '.join(differing)}")


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
