"""Templates of reports and pages: Markdown or HTML, in which nothing undefined passes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from inspect import isfunction
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from parley.evaluation.aggregation.communication_matters import CONDITIONED, CROSS_FITTED
from parley.evaluation.reporting import cells, titles
from parley.evaluation.reporting.players import players_of, without_players
from parley.evaluation.reporting.spelling import visible
from parley.evaluation.results import Results

SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "invalid": "!", "unfit": "∅"}


def templates_in(folder: Path, *, html: bool = False) -> Environment:
    """The templates of a folder; HTML is escaped, Markdown is not."""
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=html,  # noqa: S701 - Markdown of our own figures is no HTML
    )


def report_templates(*, html: bool) -> Environment:
    """The templates of the report, with a filter for each way in which a number is spelled."""
    environment = templates_in(Path(__file__).parent, html=html)
    environment.filters.update(
        {name: item for name, item in vars(cells).items() if isfunction(item)},
        title_of=titles.title,
        figure_of=titles.figure,
        mean=fmean,
        ln=math.log,
        visible=visible,
        highest=_highest,
    )
    environment.globals["signs"] = SIGNS  # macros see what is global alone
    return environment


def content_of(results: Results) -> dict[str, Any]:
    """What both reports show of a run."""
    diagnostics = results["diagnostics"]
    return {
        "results": results,
        "conditions": results["conditions"],
        "judged": channels_of(results, "judged"),
        "others": channels_of(results, "untrained", "ceiling", "reference"),
        "measured": {name: found for name, found in diagnostics.items() if "num_referents" in found},
        "flops": {name: found.get("receiver_flops") for name, found in diagnostics.items()},
        "players": players_of(results),
        "provenance": without_players(results["provenance"]),
        "conditioned": CONDITIONED,
        "cross_fitted": CROSS_FITTED,
    }


def channels_of(results: Results, *roles: str) -> dict[str, Mapping[str, Any]]:
    """Channels of some roles; the baseline is the floor of all others and has no criteria."""
    return {name: channel for name, channel in results["channels"].items() if channel["role"] in roles}


def _highest(rows: Sequence[Sequence[float | None]]) -> float | None:
    return max((cell for row in rows for cell in row if cell is not None), default=None)
