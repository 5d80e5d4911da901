"""The pictures of docs/performance.md, each drawn from a record alone."""

from __future__ import annotations

import io
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, GRID = "#222222", "#e6e6e6"
# M. Okabe and K. Ito's palette: told apart by colour-blind readers
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999")
Point = Mapping[str, Any]


def draw_gain(grid: Sequence[Point], model: str = "pocket") -> bytes:
    """How many times faster than the batched loop: over context length, and over further messages."""
    own = [point for point in grid if point["model"] == model]
    figure = _figure(9.2, 4.2)
    left, right = figure.subplots(1, 2, sharey=True)
    _lines(left, own, along="tokens", of="further", label="M = {}")
    left.set_xlabel("context, tokens")
    _lines(right, own, along="further", of="tokens", label="{} tokens", shift=1)
    right.set_xlabel("1 + M, messages a context")
    left.set_ylabel("times faster than the batched loop")
    left.set_title("dot: measured; line: bound by the operations", loc="left", fontsize=9, color=INK)
    return _png(figure)


def _lines(axes: Axes, points: Sequence[Point], *, along: str, of: str, label: str, shift: int = 0) -> None:
    for colour, value in zip(COLOURS, sorted({point[of] for point in points}), strict=False):
        row = sorted((p for p in points if p[of] == value), key=lambda p: float(p[along]))
        places = [p[along] + shift for p in row]
        axes.plot(places, [p["bound"] for p in row], color=colour, lw=1, alpha=0.8)
        axes.vlines(places, [p["low"] for p in row], [p["high"] for p in row], color=colour, lw=1, alpha=0.5)
        axes.scatter(
            places, [p["gain"] for p in row], color=colour, s=22, zorder=3, label=label.format(value)
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    ticks = sorted({point[along] + shift for point in points})
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.set_yticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    axes.minorticks_off()
    _tidy(axes)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def draw_growth(steps: Sequence[Point], fitted: Mapping[str, tuple[float, float]]) -> bytes:
    """Cost of a step against each size: seconds, and bytes kept to go backwards, by those of the smallest.

    Args:
        steps: each with `axis`, `sizes`, `seconds` (repeats of each size) and `kept_bytes`.
        fitted: exponents of seconds and bytes, by axis.
    """
    height = (len(steps) + 3) // 4
    figure = _figure(11, 2.7 * height)
    panels = figure.subplots(height, 4, squeeze=False).flatten().tolist()
    for axes, step in zip(panels, steps, strict=False):
        sizes, (time, memory) = step["sizes"], fitted[step["axis"]]
        _relative(
            axes, sizes, list(map(statistics.median, step["seconds"])), COLOURS[0], f"time, ^{time:.2f}"
        )
        _relative(axes, sizes, step["kept_bytes"], COLOURS[1], f"memory, ^{memory:.2f}")
        axes.plot(sizes, [size / sizes[0] for size in sizes], color=INK, lw=0.8, ls="--", label="linear")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(sizes, list(map(str, sizes)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.set_title(step["axis"], loc="left", fontsize=9, color=INK)
        _tidy(axes)
        axes.legend(frameon=False, fontsize=7)
    for axes in panels[len(steps) :]:
        axes.set_visible(False)
    return _png(figure)


def _relative(axes: Axes, sizes: Sequence[float], costs: Sequence[float], colour: str, label: str) -> None:
    axes.plot(sizes, [cost / costs[0] for cost in costs], "o-", color=colour, ms=4, lw=1, label=label)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
