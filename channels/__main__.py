"""Look at the channels: which there are, and whether one keeps its promises.

    parley channels list
    parley channels check latent_vq
    parley channels renew runs/old/channel.safetensors

Exit codes: 0 done, 2 usage, 3 could not run, 5 the channel breaks a promise.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from parley.arguments import parse_arguments
from parley.channels.base import Channel, check_range
from parley.channels.checkpoint import CheckpointError, renew
from parley.channels.registry import channel_class, channel_names, left_out
from parley.channels.tensor_file import NotFiniteError
from parley.channels.testing import ENDS, ContractError, ContractReport, check_channel
from parley.exit_codes import ExitCode, exit_with
from parley.plugins.registry import PluginError

NUM_SAMPLES = 8


@dataclass(frozen=True, kw_only=True)
class ListChannels:
    """Every channel that can be asked for, plug-ins included, with what a message costs by default."""

    def run(self, console: Console) -> int:
        """Show a table, and below it what is left out and why."""
        plugins = left_out()
        console.print(channel_table())
        for plugin in plugins:
            console.print(f"[bold]left out:[/] {escape(str(plugin))}", soft_wrap=True, highlight=False)
        return 0


@dataclass(frozen=True, kw_only=True)
class CheckChannel:
    """Whether a channel keeps every promise of the contract, on synthetic utterances.

    Args:
        name: of the channel.
        seed: of its initial weights and of the utterances.
    """

    name: tyro.conf.Positional[str]
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("seed", self.seed, 0, 2**31 - 1)

    def run(self, console: Console) -> int:
        """Say which promises are kept and which could not be checked, or what the first broken one teaches.

        Of what a channel itself raises the traceback is shown: who wrote it needs the place.
        """
        errors = Console(stderr=True, soft_wrap=True)
        try:
            kind = channel_class(self.name)
        except PluginError as error:
            errors.print(f"[bold red]could not run:[/] {escape(str(error))}")
            return ExitCode.COULD_NOT_RUN
        except ValueError as error:
            errors.print(f"[bold red]usage:[/] {escape(str(error))}")
            return ExitCode.USAGE
        try:
            report = check_channel(kind, self.seed)
        except ContractError as error:
            if error.__cause__ is not None:
                errors.print("".join(traceback.format_exception(error.__cause__)), markup=False)
            broken = f"[bold red]{self.name} breaks a promise, {error.promise}:[/] {escape(str(error))}"
            console.print(broken, soft_wrap=True)
            return ExitCode.INVALID
        if not report.checked:
            reasons = "; ".join(dict.fromkeys(report.unchecked.values()))
            errors.print(
                f"[bold red]could not run:[/] no promise of {self.name} could be checked: {escape(reasons)}"
            )
            return ExitCode.COULD_NOT_RUN
        show_report(self.name, report, console)
        return 0


def show_report(name: str, report: ContractReport, console: Console) -> None:
    """Which promises a channel keeps, and which could not be checked, by reason."""
    console.print(
        f"{name} keeps every promise{' that was checked' if report.unchecked else ''}", highlight=False
    )
    console.print(f"checked: {', '.join(report.checked)}", soft_wrap=True, highlight=False)
    for reason in dict.fromkeys(report.unchecked.values()):
        names = [promise for promise, why in report.unchecked.items() if why == reason]
        console.print(
            f"not checked: {', '.join(names)}: {reason}", soft_wrap=True, highlight=False, markup=False
        )


@dataclass(frozen=True, kw_only=True)
class RenewCheckpoints:
    """Give checkpoints of format version 2, which are no longer read, the checksum that they lack.

    Args:
        paths: of the files, which are replaced.
    """

    paths: tyro.conf.Positional[tuple[Path, ...]]

    def run(self, console: Console) -> int:
        """Renew one after the other, up to the first that cannot be."""
        for path in self.paths:
            try:
                renew(path)
            except (CheckpointError, NotFiniteError, OSError) as error:
                errors = Console(stderr=True, soft_wrap=True)
                errors.print(f"[bold red]could not run:[/] {escape(str(error))}")
                return ExitCode.COULD_NOT_RUN
            console.print(f"{path} is renewed", markup=False, highlight=False, soft_wrap=True)
        return 0


def channel_table() -> Table:
    """One row a channel: name, modality, bits of the default settings, trainable, what it is."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for head in ("name", "modality"):
        table.add_column(head, no_wrap=True)
    table.add_column("bits", ratio=2)
    table.add_column("trainable", no_wrap=True)
    table.add_column("what it is", ratio=5)
    for name in channel_names():
        kind = channel_class(name)
        cells = (
            name,
            kind.modality,
            bits_formula_of(kind),
            "yes" if kind.trainable else "no",
            first_line(kind),
        )
        table.add_row(*map(Text, cells))
    return table


def bits_formula_of(kind: type[Channel]) -> str:
    """The formula of a channel's bits, and the number where its default settings alone decide it."""
    formula = kind.bits_formula or "see message_bits"
    number = default_bits(kind)
    if number is None or formula == number:
        return formula
    return f"{formula} = {number}"


def default_bits(kind: type[Channel]) -> str | None:
    """Bits of any message under default settings; None if they depend on it, or on the models' widths."""
    wider = replace(ENDS, state_width=2 * ENDS.state_width, embedding_width=2 * ENDS.embedding_width)
    try:
        bits = {bits for ends in (ENDS, wider) for bits in _sampled_bits(kind(kind.Config(), ends))}
    except Exception:  # a channel that needs true models has no price without them
        return None
    return f"{bits.pop():,.1f}".removesuffix(".0") if len(bits) == 1 else None


def _sampled_bits(channel: Channel) -> list[float]:
    channel.message_space.seed(0)
    return [channel.message_bits(channel.message_space.sample()) for _ in range(NUM_SAMPLES)]


def first_line(kind: type[Channel]) -> str:
    """The first line of a class's own docstring."""
    return (inspect.cleandoc(kind.__doc__) if kind.__doc__ else "").partition("\n")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `parley channels`, which is `python -m parley.channels`."""
    commands: Any = (
        Annotated[ListChannels, tyro.conf.subcommand("list")]
        | Annotated[CheckChannel, tyro.conf.subcommand("check")]
        | Annotated[RenewCheckpoints, tyro.conf.subcommand("renew")]
    )
    given = sys.argv[1:] if arguments is None else arguments
    command: Any = parse_arguments(commands, given, __doc__, "parley channels")
    code: int = command.run(Console())
    return code


if __name__ == "__main__":
    exit_with(main)
