"""The trials in a terminal of at least 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parley.evaluation.admission.rule import Cell, floor, gate_arithmetic, read_cell
from parley.evaluation.reporting import cells as spelling
from parley.evaluation.statistics import Proportion


def print_trials(admission: Mapping[str, Any], console: Console) -> None:
    """Print the grid, the best first, then what else was measured and whether the pair is fit.

    Args:
        admission: as a profile keeps it.
        console: at least 80 columns wide.
    """
    tried = [read_cell(row) for row in admission["cells"]]
    chosen = read_cell(admission["chosen"])
    console.print(_table(sorted(tried, key=lambda cell: -cell.score), chosen))
    confidence = gate_arithmetic().thresholds.confidence
    console.print(
        Text(
            f"In {chosen.n} validation episodes, in percent with {confidence:.0%} Wilson intervals; > is "
            f"chosen. Exact: success with exact descriptions. Score: the lower end of success or of follows "
            f"swap, whichever is lower.",
            style="dim",
        )
    )
    for line in _further(admission):
        console.print(Text(line, style="dim"))
    console.print()
    console.print(_verdict(chosen))


def _table(tried: list[Cell], chosen: Cell) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)  # 80 columns are few
    for header in ("", "readout / wording", "calibration"):
        table.add_column(header, no_wrap=True)
    for header in ("shots", "success", "follows swap", "exact", "score"):
        table.add_column(header, justify="right", no_wrap=True)
    for cell in tried:
        success, swap = cell.measured
        table.add_row(
            ">" if cell == chosen else "",
            f"{cell.readout} / {cell.wording}",
            cell.calibration,
            str(cell.shots),
            _rate(success),
            _rate(swap),
            f"{100 * cell.exact_successes / cell.n:.0f}",
            f"{100 * cell.score:.1f}",
            style="bold" if cell == chosen else "",
        )
    return table


def _further(admission: Mapping[str, Any]) -> list[str]:
    said = [f"{row['exact']} of {row['n']} (shots {row['shots']})" for row in admission["sender"]]
    receiver = admission["receiver"]
    cyclic = receiver["cyclic_consistency"]
    return [
        f"Sender: exact in {', '.join(said)}.",
        f"Receiver, as chosen: picks by position {', '.join(map(str, receiver['picks']))}; the same "
        f"candidate in all cyclic orders in {cyclic['same']} of {cyclic['n']} episodes.",
        *(f"Left out: {trial}: {reason}." for trial, reason in admission["left_out"].items()),
    ]


def _verdict(chosen: Cell) -> Text:
    success, swap = chosen.measured
    lows = (
        f"success may be as low as {spelling.percent(success.ci_low)} and swap consistency as low as "
        f"{spelling.percent(swap.ci_low)}"
    )
    if chosen.fit:
        return Text(f"Fit: {lows}, both above {spelling.percent(floor())}.", style="bold green")
    return Text(
        f"Unfit: {lows}, and both must be above {spelling.percent(floor())}. What a channel does "
        f"between these players says nothing about the channel.",
        style="bold yellow",
    )


def _rate(measured: Proportion) -> str:
    """A rate with its interval, in whole percent, such as 92 82–97."""
    low, high = (f"{100 * end:.0f}" for end in (measured.ci_low, measured.ci_high))
    return f"{100 * measured.rate:.0f} {low + '–' + high:>6}"
