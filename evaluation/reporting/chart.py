"""One bar chart: success with intervals by channel and condition, the chance line and the band of P0."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from parley.channels.conditions import Condition, find_condition
from parley.evaluation.reporting import cells
from parley.evaluation.results import Results

_GROUP = 0.8  # width of a channel's bars together
INK = "#222222"
_P0 = "#C7E9DD"


def draw_success(results: Results) -> bytes:
    """Draw the success of every channel under every condition.

    Args:
        results: as from build_results.

    Returns:
        A PNG. A condition that was not played is an en dash, never a bar of height 0; an untrained channel
        is pale.
    """
    channels = _shown(results)
    shown = [find_condition(name) for name in results["conditions"]]
    figure = Figure(figsize=(max(7.5, 1.6 + 1.55 * len(channels)), 4.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    handles: list[Artist] = [
        Patch(facecolor=item.look.colour, hatch=item.look.hatch, edgecolor="white", label=item.name)
        for item in shown
    ]
    handles += _draw_floor(axes, results)
    for place, channel in enumerate(channels.values()):
        _draw_channel(axes, place, shown, channel)
    labels = [_label(name, channel) for name, channel in channels.items()]
    axes.set_xticks(range(len(channels)), labels, parse_math=False)
    axes.set_xlim(-0.55, len(channels) - 0.45)
    axes.set_ylim(0, 1.08)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0%", "20%", "40%", "60%", "80%", "100%"])
    axes.set_ylabel("success")
    axes.set_title(
        f"{cells.gates(results['gates'])}: {results['verdict']}", loc="left", fontweight="bold", color=INK
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=8.5,
        handlelength=1.7,
        handletextpad=0.5,
        columnspacing=1.3,
    )
    return as_png(figure)


def as_png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_floor(axes: Axes, results: Results) -> list[Artist]:
    """What a receiver does without a message: the interval of P0 and the chance line."""
    drawn: list[Artist] = []
    if results["p0"] is not None:
        confidence = f"{results['thresholds']['confidence']:.0%}"
        low, high = results["p0"]["ci_low"], results["p0"]["ci_high"]
        label = f"P0, silence ({confidence} interval)"
        drawn.append(axes.axhspan(low, high, color=_P0, linewidth=0, zorder=0.4, label=label))
    if results["chance"] is not None:
        label = f"chance, 1/{results['num_candidates']}"
        drawn.append(axes.axhline(results["chance"], color=INK, ls="--", lw=1.1, zorder=3, label=label))
    return drawn


def _draw_channel(axes: Axes, place: int, shown: Sequence[Condition], channel: Mapping[str, Any]) -> None:
    width = _GROUP / len(shown)
    if channel["role"] == "baseline":
        shown = [condition for condition in shown if condition.for_baseline]
    for order, condition in enumerate(shown):
        x = place + (order - (len(shown) - 1) / 2) * width
        row = channel["conditions"].get(condition.name)
        if row is None:
            axes.text(x, 0.005, cells.NOT_PLAYED, ha="center", va="bottom", color="#666666", fontsize=12)
            continue
        _draw_bar(axes, x, width, row, condition, pale=channel["role"] == "untrained")


def _draw_bar(
    axes: Axes, x: float, width: float, row: Mapping[str, Any], condition: Condition, *, pale: bool
) -> None:
    colour, hatch = condition.look.colour, condition.look.hatch
    face = tuple(1 - 0.4 * (1 - part) for part in to_rgb(colour)) if pale else colour
    axes.bar(x, row["rate"], width=width * 0.92, color=face, hatch=hatch, edgecolor="white", lw=0.5, zorder=2)
    error = [[row["rate"] - row["ci_low"]], [row["ci_high"] - row["rate"]]]
    axes.errorbar(x, row["rate"], yerr=error, color=INK, linewidth=1.1, capsize=2.2, zorder=4)
    if condition.expectation == "above_floor":
        above = row["ci_high"] + 0.012
        axes.text(x, above, cells.percent(row["rate"]), ha="center", va="bottom", fontsize=8, color=INK)


def _shown(results: Results) -> dict[str, Any]:
    """Channels that were put to something; an untrained one that played as it is meant alone says nothing."""
    return {
        name: channel
        for name, channel in results["channels"].items()
        if channel["role"] != "untrained" or len(channel["conditions"]) > 1
    } or results["channels"]


def _label(name: str, channel: Mapping[str, Any]) -> str:
    bits = "" if channel["bits"] is None else f"\n{cells.bits(channel['bits'])} bits"
    return f"{_wrap(name)}\n{cells.gate(channel)}{bits}"


def _wrap(name: str, width: int = 16) -> str:
    return "\n".join(name[start : start + width] for start in range(0, len(name), width))
