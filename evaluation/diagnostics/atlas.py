"""The codebook atlas: what every code of every slot stands for, in one picture a checkpoint.

A panel shows one slot beside the attribute that it tells most about. A code that always says the same
value is one dark cell; a slot that says every value cleanly is a staircase from corner to corner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

import torch
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from parley.channels.diagnostics import code_value_table, normalized_mutual_information
from parley.envs.world import AnyWorld, Referents
from parley.evaluation.reporting import cells
from parley.evaluation.reporting.pictures import INK, as_png

MOST_PANELS = 16
PANELS_A_ROW = 4
MOST_NUMBERED = 16  # rows, above which cells are too low for a number
LEAST_WRITTEN = 0.05
POINTS_AN_INCH = 72
MOST_LABELLED = 96  # rows, above which not even the codes can be read
_SHADES = LinearSegmentedColormap.from_list("shades", ["#F4F6F8", "#9CC9E3", "#0072B2", "#003A63"])
_PALE, _GREY = "#C3CACF", "#5A6268"
_MARGIN, _TITLE, _HEAD, _CODES, _BARS, _LEGEND = 0.15, 0.5, 0.55, 0.36, 0.62, 0.5  # inches
_NARROWEST = 6.5  # has room for title and legend


class Panel(NamedTuple):
    """One slot, or one of its codes, and the attribute it tells most about."""

    slot: str  # as `cells.slot` names it
    attribute: str
    nmi: float  # NaN if undefined
    values: list[str]
    codes: list[int]  # in use, in the order of the rows
    counts: Int[Tensor, "R V"]  # uses of each code for each value


def atlas_file(channel: str) -> str:
    """Name of the picture of a channel; what may not stand in a file's name is escaped as in addresses."""
    return f"atlas-{quote(channel, safe='')}.png"


def panels_of(
    codes: Int[Tensor, "n m"], referents: Referents, world: AnyWorld, codes_per_slot: int = 1
) -> list[Panel]:
    """What each slot's codes stand for.

    Args:
        codes: sent about n referents.
        referents: (n, A) what they were sent about.
        world: whose referents they are.
        codes_per_slot: how many neighbours among the codes stand for one slot.

    Returns:
        m panels, one a code of a message. Rows are ordered by the value that a code says most often, and
        within it by how purely.
    """
    columns = enumerate(codes.unbind(1))
    return [_panel(cells.slot(place, codes_per_slot), column, referents, world) for place, column in columns]


def _panel(slot: str, column: Int[Tensor, " n"], referents: Referents, world: AnyWorld) -> Panel:
    values = torch.from_numpy(referents)
    nmi = [normalized_mutual_information(column, attribute) for attribute in values.unbind(1)]
    best = max(range(len(nmi)), key=lambda index: -1.0 if math.isnan(nmi[index]) else nmi[index])
    codes, rows = torch.unique(column, return_inverse=True)
    kinds, columns = torch.unique(values[:, best], return_inverse=True)
    counts = code_value_table(rows, columns, len(codes), len(kinds))
    order = sorted(range(len(codes)), key=lambda row: _place(counts[row]))
    facts = {int(referent[best]): world.facts(referent)[best] for referent in referents}
    return Panel(
        slot=slot,
        attribute=next(iter(facts.values()))[0],
        nmi=nmi[best],
        values=[facts[kind][1] for kind in kinds.tolist()],
        codes=[int(codes[row]) for row in order],
        counts=counts[order],
    )


def _place(uses: Int[Tensor, " V"]) -> tuple[int, float, int]:
    """Where a code's row stands: by its commonest value, then the purest, then the most used."""
    return int(uses.argmax()), -float(uses.max() / uses.sum()), -int(uses.sum())


def draw_atlas(panels: Sequence[Panel], codebook_size: int, title: str) -> bytes:
    """Draw panels side by side: the first 16, if there are more.

    Args:
        panels: at least one.
        codebook_size: K.
        title: what they are of.

    Returns:
        A PNG. The shade of a cell is the share of its code's uses, the bar beside a row how often its code is
        used. Where rows are few, shares of at least 5% are written in their cells.
    """
    shown = panels[:MOST_PANELS]
    page = _lay_out(shown)
    figure = Figure(figsize=(page.width, page.height), dpi=150)
    FigureCanvasAgg(figure)
    left_out = "" if len(shown) == len(panels) else f" (the first {len(shown)} of {len(panels)})"
    where = page.fraction(_MARGIN, page.height - 0.36)
    figure.text(*where, title + left_out, fontsize=13, fontweight="bold", color=INK, parse_math=False)
    for place, panel in enumerate(shown):
        _draw_panel(figure, page, place, panel, codebook_size)
    _draw_legend(figure, page)
    return as_png(figure)


class Page(NamedTuple):
    """Where things stand, in inches."""

    across: int
    down: int
    panel_width: float
    most_rows: int  # of all panels: rows are equally high in all of them
    row_height: float
    label_height: float  # room for the names of values, below a panel

    @property
    def width(self) -> float:
        """Of the whole picture."""
        return max(_NARROWEST, _MARGIN + self.across * (_CODES + self.panel_width + _BARS) + 0.1)

    @property
    def height(self) -> float:
        """Of the whole picture."""
        return _TITLE + self.down * self._panel_height + _LEGEND

    @property
    def _panel_height(self) -> float:
        return _HEAD + self.most_rows * self.row_height + self.label_height

    @property
    def numbered(self) -> bool:
        """Whether cells are high enough for a number."""
        return self.most_rows <= MOST_NUMBERED

    @property
    def labelled(self) -> bool:
        """Whether rows are high enough for the name of their code."""
        return self.most_rows <= MOST_LABELLED

    def corner(self, place: int) -> tuple[float, float]:
        """Upper left corner of a panel's cells."""
        row, column = divmod(place, self.across)
        left = _MARGIN + _CODES + column * (_CODES + self.panel_width + _BARS)
        return left, self.height - _TITLE - _HEAD - row * self._panel_height

    def fraction(self, x: float, y: float) -> tuple[float, float]:
        """Inches as shares of the picture."""
        return x / self.width, y / self.height

    def box(self, x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        """A box of the picture as matplotlib wants it."""
        return *self.fraction(x, y), *self.fraction(width, height)


def _lay_out(panels: Sequence[Panel]) -> Page:
    across = min(PANELS_A_ROW, len(panels))
    most_rows = max(len(panel.codes) for panel in panels)
    longest = max(len(value) for panel in panels for value in panel.values)
    return Page(
        across=across,
        down=-(-len(panels) // across),
        panel_width=min(max(2.16, 0.27 * max(len(panel.values) for panel in panels)), 9.0),
        most_rows=most_rows,
        row_height=0.27 if most_rows <= MOST_NUMBERED else min(0.13, 12.5 / most_rows),
        label_height=0.3 + 0.06 * longest,
    )


def _draw_panel(figure: Figure, page: Page, place: int, panel: Panel, codebook_size: int) -> None:
    left, top = page.corner(place)
    height = len(panel.codes) * page.row_height
    axes = figure.add_axes(page.box(left, top - height, page.panel_width, height))
    uses = panel.counts.sum(1)
    shares = (panel.counts / uses[:, None]).tolist()
    axes.imshow(shares, cmap=_SHADES, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    nmi = cells.NOT_PLAYED if math.isnan(panel.nmi) else f"{panel.nmi:.2f}"
    said = f"NMI {nmi}, {len(panel.codes)} of {codebook_size} codes in use"
    name = f"slot {panel.slot}: {panel.attribute}"
    figure.text(*page.fraction(left, top + 0.24), name, fontsize=11, color=INK, parse_math=False)
    figure.text(*page.fraction(left, top + 0.07), said, fontsize=8.5, color=_GREY)
    _label(axes, panel, page)
    if page.numbered:
        _write_shares(axes, shares)
    beside = figure.add_axes(page.box(left + page.panel_width + 0.05, top - height, _BARS - 0.1, height))
    thickness = 0.66 * page.row_height * POINTS_AN_INCH
    beside.hlines(range(len(uses)), 0, uses.tolist(), color=_PALE, linewidth=thickness)
    beside.set_xlim(0, int(uses.max()))
    beside.set_ylim(axes.get_ylim())
    beside.axis("off")


def _label(axes: Axes, panel: Panel, page: Page) -> None:
    """Names of codes and values, and lines between the cells."""
    rows, columns = len(panel.codes), len(panel.values)
    axes.set_xticks(range(columns), panel.values, rotation=45, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_yticks([])
    if page.labelled:
        size = 8.5 if page.numbered else 6
        axes.set_yticks(range(rows), [str(code) for code in panel.codes], fontsize=size)
        axes.hlines([y + 0.5 for y in range(rows - 1)], -0.5, columns - 0.5, color="white", linewidth=1.2)
        axes.vlines([x + 0.5 for x in range(columns - 1)], -0.5, rows - 0.5, color="white", linewidth=1.2)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)


def _write_shares(axes: Axes, shares: Sequence[Sequence[float]]) -> None:
    for row, parts in enumerate(shares):
        for column, part in enumerate(parts):
            if part >= LEAST_WRITTEN:
                colour = "white" if part > 0.5 else INK
                axes.text(
                    column, row, f"{100 * part:.0f}", ha="center", va="center", fontsize=8, color=colour
                )


def _draw_legend(figure: Figure, page: Page) -> None:
    axes = figure.add_axes(page.box(_MARGIN + _CODES, 0.2, 1.4, 0.11))
    axes.imshow([[step / 99 for step in range(100)]], cmap=_SHADES, vmin=0, vmax=1, aspect="auto")
    axes.axis("off")
    said = "0%", "100% of a code's uses; the bar beside a code: how often it is used"
    for text, x, side in zip(said, (-0.06, 1.46), ("right", "left"), strict=True):
        where = page.fraction(_MARGIN + _CODES + x, 0.255)
        figure.text(*where, text, ha=side, va="center", fontsize=8.5, color=_GREY)
