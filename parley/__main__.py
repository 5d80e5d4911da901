"""The command `parley`: every command of the bench by a short name, from any directory.

    parley train --channel latent_vq
    python -m parley gate1 --channels all

A command is a module and runs as `python -m` runs it; it is imported only when it is asked for.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import NamedTuple

from parley.exit_codes import ExitCode, RunError, run_command
from parley.plugins.names import unknown
from parley.streams import tolerant_streams


class Command(NamedTuple):
    """A module that `python -m` can run, and what it is for."""

    module: str
    help: str


COMMANDS = {
    "train": Command("parley.training.run", "train a channel's codec between two frozen models"),
    "gate1": Command("parley.evaluation.gate1", "play channels under every condition and judge them"),
    "admit": Command("parley.evaluation.admit", "find out how two models play best, and whether they can"),
    "compare": Command("parley.evaluation.compare", "put runs side by side, paired where they can be"),
    "power": Command("parley.evaluation.power", "how many episodes it takes, or what chance they give"),
    "channels": Command("parley.channels", "list the channels, or check one against the contract"),
}


def help_text() -> str:
    """The commands, one line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: parley [--help] [--version] COMMAND ...",
            "",
            "Do two frozen language models really communicate through a channel?",
            "",
            *lines,
            "",
            "`parley COMMAND --help` lists a command's flags.",
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that is named first.

    Args:
        arguments: a command's name and what it is given; by default those of the process.

    Returns:
        The command's exit code: 0 for help and version, 2 for an unknown command.
    """
    with tolerant_streams():
        return run_command(partial(_run, sys.argv[1:] if arguments is None else arguments))


def _run(arguments: Sequence[str]) -> int:
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        sys.stdout.write(help_text())
    elif name == "--version":
        sys.stdout.write(f"parley {version('parley')}\n")
    elif name not in COMMANDS:
        sys.stderr.write(f"usage: {unknown('command', name, COMMANDS)}\n")
        return ExitCode.USAGE
    else:
        sys.argv = [f"parley {name}", *rest]
        runpy.run_module(COMMANDS[name].module, run_name="__main__", alter_sys=True)
        raise RunError(f"{COMMANDS[name].module} ended without an exit code")
    return ExitCode.PASS


if __name__ == "__main__":
    sys.exit(main())
