"""One line chart: success over the scale of the prefix, with null and chance beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from parley.evaluation.reporting.pictures import INK, as_png

_BLUE, _PALE, _VERMILION, _BAND = "#0072B2", "#9CC9E3", "#D55E00", "#E2E5E8"


def draw_gates(results: Mapping[str, Any]) -> bytes:
    """Draw a gate sweep.

    Args:
        results: as from studies.gate_sweep.sweep.

    Returns:
        A PNG. The learned gate is a diamond; null is a band, as wide as its interval.
    """
    figure = Figure(figsize=(7.5, 4.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_floor(axes, results)
    points = results["gates"]
    axes.plot([p["gate"] for p in points], [p["rate"] for p in points], color=_PALE, lw=1.6, zorder=2)
    for learned, colour, mark in ((False, _BLUE, "o"), (True, _VERMILION, "D")):
        chosen = [point for point in points if point["learned"] is learned]
        label = f"learned gate, {results['learned_gate']:.3g}" if learned else "gate set by hand"
        _draw_points(axes, chosen, colour, mark, label)
    axes.set_ylim(0, 1.04)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0%", "20%", "40%", "60%", "80%", "100%"])
    axes.set_ylabel(f"success, {results['null']['confidence']:.0%} intervals")
    axes.set_xlabel("scale gate of the decoder; 0 is null")
    title = f"{results['channel']}: success by the scale of its prefix"
    axes.set_title(title, loc="left", fontweight="bold", color=INK, pad=12, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.5, columnspacing=1.4)
    return as_png(figure)


def _draw_floor(axes: Axes, results: Mapping[str, Any]) -> None:
    """What a receiver does without content: the interval of null and the chance line."""
    null = results["null"]
    axes.axhspan(null["ci_low"], null["ci_high"], color=_BAND, linewidth=0, zorder=0.4, label="null")
    label = f"chance, 1/{results['num_candidates']}"
    axes.axhline(results["chance"], color=INK, ls="--", lw=1.1, zorder=1, label=label)


def _draw_points(axes: Axes, points: Sequence[Mapping[str, Any]], colour: str, mark: str, label: str) -> None:
    if not points:
        return
    gates, rates = [point["gate"] for point in points], [point["rate"] for point in points]
    below = [point["rate"] - point["ci_low"] for point in points]
    above = [point["ci_high"] - point["rate"] for point in points]
    axes.errorbar(
        gates,
        rates,
        [below, above],
        color=colour,
        marker=mark,
        markersize=6.5,
        linestyle="none",
        elinewidth=1.3,
        capsize=3,
        zorder=4,
        label=label,
    )
