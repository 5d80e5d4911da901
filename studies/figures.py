"""The study's pictures, each drawn from the file of record alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from studies.measure import Outcome
from studies.rate_limit.points import RatePoint
from studies.record import across_seeds, by_variant, rates

# M. Okabe and K. Ito's palette: told apart by colour-blind readers
BLUE, ORANGE, SKY, RED, GREEN, PURPLE, GREY = (
    "#0072B2", "#E69F00", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#999999",
)  # fmt: skip
INK = "#222222"
CHANCE = 0.2
TICKS = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 224]


def draw_repair(outcomes: Sequence[Outcome]) -> bytes:
    """Success and swap of every change of the failed recipe, and of every omission of the repaired one."""
    groups = {
        "original with one change or two (2 of its 10 epochs)": by_variant(outcomes, "change")
        | by_variant(outcomes, "pair"),
        "default with one omission": by_variant(outcomes, "repaired") | by_variant(outcomes, "omission"),
    }
    sizes = [max(1, len(variants)) for variants in groups.values()]
    figure = _figure(8.2, 1.6 + 0.3 * sum(sizes))
    panels = figure.subplots(2, 1, sharex=True, height_ratios=sizes)
    for axes, (title, variants) in zip(panels, groups.items(), strict=True):
        _dots(axes, variants)
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
        axes.axvline(CHANCE, color=INK, ls="--", lw=1)
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        _tidy(axes, "x")
    panels[1].set_xlabel("success on 400 test episodes; one dot a training seed; dashed: chance")
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return _png(figure)


def _dots(axes: Axes, variants: Mapping[str, Sequence[Outcome]]) -> None:
    names = list(variants)
    for place, name in enumerate(names):
        for condition, colour, marker in (("swap", RED, "x"), ("normal", BLUE, "o")):
            values = rates(variants[name], condition)
            label = {"normal": "normal", "swap": "swapped message"}[condition] if place == 0 else None
            axes.scatter(values, [place] * len(values), s=34, color=colour, marker=marker, lw=1.4,
                         alpha=0.85, label=label, zorder=3)  # fmt: skip
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(max(1, len(names)) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def draw_rate(outcomes: Sequence[Outcome], limit: Sequence[RatePoint]) -> bytes:
    """Success against bits: codecs, text cut to so many bytes, and the curves that codes can reach."""
    figure = _figure(8.2, 5.0)
    axes = figure.add_subplot()
    if limit:
        bits = [point.bits for point in limit]
        axes.plot(bits, [p.upper_bound for p in limit], color=INK, lw=1.2, label="no code can do better*")
        axes.plot(
            bits, [p.best_code_test for p in limit], color=GREY, lw=1.2, ls="-.", label="best code found"
        )
        axes.plot(bits, [p.product_code_test for p in limit], color=GREY, lw=1.2, ls=":",
                  label="best code of whole words")  # fmt: skip
    for prefix, colour, marker, label in (
        ("VQ", BLUE, "o", "latent_vq"),
        ("FSQ", ORANGE, "s", "latent_fsq"),
        ("symbols", GREEN, "^", "symbols, from reward alone"),
    ):
        _points(axes, _of_kind(outcomes, prefix), colour, marker, label)
    text = {name: list(found) for name, found in by_variant(outcomes, "text").items()}
    _points(axes, text, RED, "x", "text, cut to a byte budget")
    axes.axhline(CHANCE, color=INK, ls="--", lw=1, label="chance, 1/5")
    axes.axvline(11.585, color=GREEN, lw=1, ls=(0, (1, 2)))
    axes.annotate("11.58 bits name\nevery referent", (11.585, 0.03), (12.2, 0.04), fontsize=8, color=GREEN)
    axes.set_xscale("symlog", base=2, linthresh=1)
    axes.set_xticks(TICKS, [str(tick) for tick in TICKS])
    axes.minorticks_off()
    axes.set_xlim(0, 260)
    axes.set_ylim(0, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel(
        "bits charged per message          (* in the game on the whole world; all else on the test split)"
    )
    axes.set_ylabel("success on 400 test episodes")
    _tidy(axes, "both")
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    return _png(figure)


def _of_kind(outcomes: Sequence[Outcome], prefix: str) -> dict[str, list[Outcome]]:
    found = {name: rows for name, rows in by_variant(outcomes, "rate").items() if name.startswith(prefix)}
    if prefix == "VQ":
        found |= {"VQ 4 x 64": by_variant(outcomes, "repaired")["default"]}
    return by_variant(outcomes, "reinforce") if prefix == "symbols" else found


def _points(
    axes: Axes, variants: Mapping[str, Sequence[Outcome]], colour: str, marker: str, label: str
) -> None:
    """One mark a variant at the mean over its seeds, a bar from the worst to the best, and its k x K."""
    for place, (name, rows) in enumerate(variants.items()):
        bits, values = rows[0]["bits"], rates(rows, "normal")
        axes.plot([bits, bits], [min(values), max(values)], color=colour, lw=1.4, zorder=3)
        axes.scatter([bits], [across_seeds(values).mean], s=36, color=colour, marker=marker, zorder=4,
                     label=label if place == 0 else None)  # fmt: skip
        if name.startswith("VQ") and bits < 12:
            spelled = name.removeprefix("VQ ").replace(" x ", "×")
            axes.annotate(spelled, (bits, across_seeds(values).mean), (6, -10), fontsize=7.5, color=colour,
                          textcoords="offset points")  # fmt: skip


def draw_receiver(outcomes: Sequence[Outcome]) -> bytes:
    """Codec success against the receiver's own text success, along the pocket's pretraining."""
    figure = _figure(5.6, 4.6)
    axes = figure.add_subplot()
    variants = by_variant(outcomes, "receiver") | {"shipped": by_variant(outcomes, "repaired")["default"]}
    axes.plot([0.1, 1], [0.1, 1], color=GREY, lw=1, ls="--", label="as good as text")
    for place, (name, rows) in enumerate(variants.items()):
        text = rows[0]["text"]["rate"]
        values = rates(rows, "normal")
        axes.scatter([text] * len(values), values, color=BLUE, s=34, alpha=0.8, zorder=3,
                     label="latent_vq, one dot a seed" if place == 0 else None)  # fmt: skip
        label = name.replace("step-00", "step ")
        axes.annotate(label, (text, min(values)), (6, -11), textcoords="offset points", ha="left", fontsize=8)
    axes.set_xlim(0.1, 1.12)
    axes.set_ylim(0.1, 1.04)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("the receiver's success with text")
    axes.set_ylabel("success with 24 bits through the codec")
    _tidy(axes, "both")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _tidy(axes: Axes, grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#e6e6e6", linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
