"""One picture: success against bits, for the bound, the best code found and codes made of words."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from studies.rate_limit.points import RatePoint, WordPoint

_INK = "#222222"
_FEWEST_FAILURES = 3e-5  # the failure panel ends here: the logarithm of 0 has no place in it


class Curve(NamedTuple):
    """One curve: its look, and (bits, success, standard error) for each point."""

    label: str
    look: dict[str, Any]
    places: list[tuple[float, float, float]]


def draw_rate_limit(points: Sequence[RatePoint], words: Sequence[WordPoint], num_candidates: int) -> bytes:
    """Draw success on the left and, where it is too near 100% to see there, failure on the right.

    Args:
        points: at least one, bits ascending.
        words: the codes that name whole attributes.
        num_candidates: N, for the chance line.

    Returns:
        A PNG. Bars are two standard errors, mostly smaller than the marks.
    """
    figure = Figure(figsize=(10.5, 5.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    success, failure = figure.subplots(1, 2)
    chance = 1 / num_candidates
    for axes, failing in ((success, False), (failure, True)):
        for curve in _curves(points, words):
            _draw(axes, curve, failing=failing)
        height = 1 - chance if failing else chance
        axes.axhline(height, color=_INK, ls="--", lw=1.1, zorder=1, label=f"chance, 1/{num_candidates}")
        axes.set_xlim(-0.4, max(point.bits for point in points) + 0.4)
        axes.set_xlabel("bits of the message")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
    _scale(success, failure)
    title = "The most that a message can tell if its sender does not see the candidates"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", color=_INK)
    handles, labels = success.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i].startswith("chance"))  # chance stands last
    figure.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _curves(points: Sequence[RatePoint], words: Sequence[WordPoint]) -> list[Curve]:
    """The curves in M. Okabe and K. Ito's palette, each with a mark of its own."""
    line = {"linewidth": 1.2, "markersize": 5}
    return [
        Curve(
            "bound: no code does better",
            {**line, "color": "#D55E00", "marker": "v", "markersize": 7, "markerfacecolor": "white"},
            [(p.bits, p.upper_bound, 0.0) for p in points],
        ),
        Curve(
            "best code that a search finds",
            {**line, "color": "#0072B2", "marker": "o", "linestyle": ":"},
            [(p.bits, p.best_code, p.best_code_se) for p in points],
        ),
        Curve(
            "best words: each for a group of one attribute's values",
            {**line, "color": "#009E73", "marker": "s"},
            [(p.bits, p.product_code, p.product_code_se) for p in points],
        ),
        Curve(
            f"whole words: the values of 0 to {len(words) - 1} attributes",
            {**line, "color": "#CC79A7", "marker": "D", "linestyle": "none", "markersize": 6},
            [(w.bits, w.success, w.success_se) for w in words],
        ),
    ]


def _draw(axes: Axes, curve: Curve, *, failing: bool) -> None:
    bits, success, errors = np.array(curve.places).T
    heights = 1 - success if failing else success
    shown = heights > _FEWEST_FAILURES if failing else np.ones(len(bits), dtype=bool)
    axes.errorbar(
        bits[shown],
        heights[shown],
        yerr=2 * errors[shown],
        label=curve.label,
        elinewidth=1.1,
        zorder=3,
        **curve.look,
    )


def _scale(success: Axes, failure: Axes) -> None:
    success.set_ylim(0, 1.03)
    success.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0%", "20%", "40%", "60%", "80%", "100%"])
    success.set_title("success, with candidates from the whole world", loc="left", fontsize=10)
    failure.set_yscale("log")
    failure.set_ylim(_FEWEST_FAILURES, 1)
    failure.set_yticks([1, 0.1, 0.01, 0.001, 0.0001], ["100%", "10%", "1%", "0.1%", "0.01%"])
    failure.minorticks_off()
    failure.set_title("failure, on a logarithmic scale: lower is better", loc="left", fontsize=10)
