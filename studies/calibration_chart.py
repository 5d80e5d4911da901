"""How often Gate 1 passes: against the true rate of success, and against episodes by number of candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from parley.evaluation.reporting.pictures import INK, as_png
from studies import calibration_plan as plan

_LOOKS = (
    ("#56B4E9", "v"), ("#009E73", "^"), ("#E69F00", "s"), ("#0072B2", "o"), ("#CC79A7", "P"),
)  # fmt: skip
_OPEN = ("#D55E00", "D")
_TICKS = (0.3, 0.4, 0.5, 0.6, 0.8, 0.95)
Find = Callable[..., Mapping[str, Any]]


def draw_calibration(find: Find) -> bytes:
    """Draw the power curves.

    Args:
        find: gives the cell of a truth, a number of episodes and one of candidates.

    Returns:
        A PNG: on the left one line a number of episodes, on the right one a number of candidates.
    """
    figure = Figure(figsize=(9.0, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    names = [plan.success(rate) for rate in plan.SUCCESS]
    for n, (colour, marker) in zip(plan.EPISODES, _LOOKS, strict=True):
        shares = [_share(find(name, n)) for name in names]
        left.plot(plan.SUCCESS, shares, color=colour, marker=marker, label=f"n = {n:,}", lw=1.6, ms=4)
    shares = [_share(find(name, plan.MOST_EPISODES, until_decided=True)) for name in names]
    label = f"until decided, at most {plan.MOST_EPISODES}"
    left.plot(plan.SUCCESS, shares, color=_OPEN[0], marker=_OPEN[1], label=label, lw=1.6, ms=4, ls="--")
    half = plan.success(plan.HALF)
    for number, (colour, marker) in zip(plan.CANDIDATES, _LOOKS, strict=False):
        shares = [_share(find(half, n, number)) for n in plan.POWER_EPISODES]
        right.plot(
            plan.POWER_EPISODES, shares, color=colour, marker=marker, label=f"N = {number}", lw=1.6, ms=4
        )
    left.set_xticks(_TICKS, [f"{100 * rate:.0f}%" for rate in _TICKS])
    right.set_xscale("log")
    right.set_xticks(plan.POWER_EPISODES, [f"{n:,}" for n in plan.POWER_EPISODES])
    right.minorticks_off()
    _dress(left, f"N = {plan.USUAL_CANDIDATES}", "true success")
    _dress(right, "true success 50%", "episodes")
    left.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    left.set_ylabel("experiments that pass")
    return as_png(figure)


def _share(row: Mapping[str, Any]) -> float:
    return float(row["verdicts"].get("pass", 0) / row["experiments"])


def _dress(axes: Axes, title: str, along: str) -> None:
    axes.axhline(plan.LEAST_PASSES, color="#888888", lw=0.8, ls=":")
    axes.set_title(title, loc="left", fontweight="bold", color=INK)
    axes.set_xlabel(along)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.08))
