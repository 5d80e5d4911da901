"""The run for people: report.md, report.html, success.png, the terminal's table; for programs junit.xml."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import quote

import jinja2
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parley.evaluation.aggregation.communication_matters import CONDITIONED, CROSS_FITTED
from parley.evaluation.files import atomic_write
from parley.evaluation.records import CONDITIONS, SILENCE
from parley.evaluation.reporting import cells, words
from parley.evaluation.reporting.chart import draw_success
from parley.evaluation.reporting.gallery import Scene
from parley.evaluation.reporting.junit import render_junit
from parley.evaluation.reporting.page import write_html
from parley.evaluation.reporting.spelling import visible
from parley.evaluation.results import Results

LONGEST_NAME, ROOMY = 10, 88
_STYLES = {
    "pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow", "invalid": "bold magenta"
}  # fmt: skip
_SPELLED = (
    "answer", "bits", "digits", "gate", "gates", "intervals", "number", "operations", "p_value", "points",
    "points_interval", "seconds", "slot",
)  # fmt: skip
_TEMPLATE = "report.md.jinja"


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
    write_html(results, folder, gallery, pictures)
    atomic_write(folder / "junit.xml", render_junit(results))
    atomic_write(folder / "success.png", draw_success(results))


def render_report(results: Results) -> str:
    """The report in Markdown, the verdict first.

    Args:
        results: as from build_results.

    Returns:
        The text of report.md.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, not HTML: `line` escapes what comes from records
    )
    environment.filters.update(
        {name: getattr(cells, name) for name in _SPELLED},
        line=_line,
        flat=_flat,
        cell=_cell,
        row=lambda channel: " | ".join(_cell(channel["conditions"].get(name)) for name in CONDITIONS),
        json=lambda value: json.dumps(value, indent=2),
        share=lambda share: cells.NOT_PLAYED if share is None else cells.percent(share),
        surprises=lambda nll: " | ".join(cells.digits(nll.get(name), 3) for name in CONDITIONS),
        emphasised=_emphasised,
        highest=lambda rows: cells.digits(
            max((c for row in rows for c in row if c is not None), default=None), 2
        ),
        title_of=words.title,
        figure_of=words.figure,
        estimate=_estimate,
        mean=fmean,
        link=quote,
        ln=math.log,
    )
    diagnostics = results["diagnostics"]
    return environment.get_template(_TEMPLATE).render(
        results=results,
        measured={name: found for name, found in diagnostics.items() if "num_referents" in found},
        flops={name: found.get("receiver_flops") for name, found in diagnostics.items()},
        conditions=CONDITIONS,
        conditioned=CONDITIONED,
        cross_fitted=CROSS_FITTED,
    )


def print_table(results: Results, console: Console) -> None:
    """Print the table of success, what else decides of trained channels, and the verdict in one sentence.

    Args:
        results: as from build_results.
        console: 80 columns or more.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("channel", overflow="fold", min_width=9)
    for condition in CONDITIONS:
        table.add_column(condition, justify="center", no_wrap=True)
    table.add_column("Gate 1", no_wrap=True)
    for name, channel in results["channels"].items():
        price = f"{cells.bits(channel['bits'])} bits"
        table.add_row(
            Text.assemble((_broken(name, console.width), "bold"), "\n", (price, "dim")),
            *(_two_lines(channel["conditions"].get(condition)) for condition in CONDITIONS),
            Text(cells.gate(channel), style=_STYLES.get(cells.gate(channel), "dim")),
        )
    console.print(table)
    console.print(Text(_legend(results), style="dim"))
    for name, channel in results["channels"].items():
        if channel["status"] == "trained":
            console.print(Text(f"{name}: {_further(channel, results['gates'])}.", style="dim"))
    for note in results["notes"]:
        console.print(Text(note, style="dim"))
    console.print()
    console.print(Text(results["sentence"], style=_STYLES[results["verdict"]]))


def _broken(name: str, width: int) -> str:
    """A long name over two lines, parted after its last underscore, where the console is narrow."""
    if len(name) <= LONGEST_NAME or width >= ROOMY or "_" not in name:
        return name
    first, _, rest = name.rpartition("_")
    return f"{first}_\n{rest}"


def _two_lines(proportion: Mapping[str, Any] | None) -> Text:
    if proportion is None:
        return Text(cells.NOT_PLAYED, style="dim")
    return Text.assemble(cells.percent(proportion["rate"]), "\n", (cells.span(proportion), "dim"))


def _legend(results: Results) -> str:
    counts = {row["n"] for channel in results["channels"].values() for row in channel["conditions"].values()}
    episodes = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    chance = "" if results["chance"] is None else f"; chance {cells.percent(results['chance'])}"
    p0 = f"; P0 is {SILENCE}, normal" if results["p0"] else "; silence was not played"
    return f"Success in {episodes} episodes a condition, {cells.intervals(results)} in percent{chance}{p0}."


def _further(channel: Mapping[str, Any], gates: Sequence[int]) -> str:
    """What the table has no room for: swap-consistency, bits, and what the gates say that decide."""
    swap_consistent, found = channel["swap_consistency"], channel["information"]
    said = [f"Gate {gate} {cells.verdict(channel[f'gate{gate}']['passed'])}" for gate in gates]
    if found is not None:
        ceiling = cells.digits(found["ceiling_bits"], 2)
        said.insert(0, f"at least {cells.digits(found['at_least_bits'], 2)} of {ceiling} bits crossed")
    if swap_consistent is not None:
        said.insert(0, f"a swapped message is followed in {cells.percent(swap_consistent['rate'])}")
    return "; ".join(said)


def _cell(proportion: Mapping[str, Any] | None) -> str:
    if proportion is None:
        return cells.NOT_PLAYED
    return f"{cells.rate(proportion)} {cells.interval(proportion)}"


def _estimate(information: Mapping[str, Any] | None) -> str:
    """Bits that crossed with their interval, such as 2.11 [1.98, 2.22]."""
    if information is None or information["bits"] is None:
        return cells.NOT_PLAYED
    ends = [cells.digits(information[end], 2) for end in ("ci_low", "ci_high")]
    return f"{cells.digits(information['bits'], 2)} [{', '.join(ends)}]"


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
