"""What the plots of the reports show: success and its differences in report.html, and success.png."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from parley.evaluation.reporting import cells
from parley.evaluation.reporting.pictures import BAND, CEILING, INK, MUTED, as_png, drawing
from parley.evaluation.reporting.rows import (
    DIAMOND,
    WIDE,
    Group,
    InPage,
    Reference,
    Row,
    RowPlot,
    draw_in_page,
    draw_rows,
)
from parley.evaluation.results import Results

_DASHED, _DOTTED = (0, (4, 3)), (0, (1, 2))


def success_plot(results: Results) -> InPage:
    """Success of every channel under every condition, beside chance, P0, the floor and the text channel.

    Args:
        results: as from build_results.
    """
    label = (
        f"Plot of success by channel and condition with {cells.intervals(results)}. "
        "Its numbers stand in the table that follows."
    )
    return draw_in_page(_success(results), "success", label)


def success_picture(results: Results) -> bytes:
    """The plot of success as a PNG that explains itself: the verdict above, a key below.

    Args:
        results: as from build_results.
    """
    plot = _success(results)
    handles: list[Artist] = [
        Line2D([], [], color=line.colour, ls=line.dashes, lw=line.width, label=line.label)
        for line in plot.references
    ]
    if plot.band is not None:
        confidence = f"{results['thresholds']['confidence']:.0%}"
        handles.append(Patch(color=BAND, label=f"P0, silence ({confidence} interval)"))
    handles.append(Line2D([], [], ls="", label="picks what the swapped message names", **DIAMOND))
    with drawing():
        figure = draw_rows(plot, WIDE)
        title = f"{cells.gates(results['gates'])}: {cells.outcome(results)}"
        figure.text(0.002, 1.01, title, fontsize=13, fontweight="bold", color=INK)
        figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False)
        return as_png(figure)


def differences_plot(results: Results) -> InPage | None:
    """Normal less each control with its interval, for every channel that played both.

    Args:
        results: as from build_results.

    Returns:
        None if nothing can be compared.
    """
    groups = [
        Group(name, cells.gate(channel, results["fitness"]["fit"]), list(_difference_rows(channel)))
        for name, channel in results["channels"].items()
        if channel["differences"]
    ]
    if not groups:
        return None
    lowest = min(row.estimate["ci_low"] for group in groups for row in group.rows if row.estimate)
    plot = RowPlot(
        groups=groups,
        start=-1.0 if lowest < -0.5 else -0.5 if lowest < -0.25 else -0.25,
        steps=(0.25, 0.5),
        spell_tick=lambda tick: f"{100 * tick:+.0f}" if tick else "0",
        spell=cells.points,
        references=[Reference(0, INK, "no difference")],
    )
    label = (
        "Plot of success under normal less success under each control, in percentage points, with "
        "Newcombe's intervals. Its numbers stand in the table that follows."
    )
    return draw_in_page(plot, "differences", label)


def _success(results: Results) -> RowPlot:
    """All channels but those that were put to nothing: untrained ones under normal alone."""
    channels = {
        name: channel
        for name, channel in results["channels"].items()
        if channel["role"] != "untrained" or len(channel["conditions"]) > 1
    } or results["channels"]
    return RowPlot(
        groups=[
            Group(
                name,
                cells.gate(channel, results["fitness"]["fit"]),
                list(_success_rows(results["conditions"], channel)),
            )
            for name, channel in channels.items()
        ],
        start=0,
        steps=(0.2, 0.2),
        spell_tick="{:.0%}".format,
        spell=cells.percent,
        references=list(_references(results)),
        band=None if results["p0"] is None else (results["p0"]["ci_low"], results["p0"]["ci_high"]),
    )


def _success_rows(conditions: Mapping[str, str], channel: Mapping[str, Any]) -> Iterator[Row]:
    for condition in conditions:
        if condition not in channel["conditions"] and channel["role"] != "judged":
            continue  # of a judged channel it is to be seen what was not played
        swap_consistent = channel["swap_consistency"] if condition == "swap" else None
        yield Row(condition, channel["conditions"].get(condition), swap_consistent)


def _difference_rows(channel: Mapping[str, Any]) -> Iterator[Row]:
    for control, found in channel["differences"].items():
        yield Row(control, {**found, "rate": found["difference"]})


def _references(results: Results) -> Iterator[Reference]:
    """What a receiver does by luck and with plain words, and what is asked at least."""
    floor, text = results["thresholds"]["min_ci_low"], results["ceiling"]
    yield Reference(floor, MUTED, f"the floor asked of normal, {cells.percent(floor)}", _DOTTED)
    if results["chance"] is not None:
        yield Reference(results["chance"], INK, f"chance, 1/{results['num_candidates']}", _DASHED)
    if text is not None:
        yield Reference(text["rate"], CEILING, f"text ceiling, {cells.percent(text['rate'])}", width=2.2)
