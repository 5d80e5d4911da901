"""How often Gate 1 passes, against the true rate of success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from parley.evaluation.reporting.pictures import INK, as_png
from studies.calibration_plan import EPISODES, LEAST_PASSES, SUCCESS

_LOOKS = {50: ("#56B4E9", "v"), 100: ("#009E73", "^"), 200: ("#E69F00", "s"), 400: ("#0072B2", "o")}
_OPEN = ("#D55E00", "D")


def draw_calibration(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw the power curves.

    Args:
        rows: as in calibration.json.

    Returns:
        A PNG with one line a number of episodes.
    """
    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for n in EPISODES:
        colour, marker = _LOOKS[n]
        _draw_line(axes, rows, n, False, color=colour, marker=marker, label=f"n = {n}")
    colour, marker = _OPEN
    label = f"until decided, at most {EPISODES[-1]}"
    _draw_line(axes, rows, EPISODES[-1], True, color=colour, marker=marker, label=label, ls="--")
    axes.axhline(LEAST_PASSES, color="#888888", lw=0.8, ls=":")
    axes.set_title("Gate 1", loc="left", fontweight="bold", color=INK)
    axes.set_xlabel("true success")
    axes.set_xticks([0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0], ["20%", "30%", "40%", "50%", "60%", "80%", "100%"])
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.legend(frameon=False, fontsize=8, loc="center right")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axes.set_ylabel("experiments that pass")
    return as_png(figure)


def _draw_line(axes: Axes, rows: Sequence[Mapping[str, Any]], n: int, open_ended: bool, **looks: Any) -> None:
    found = {
        row["truth"]: row["verdicts"].get("pass", 0) / row["experiments"]
        for row in rows
        if row["n"] == n and row["until_decided"] is open_ended
    }
    shares = [found[f"true success {100 * rate:.0f}%"] for rate in SUCCESS]
    axes.plot(SUCCESS, shares, lw=1.6, ms=4, **looks)
