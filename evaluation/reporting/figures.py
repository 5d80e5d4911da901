"""The plots of the reports: in report.html drawn twice, for a page and for a phone, and as a PNG.

They are read like tables: a group a channel; in a row a name, a dot with its interval, and the number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Annotation

from parley.channels.conditions import find_condition
from parley.evaluation.reporting import cells
from parley.evaluation.reporting.pictures import (
    BAND,
    CEILING,
    CONTROL,
    INK,
    LINE,
    MUTED,
    NORMAL,
    PAPER,
    SWAP,
    as_png,
    drawing,
    inline_svg,
)
from parley.evaluation.results import Results

_ROW, _GAP, _FOOT = 0.24, 0.1, 0.25  # inches: a row, the space after a channel, the numbers of the axis
_COLOURS = {"above_floor": NORMAL, "swap_consistency": SWAP}  # by what is expected; all else is a control
_DIAMOND = ("D", 5.4, SWAP)
_DASHED, _DOTTED = (0, (4, 3)), (0, (1, 2))


class Width(NamedTuple):
    """How wide a plot is drawn, in inches, and how much of a channel's name has room."""

    whole: float
    left: float
    right: float
    letters: int


WIDE = Width(9.0, 0.85, 0.7, 64)
NARROW = Width(3.6, 0.66, 0.62, 24)


class Plot(NamedTuple):
    """One plot in two widths; the page shows the one that fits."""

    wide: Markup
    narrow: Markup


class Row(NamedTuple):
    """A condition, its estimate with ci_low and ci_high, None if it was not played, and a second one."""

    condition: str
    estimate: Mapping[str, Any] | None
    swap_consistent: Mapping[str, Any] | None = None


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


def success_plot(results: Results) -> Plot:
    """Success of every channel under every condition, beside chance, P0, the floor and the text channel.

    Args:
        results: as from build_results.
    """
    label = (
        f"Plot of success by channel and condition with {cells.intervals(results)}. "
        "Its numbers stand in the table that follows."
    )

    def draw(width: Width, prefix: str) -> Markup:
        with drawing():
            return _inline(_draw_success(results, width), prefix, label)

    return Plot(draw(WIDE, "success"), draw(NARROW, "success-narrow"))


def success_picture(results: Results) -> bytes:
    """The plot of success as a PNG that explains itself: the verdict above, a key below.

    Args:
        results: as from build_results.
    """
    confidence = f"{results['thresholds']['confidence']:.0%}"
    handles: list[Artist] = [
        Line2D([], [], color=line.colour, ls=line.dashes, lw=line.width, label=line.label)
        for line in _references(results)
    ]
    if results["p0"] is not None:
        handles.append(Patch(color=BAND, label=f"P0, silence ({confidence} interval)"))
    marker, size, colour = _DIAMOND
    look = {"marker": marker, "markersize": size, "color": colour, "markerfacecolor": PAPER}
    handles.append(Line2D([], [], ls="", label="picks what the swapped message names", **look))
    with drawing():
        figure = _draw_success(results, WIDE)
        title = f"{cells.gates(results['gates'])}: {results['verdict']}"
        figure.text(0.002, 1.01, title, fontsize=13, fontweight="bold", color=INK)
        figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False)
        return as_png(figure)


def _draw_success(results: Results, width: Width) -> Figure:
    """The plot itself, without channels that were put to nothing: untrained ones under normal alone."""
    channels = {
        name: channel
        for name, channel in results["channels"].items()
        if channel["role"] != "untrained" or len(channel["conditions"]) > 1
    } or results["channels"]
    groups = [
        Group(name, cells.gate(channel), list(_success_rows(results["conditions"], channel)))
        for name, channel in channels.items()
    ]
    band = None if results["p0"] is None else (results["p0"]["ci_low"], results["p0"]["ci_high"])
    figure, axes = _sheet(groups, width)
    axes.set_xlim(0, 1)
    ticks = {tick / 5: f"{20 * tick}%" for tick in range(6)}
    _draw_groups(axes, groups, width, ticks, list(_references(results)), band, cells.percent)
    return figure


def differences_plot(results: Results) -> Plot | None:
    """Normal less each control with its interval, for every channel that played both.

    Args:
        results: as from build_results.

    Returns:
        None if nothing can be compared.
    """
    groups = [
        Group(name, cells.gate(channel), list(_difference_rows(channel)))
        for name, channel in results["channels"].items()
        if channel["differences"]
    ]
    if not groups:
        return None
    label = (
        "Plot of success under normal less success under each control, in percentage points, with "
        "Newcombe's intervals. Its numbers stand in the table that follows."
    )
    lowest = min(row.estimate["ci_low"] for group in groups for row in group.rows if row.estimate)
    start = -1.0 if lowest < -0.5 else -0.5 if lowest < -0.25 else -0.25

    def draw(width: Width, prefix: str) -> Markup:
        with drawing():
            figure, axes = _sheet(groups, width)
            axes.set_xlim(start, 1)
            step = 0.25 if width is WIDE else 0.5
            count = range(-4, 5)
            ticks = {
                t / 4: f"{25 * t:+d}" if t else "0" for t in count if t / 4 >= start and t / 4 % step == 0
            }
            _draw_groups(axes, groups, width, ticks, [Reference(0, INK, "no difference")], None, cells.points)
            return _inline(figure, prefix, label)

    return Plot(draw(WIDE, "differences"), draw(NARROW, "differences-narrow"))


def _inline(figure: Figure, prefix: str, label: str) -> Markup:
    return Markup(inline_svg(figure, prefix=prefix, label=label))  # noqa: S704 - serialised as XML


def _success_rows(conditions: Iterable[str], channel: Mapping[str, Any]) -> Iterator[Row]:
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


def _sheet(groups: Sequence[Group], width: Width) -> tuple[Figure, Axes]:
    """An empty sheet; along y it is measured in inches from the top."""
    body = sum(_ROW * (1 + len(group.rows)) + _GAP for group in groups)
    height = body + _FOOT
    figure = Figure(figsize=(width.whole, height))
    across = (width.left / width.whole, 1 - (width.left + width.right) / width.whole)
    axes = figure.add_axes((across[0], _FOOT / height, across[1], body / height))
    axes.patch.set_visible(False)
    axes.set_ylim(body, 0)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return figure, axes


def _draw_groups(
    axes: Axes,
    groups: Sequence[Group],
    width: Width,
    ticks: Mapping[float, str],
    references: Sequence[Reference],
    band: tuple[float, float] | None,
    spelled: Callable[[float], str],
) -> None:
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.tick_params(axis="x", length=0, pad=4, labelcolor=MUTED, labelsize=8.5)
    top = 0.0
    for group in groups:
        _draw_heading(axes, group, top + _ROW / 2, width)
        top += _ROW
        bottom = top + _ROW * len(group.rows)
        if band is not None:
            axes.fill_betweenx([top, bottom], *band, color=BAND, linewidth=0, zorder=0.4)
        axes.vlines(list(ticks), top, bottom, color=LINE, linewidth=0.8, zorder=0.5)
        for line in references:
            axes.vlines(
                line.at,
                top,
                bottom,
                color=line.colour,
                ls=line.dashes,
                lw=line.width,
                zorder=1,
                clip_on=False,
            )
        for place, row in enumerate(group.rows):
            _draw_row(axes, row, top + _ROW * (place + 0.5), spelled)
        top = bottom + _GAP


def _draw_heading(axes: Axes, group: Group, y: float, width: Width) -> None:
    name = group.channel if len(group.channel) <= width.letters else f"{group.channel[: width.letters - 1]}…"
    offset = -72 * width.left + 2
    beside = axes.get_yaxis_transform()
    written = _write(axes, name, (0, y), (offset, -1), beside, fontweight="bold", color=INK)
    _write(axes, group.word, (1, 0.5), (7, 0), written, color=MUTED)


def _draw_row(axes: Axes, row: Row, y: float, spelled: Callable[[float], str]) -> None:
    beside = axes.get_yaxis_transform()
    _write(axes, row.condition, (0, y), (-8, -0.5), beside, ha="right", color=MUTED)
    found = row.estimate
    value = cells.NOT_PLAYED if found is None else spelled(found["rate"])
    _write(axes, value, (1, y), (9, -0.5), beside, ha="left", color=INK)
    if found is None:
        return
    condition = find_condition(row.condition)
    colour = _COLOURS.get(condition.expectation or "", CONTROL)
    _draw_interval(axes, found, y, condition.look.marker, condition.look.size, colour)
    if row.swap_consistent:
        _draw_interval(axes, row.swap_consistent, y, *_DIAMOND, hollow=True)


def _write(
    axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], of: Any, **look: Any
) -> Annotation:
    """Text some points beside a place that is measured in coordinates `of` something."""
    return axes.annotate(
        text, at, offset, xycoords=of, textcoords="offset points", va="center", parse_math=False, **look
    )


def _draw_interval(
    axes: Axes,
    found: Mapping[str, Any],
    y: float,
    marker: str,
    size: float,
    colour: str,
    *,
    hollow: bool = False,
) -> None:
    axes.plot([found["ci_low"], found["ci_high"]], [y, y], color=colour, lw=1.8, zorder=3, clip_on=False)
    axes.plot(
        [found["rate"]], [y], marker=marker, markersize=size, color=colour, zorder=4, clip_on=False,
        markerfacecolor=PAPER if hollow else colour, markeredgewidth=1.4 if hollow else 0.5,
        markeredgecolor=colour if hollow else PAPER,
    )  # fmt: skip
