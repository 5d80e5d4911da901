"""What every command shares: exit codes, errors of one clear line, and what a resumed run is held to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro
from rich.console import Console
from rich.markup import escape

from parley.agents.language_model import ModelError
from parley.channels.checkpoint import CheckpointError
from parley.envs.game import GAMES
from parley.envs.worlds import world_names
from parley.plugins.registry import PluginError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings")
ASIDE = MappingProxyType({"defines_run": False})
"""Metadata of a setting that does not define a run, or only through another that is recorded."""


def _worlds(default: str) -> str:
    """What --help says after the flag's own words; asked when the flags are made, so that plug-ins are in."""
    return f"(one of {', '.join(world_names())}, or a file; default: {default})"


def _games(default: str) -> str:
    return f"(one of {', '.join(GAMES.names())}; default: {default})"


GameName = Annotated[str, tyro.conf.arg(help_behavior_hint=_games)]
WorldName = Annotated[str, tyro.conf.arg(help_behavior_hint=_worlds)]


class ExitCode(IntEnum):
    """How a command ended."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    COULD_NOT_RUN = 3
    INCONCLUSIVE = 4
    INVALID = 5


class RunError(RuntimeError):
    """A run that had to stop; the message says why, and what was kept."""


def parse_arguments(
    kind: type[Settings], arguments: Sequence[str], description: str | None, prog: str
) -> Settings:
    """Read a command line into settings; the flags of settings within settings have no prefix.

    Args:
        kind: the dataclass of all flags.
        arguments: what stands behind the command's name.
        description: what the command does, for `--help`.
        prog: the command's name.
    """
    return tyro.cli(
        kind, args=arguments, description=description, config=(tyro.conf.OmitArgPrefixes,), prog=prog
    )


def run_command(command: Callable[[], int]) -> int:
    """Run a command; the user's errors become one line on stderr and an exit code, no traceback."""
    console = Console(stderr=True, soft_wrap=True)
    try:
        return command()
    except (ModelError, CheckpointError, PluginError, RunError, OSError) as error:
        console.print(f"[bold red]could not run:[/] {escape(str(error))}")
        return ExitCode.COULD_NOT_RUN
    except ValueError as error:
        console.print(f"[bold red]usage:[/] {escape(str(error))}")
        return ExitCode.USAGE
    except KeyboardInterrupt:
        console.print("[bold red]interrupted[/]")
        return ExitCode.COULD_NOT_RUN


def exit_with(command: Callable[[], int]) -> None:
    """End the process with the command's exit code."""
    sys.exit(int(run_command(command)))


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
