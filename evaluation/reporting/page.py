"""report.html: the whole run in one file that needs no network, for screens of any width and for paper."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from parley.evaluation.reporting import cells
from parley.evaluation.reporting.figures import differences_plot, success_plot
from parley.evaluation.reporting.gallery import Scene
from parley.evaluation.reporting.spelling import visible
from parley.evaluation.reporting.templates import content_of, report_templates
from parley.evaluation.results import Results

_HERE = Path(__file__).parent
_PNG = b"\x89PNG\r\n\x1a\n"
_environment = cache(partial(report_templates, html=True))  # compiling takes a quarter of a page's time


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
    content = content_of(results)
    return _environment().get_template("page.html.jinja").render(
        content,
        gallery=gallery,
        pictures=_embedded(results["diagnostics"], pictures or {}),
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - ships with the package
        script=Markup(script),  # noqa: S704 - ships with the package
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        success=success_plot(results),
        differences=differences_plot(results),
        facts=list(flatten({k: v for k, v in content["provenance"].items() if k != "command"})),
    )  # fmt: skip


def flatten(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of nested provenance with its dotted path, both visible on one line."""
    for key, value in tree.items():
        where = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            yield from flatten(value, where)
        else:
            yield visible(where), visible(cells.NOT_PLAYED if value is None else str(value))


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
