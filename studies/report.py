"""docs/results/repair.md and its pictures, made from the files of record alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment

from parley.evaluation.files import atomic_write
from parley.evaluation.reporting import cells
from parley.evaluation.reporting.templates import templates_in
from parley.training.presets import find_preset
from studies.figures import draw_rate, draw_receiver, draw_repair
from studies.measure import Outcome
from studies.rate_limit.points import load_curve
from studies.record import RECORD, Spread, across_seeds, by_variant, rates, read_record

TEMPLATE = "repair.md.jinja"
LIMIT = "rate_limit.json"


def write_study(folder: Path) -> None:
    """Write the page and its pictures beside the file of record, and beside rate_limit.json if it is there.

    Raises:
        ValueError: if the record lacks the failed or the repaired recipe.
    """
    outcomes = read_record(folder / RECORD)
    failed, repaired = (by_variant(outcomes, part) for part in ("failure", "repaired"))
    if not failed or not repaired:
        raise ValueError(f"{folder / RECORD} must hold the parts failure and repaired; run them first")
    curve = load_curve(folder / LIMIT) if (folder / LIMIT).exists() else []
    pictures = {
        "repair.png": draw_repair(outcomes),
        "repair_rate.png": draw_rate(outcomes, curve),
        "repair_receiver.png": draw_receiver(outcomes),
    }
    for name, picture in pictures.items():
        atomic_write(folder / name, picture)
    page = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            failed=failed["original"],
            repaired=repaired["default"],
            rated=_by_bits(by_variant(outcomes, "rate") | {"VQ 4 x 64 (default)": repaired["default"]}),
            part=partial(by_variant, outcomes),
            limit=curve,
            differs=find_preset("original").differs,
        )
    )
    atomic_write(folder / "repair.md", page.encode())


def _environment() -> Environment:
    environment = templates_in(Path(__file__).parent)
    for function in (score, spread, seeds, worst, mean, passed, consistency, share_of_text, joined):
        environment.globals[function.__name__] = function
    environment.globals["cells"] = cells
    return environment


def _by_bits(variants: Mapping[str, list[Outcome]]) -> dict[str, list[Outcome]]:
    return dict(sorted(variants.items(), key=lambda item: (item[1][0]["bits"], item[0])))


def joined(*variants: Mapping[str, list[Outcome]]) -> dict[str, list[Outcome]]:
    """Tables of variants, one after the other."""
    return {name: rows for group in variants for name, rows in group.items()}


def seeds(rows: Sequence[Outcome]) -> str:
    """Which training seeds were run."""
    numbers = sorted(row["seed"] for row in rows)
    together = len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]}–{numbers[-1]}" if together else ", ".join(map(str, numbers))


def worst(rows: Sequence[Outcome]) -> str:
    """The lowest success of any seed."""
    return cells.percent(min(rates(rows, "normal")))


def consistency(rows: Sequence[Outcome]) -> str:
    """Mean over seeds of how often the receiver picks what a swapped message names."""
    return cells.percent(across_seeds([row["swap_consistency"]["rate"] for row in rows]).mean)


def share_of_text(rows: Sequence[Outcome]) -> str:
    """Mean success as a share of the whole text's, which is 100% with the shipped pocket."""
    return cells.percent(across_seeds(rates(rows, "normal")).mean)


def score(outcome: Outcome, condition: str) -> str:
    """Success and its Wilson interval, in percent."""
    row = outcome["conditions"].get(condition)
    return cells.NOT_PLAYED if row is None else f"{100 * row['rate']:.1f} {cells.interval(row)}"


def spread(rows: Sequence[Outcome], condition: str) -> str:
    """Mean over seeds and its interval over seeds, in percent; of one seed the interval over episodes."""
    return score(rows[0], condition) if len(rows) == 1 else _spelled(across_seeds(rates(rows, condition)))


def _spelled(found: Spread) -> str:
    return f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def mean(rows: Sequence[Outcome], *keys: str) -> str:
    """Mean over seeds of a diagnostic, such as `prefix`, `cosine`; an en dash where it is unknown."""
    values = [_find(row["diagnostics"], keys) for row in rows]
    known = [float(value) for value in values if value is not None]
    return f"{sum(known) / len(known):.2f}" if known else cells.NOT_PLAYED


def _find(tree: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        tree = None if tree is None else tree.get(key)
    return tree


def passed(rows: Sequence[Outcome]) -> str:
    """How many seeds passed Gate 1."""
    return f"{sum(row['gate1'] is True for row in rows)} of {len(rows)}"
