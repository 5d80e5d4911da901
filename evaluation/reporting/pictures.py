"""A matplotlib figure as PNG, or as SVG inside a page: it takes the page's colours and font there."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# of the light page, whose colours come first in the style sheet; the dark one has others by the same names
_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_PALETTE = dict(re.findall(r"--([\w-]+): (#\w{6});", _STYLE.partition("}")[0]))
INK, MUTED, LINE, BAND = (_PALETTE[name] for name in ("ink", "muted", "line", "band"))
NORMAL, CONTROL, SWAP = (_PALETTE[name] for name in ("normal", "control", "swap"))
CEILING, PAPER = _PALETTE["ceiling"], _PALETTE["card"]
_VARIABLES = {colour: f"var(--{name})" for name, colour in reversed(_PALETTE.items())}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_FONT = re.compile(r"font:\s*(?:(?P<weight>bold|\d+) )?(?P<size>[\d.]+px) [^;]*")
_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
_REFERENCE = re.compile(r"#([\w-]+)")
_SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "parley", "font.size": 9}


@contextmanager
def drawing() -> Iterator[None]:
    """Settings under which a figure for `inline_svg` is made and drawn.

    Letters stay text, so that the page's font is used and they can be searched; that matplotlib's own font
    lacks a sign of a channel's name is then no matter.
    """
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def as_png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG, with all that stands about it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150, bbox_inches="tight")
    return picture.getvalue()


def inline_svg(figure: Figure, *, prefix: str, label: str) -> str:
    """Write a figure as an svg element to stand in HTML.

    Args:
        figure: made under `drawing`, with the colours of this module.
        prefix: of its ids, distinct among the figures of a page.
        label: what a reader who does not see it is told; where its table stands.

    Returns:
        The element, as wide as the figure at most and narrower where there is less room.
    """
    FigureCanvasSVG(figure)
    figure.patch.set_visible(False)
    written = io.BytesIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(written.getvalue())  # noqa: S314 - written by matplotlib just now
    _strip(root)
    _rename(root, prefix)
    width, _ = figure.get_size_inches()
    view = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib |= {
        "class": "plot",
        "role": "img",
        "aria-label": label,
        "viewBox": view,
        "style": f"max-width: {round(96 * width)}px",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _strip(root: Element) -> None:
    """Leave out metadata and the style sheet, which would reach into the whole page, and all namespaces."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        if "style" in element.attrib:
            element.attrib["style"] = _restyled(element.attrib["style"])


def _restyled(style: str) -> str:
    """The page's colours, and of the font size and weight alone."""
    sized = _FAMILY.sub("", _FONT.sub(_font, style))
    return _COLOUR.sub(lambda found: _variable(found[0]), sized)


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found['weight']}; " if found["weight"] else ""
    return f"{weight}font-size: {found['size']}"


def _variable(colour: str) -> str:
    assert colour in _VARIABLES, f"{colour} is no colour of the page"
    return _VARIABLES[colour]


def _rename(root: Element, prefix: str) -> None:
    """Keep the ids that something refers to, under names that no other figure has."""
    used = {
        name
        for element in root.iter()
        for key, value in element.attrib.items()
        if key != "style" and (key == "href" or value.startswith("url("))
        for name in _REFERENCE.findall(value)
    }
    names: Mapping[str, str] = {name: f"{prefix}-{place}" for place, name in enumerate(sorted(used))}
    for element in root.iter():
        own = element.attrib.pop("id", "")
        if own in names:
            element.attrib["id"] = names[own]
        for key in ("href", "clip-path"):
            if key in element.attrib:
                element.attrib[key] = _REFERENCE.sub(lambda f: f"#{names[f[1]]}", element.attrib[key])
