"""report.html: the whole run in one file that needs no network, for screens of any width and for paper."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import jinja2
from markupsafe import Markup

from parley.evaluation.aggregation.communication_matters import CONDITIONED, CROSS_FITTED
from parley.evaluation.files import atomic_write
from parley.evaluation.records import CONDITIONS, SILENCE
from parley.evaluation.reporting import cells, words
from parley.evaluation.reporting.figures import differences_plot, success_plot
from parley.evaluation.reporting.gallery import SHOWN, Scene
from parley.evaluation.reporting.spelling import visible
from parley.evaluation.results import Results

_HERE = Path(__file__).parent
_SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "invalid": "!"}
_SPELLED = (
    "answer", "bits", "digits", "gate", "gates", "interval", "intervals", "operations", "p_value", "percent",
    "points", "points_interval", "seconds", "slot", "verdict",
)  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n"


def write_html(
    results: Results,
    folder: str | Path,
    gallery: Sequence[Scene] = (),
    pictures: Mapping[str, bytes] | None = None,
) -> None:
    """Write report.html.

    Args:
        results: as from build_results.
        folder: an existing folder.
        gallery: episodes to show, as from gather_gallery.
        pictures: PNG files by name.

    Raises:
        ValueError: if a picture that is shown is no PNG.
        OSError: if the folder cannot be written.
    """
    atomic_write(Path(folder) / "report.html", render_html(results, gallery, pictures).encode())


def render_html(
    results: Results, gallery: Sequence[Scene] = (), pictures: Mapping[str, bytes] | None = None
) -> str:
    """The report as one page of HTML, the verdict first.

    Args:
        results: as from build_results.
        gallery: episodes to show, as from gather_gallery.
        pictures: PNG files by name; those that a diagnosis names as its atlas are shown.

    Returns:
        The text of report.html. Everything that comes from records and provenance is escaped, and the page's
        policy lets no other script run and nothing be loaded.

    Raises:
        ValueError: if a picture that is shown is no PNG.
    """
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    diagnostics = results["diagnostics"]
    return _environment().get_template("page.html.jinja").render(
        results=results,
        gallery=gallery,
        pictures=_embedded(diagnostics, pictures or {}),
        measured={name: found for name, found in diagnostics.items() if "num_referents" in found},
        flops={name: found.get("receiver_flops") for name, found in diagnostics.items()},
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - ships with the package
        script=Markup(script),  # noqa: S704 - ships with the package
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        success=success_plot(results),
        differences=differences_plot(results),
        trained=_of_status(results, "trained"),
        others=_of_status(results, "untrained") | _of_status(results, "reference"),
        provenance=list(flatten({k: v for k, v in results["provenance"].items() if k != "command"})),
        conditioned=CONDITIONED,
        cross_fitted=CROSS_FITTED,
    )  # fmt: skip


def flatten(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of nested provenance with its dotted path, both visible on one line."""
    for key, value in tree.items():
        where = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            yield from flatten(value, where)
        else:
            yield visible(where), visible(cells.NOT_PLAYED if value is None else str(value))


def _of_status(results: Results, status: str) -> dict[str, Any]:
    """Channels of one status; silence is the floor of all others and has no criteria."""
    return {
        name: channel
        for name, channel in results["channels"].items()
        if channel["status"] == status and name != SILENCE
    }


def _embedded(diagnostics: Mapping[str, Any], pictures: Mapping[str, bytes]) -> dict[str, str]:
    """By channel, the address under which the page itself holds the picture of its codes."""
    addresses = {}
    for name, found in diagnostics.items():
        picture = pictures.get(found.get("atlas", ""))
        if picture is None:
            continue
        if not picture.startswith(_PNG):
            raise ValueError(f"pictures must be PNG files, got {found['atlas']!r} beginning {picture[:8]!r}")
        addresses[name] = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return addresses


@cache
def _environment() -> jinja2.Environment:
    """The templates, compiled once: that takes a quarter of a page's time."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {name: getattr(cells, name) for name in _SPELLED},
        title_of=words.title,
        figure_of=words.figure,
        mean=fmean,
        ln=math.log,
        visible=visible,
        highest=lambda rows: max((cell for row in rows for cell in row if cell is not None), default=None),
    )
    environment.globals.update(
        conditions=CONDITIONS, delivered=words.CONDITIONS, shown=SHOWN, signs=_SIGNS, silence=SILENCE
    )
    return environment
