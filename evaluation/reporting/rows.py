"""Plots that are read like tables: a group a channel; in a row a name, a dot with its interval, a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from parley.channels.conditions import find_condition
from parley.evaluation.reporting import cells
from parley.evaluation.reporting.pictures import (
    BAND,
    CONTROL,
    INK,
    LINE,
    MUTED,
    NORMAL,
    PAPER,
    SWAP,
    drawing,
    inline_svg,
)

_ROW, _GAP, _FOOT = 0.24, 0.1, 0.25  # inches: a row, the space after a channel, the numbers of the axis
_COLOURS = {"above_floor": NORMAL, "swap_consistency": SWAP}  # by what is expected; all else is a control
DIAMOND: dict[str, Any] = {
    "marker": "D", "markersize": 5.4, "color": SWAP, "markerfacecolor": PAPER, "markeredgewidth": 1.4
}  # fmt: skip
"""The second dot of a row."""


class Width(NamedTuple):
    """How wide a plot is drawn, in inches, and how much of a channel's name has room."""

    whole: float
    left: float
    right: float
    letters: int


WIDE = Width(9.0, 0.85, 0.7, 64)
NARROW = Width(3.6, 0.66, 0.62, 24)


class InPage(NamedTuple):
    """One plot in two widths; the page shows the one that fits."""

    wide: Markup
    narrow: Markup


class Row(NamedTuple):
    """A condition, its estimate with ci_low and ci_high, None if it was not played, and a second one."""

    condition: str
    estimate: Mapping[str, Any] | None
    second: Mapping[str, Any] | None = None


class Group(NamedTuple):
    """A channel, what is said of it in a word, and its rows."""

    channel: str
    word: str
    rows: list[Row]


class Reference(NamedTuple):
    """A line across all rows of a group."""

    at: float
    colour: str
    label: str
    dashes: str | tuple[int, tuple[int, int]] = "-"
    width: float = 1.1


@dataclass(frozen=True, kw_only=True)
class RowPlot:
    """What a plot shows.

    Args:
        groups: from the top.
        start: where the axis begins; it ends at 1.
        steps: between two ticks, where the plot is wide and where it is narrow.
        spell_tick: how the number of a tick is written.
        spell: how the number of a row is written.
        references: lines across every group.
        band: ends of a band behind every group, None for none.
    """

    groups: Sequence[Group]
    start: float
    steps: tuple[float, float]
    spell_tick: Callable[[float], str]
    spell: Callable[[float], str]
    references: Sequence[Reference]
    band: tuple[float, float] | None = None


def draw_in_page(plot: RowPlot, prefix: str, label: str) -> InPage:
    """Draw a plot for a page and for a phone.

    Args:
        plot: what it shows.
        prefix: of ids in the page.
        label: what a reader who does not see it is told.
    """
    with drawing():
        wide = inline_svg(draw_rows(plot, WIDE), prefix=prefix, label=label)
        narrow = inline_svg(draw_rows(plot, NARROW), prefix=f"{prefix}-narrow", label=label)
    return InPage(Markup(wide), Markup(narrow))  # noqa: S704 - serialised as XML


def draw_rows(plot: RowPlot, width: Width) -> Figure:
    """Draw a plot, under the settings of `drawing`; along y its axes are in inches from the top."""
    body = sum(_ROW * (1 + len(group.rows)) + _GAP for group in plot.groups)
    height = body + _FOOT
    figure = Figure(figsize=(width.whole, height))
    across = (width.left / width.whole, 1 - (width.left + width.right) / width.whole)
    axes = figure.add_axes((across[0], _FOOT / height, across[1], body / height))
    axes.patch.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.set(xlim=(plot.start, 1), ylim=(body, 0), yticks=[])
    step = plot.steps[width is NARROW]
    ticks = [float(step * place) for place in np.arange(np.ceil(plot.start / step), 1 / step + 0.5)]
    axes.set_xticks(ticks, [plot.spell_tick(tick) for tick in ticks])
    axes.tick_params(axis="x", length=0, pad=4, labelcolor=MUTED, labelsize=8.5)
    top = 0.0
    for group in plot.groups:
        _draw_heading(axes, group, top + _ROW / 2, width)
        top += _ROW
        _draw_ground(axes, plot, ticks, top, top + _ROW * len(group.rows))
        for row in group.rows:
            _draw_row(axes, row, top + _ROW / 2, plot.spell)
            top += _ROW
        top += _GAP
    return figure


def _draw_heading(axes: Axes, group: Group, y: float, width: Width) -> None:
    name = group.channel if len(group.channel) <= width.letters else f"{group.channel[: width.letters - 1]}…"
    offset = -72 * width.left + 2
    beside = axes.get_yaxis_transform()
    written = _write(axes, name, (0, y), (offset, -1), beside, fontweight="bold", color=INK)
    _write(axes, group.word, (1, 0.5), (7, 0), written, color=MUTED)


def _draw_ground(axes: Axes, plot: RowPlot, ticks: Sequence[float], top: float, bottom: float) -> None:
    """Band, grid and lines behind the rows of a group."""
    if plot.band is not None:
        axes.fill_betweenx([top, bottom], *plot.band, color=BAND, linewidth=0, zorder=0.4)
    axes.vlines(list(ticks), top, bottom, color=LINE, linewidth=0.8, zorder=0.5)
    for line in plot.references:
        look: dict[str, Any] = {"color": line.colour, "ls": line.dashes, "lw": line.width}
        axes.vlines(line.at, top, bottom, zorder=1, clip_on=False, **look)


def _draw_row(axes: Axes, row: Row, y: float, spell: Callable[[float], str]) -> None:
    beside = axes.get_yaxis_transform()
    _write(axes, row.condition, (0, y), (-8, -0.5), beside, ha="right", color=MUTED)
    value = cells.NOT_PLAYED if row.estimate is None else spell(row.estimate["rate"])
    _write(axes, value, (1, y), (9, -0.5), beside, ha="left", color=INK)
    if row.estimate is None:
        return
    condition = find_condition(row.condition)
    colour = _COLOURS.get(condition.expectation or "", CONTROL)
    marker, size = condition.look
    look = {"marker": marker, "markersize": size, "color": colour, "markeredgecolor": PAPER}
    _draw_interval(axes, row.estimate, y, markeredgewidth=0.5, **look)
    if row.second:
        _draw_interval(axes, row.second, y, **DIAMOND)


def _write(
    axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], of: Any, **look: Any
) -> Annotation:
    """Text some points beside a place that is measured in coordinates `of` something."""
    return axes.annotate(
        text, at, offset, xycoords=of, textcoords="offset points", va="center", parse_math=False, **look
    )


def _draw_interval(axes: Axes, found: Mapping[str, Any], y: float, *, color: str, **dot: Any) -> None:
    ends = [found["ci_low"], found["ci_high"]]
    axes.plot(ends, [y, y], color=color, lw=1.8, zorder=3, clip_on=False)
    axes.plot([found["rate"]], [y], color=color, zorder=4, clip_on=False, **dot)
