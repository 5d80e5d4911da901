"""The run for people: report.md, report.html and success.png; for programs junit.xml."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from parley.evaluation.files import atomic_write
from parley.evaluation.reporting import cells
from parley.evaluation.reporting.figures import success_picture
from parley.evaluation.reporting.gallery import Scene
from parley.evaluation.reporting.junit import render_junit
from parley.evaluation.reporting.page import render_html
from parley.evaluation.reporting.spelling import visible
from parley.evaluation.reporting.templates import content_of, report_templates
from parley.evaluation.results import Results


def write_report(
    results: Results,
    folder: str | Path,
    gallery: Sequence[Scene] = (),
    pictures: Mapping[str, bytes] | None = None,
) -> None:
    """Write report.md, report.html, junit.xml and success.png; each appears whole or not at all.

    Args:
        results: as from build_results.
        folder: an existing folder.
        gallery: episodes that report.html shows, as from gather_gallery.
        pictures: PNG files by name; those that a diagnosis names are shown in report.html.

    Raises:
        ValueError: if a picture that is shown is no PNG.
        OSError: if the folder cannot be written.
    """
    folder = Path(folder)
    atomic_write(folder / "report.md", render_report(results).encode())
    atomic_write(folder / "report.html", render_html(results, gallery, pictures).encode())
    atomic_write(folder / "junit.xml", render_junit(results))
    atomic_write(folder / "success.png", success_picture(results))


def render_report(results: Results) -> str:
    """The report in Markdown, the verdict first.

    Args:
        results: as from build_results.

    Returns:
        The text of report.md; `line` escapes what comes from records.
    """
    environment = report_templates(html=False)
    environment.filters.update(
        line=_line,
        flat=_flat,
        json=lambda value: json.dumps(value, indent=2),
        emphasised=_emphasised,
        link=quote,
    )
    return environment.get_template("report.md.jinja").render(content_of(results))


def _emphasised(row: Sequence[float | None]) -> str:
    """Numbers of a row, the highest in bold if it is above 0."""
    highest = max(cell or 0 for cell in row)
    shown = [(cells.digits(cell, 2), cell == highest and highest > 0) for cell in row]
    return " | ".join(f"**{text}**" if bold else text for text, bold in shown)


def _flat(text: object) -> str:
    return visible(" ".join(str(text).split()))


def _line(text: object) -> str:
    """Text on one line that cannot break a Markdown table or start markup."""
    flat = _flat(text)
    for special in ("\\", "|", "`", "<", "*", "[", "$"):
        flat = flat.replace(special, f"\\{special}")
    return flat
