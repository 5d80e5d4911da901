"""What every command of the project shares: exit codes, and errors that are one clear line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import IntEnum

from rich.console import Console
from rich.markup import escape

from agents.language_model import ModelError
from channels.checkpoint import CheckpointError


class ExitCode(IntEnum):
    """How a command ended."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    COULD_NOT_RUN = 3
    INCONCLUSIVE = 4
    INVALID = 5


class RunError(RuntimeError):
    """A run that could not go on; the message says why, and what was kept."""


def run_command(command: Callable[[], int]) -> int:
    """Run a command; the user's errors become one line on stderr and an exit code, no traceback."""
    console = Console(stderr=True, soft_wrap=True)
    try:
        return command()
    except (ModelError, CheckpointError, RunError, OSError) as error:
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
