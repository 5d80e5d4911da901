"""The run in a terminal of at least 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parley.evaluation.reporting import cells
from parley.evaluation.reporting.players import brief, players_of
from parley.evaluation.results import Results

LONGEST_NAME = 11
_STYLES = {
    "pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow", "invalid": "bold magenta",
    "unfit": "bold yellow",
}  # fmt: skip


def print_table(results: Results, console: Console) -> None:
    """Print the table of success, what else decides of judged channels, and the verdict in one sentence.

    Args:
        results: as from build_results.
        console: at least 80 columns wide.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("channel", overflow="fold", min_width=9)
    for condition in results["conditions"]:
        table.add_column(condition, justify="center", overflow="fold")
    fit = results["fitness"]["fit"]
    for name, channel in results["channels"].items():
        word = cells.gate(channel, fit)
        about = (
            (_broken(name), "bold"), "\n", (f"{cells.bits(channel['bits'])} bits", "dim"), "\n",
            (word, _STYLES.get(word, "dim")),
        )  # fmt: skip
        rates = [_two_lines(channel["conditions"].get(condition)) for condition in results["conditions"]]
        table.add_row(Text.assemble(*about), *rates)
    console.print(table)
    console.print(Text(_legend(results), style="dim"))
    for name, channel in results["channels"].items():
        if channel["role"] == "judged":
            console.print(Text(f"{name}: {_further(channel, results['gates'], fit)}.", style="dim"))
    if (players := players_of(results)) is not None:
        console.print(Text(brief(players), style="dim"))
    for note in results["notes"]:
        console.print(Text(note, style="dim"))
    console.print()
    console.print(Text(results["sentence"], style=_STYLES[results["verdict"]]))


def _broken(name: str) -> str:
    """A long name over two lines, parted after its last underscore."""
    if len(name) <= LONGEST_NAME or "_" not in name:
        return name
    first, _, rest = name.rpartition("_")
    return f"{first}_\n{rest}"


def _two_lines(proportion: Mapping[str, Any] | None) -> Text:
    if proportion is None:
        return Text(cells.NOT_PLAYED, style="dim")
    return Text.assemble(cells.percent(proportion["rate"]), "\n", (cells.span(proportion), "dim"))


def _legend(results: Results) -> str:
    counts = {row["n"] for channel in results["channels"].values() for row in channel["conditions"].values()}
    episodes = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    chance = "" if results["chance"] is None else f"; chance {cells.percent(results['chance'])}"
    p0 = "; P0 is the baseline, normal" if results["p0"] else "; silence was not played"
    return (
        f"Success in {episodes} episodes a condition, {cells.intervals(results)} in percent{chance}{p0}. "
        f"Below a channel's bits: Gate 1."
    )


def _further(channel: Mapping[str, Any], gates: Sequence[int], fit: bool | None) -> str:
    """What the table has no room for: swap consistency, bits, and what the gates say that decide."""
    said = [f"Gate {gate} {cells.verdict(channel[f'gate{gate}']['passed'], fit)}" for gate in gates]
    if (found := channel["information"]) is not None:
        ceiling = cells.digits(found["ceiling_bits"], 2)
        said.insert(0, f"at least {cells.digits(found['at_least_bits'], 2)} of {ceiling} bits transmitted")
    if (swap := channel["swap_consistency"]) is not None:
        said.insert(0, f"swap consistency {cells.percent(swap['rate'])}")
    return "; ".join(said)
