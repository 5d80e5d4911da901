"""The study's outcomes gathered in one file of record, from which every table and picture is made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

from parley.evaluation.files import atomic_write
from studies.measure import Outcome
from studies.tasks import OUTCOME_FILE, Task, read_outcome, write_outcome

RECORD = "repair.json"
CONFIDENCE = 0.95


def gather_outcomes(tasks: Iterable[Task], root: Path) -> list[Outcome]:
    """What the tasks that are done came to, in their order."""
    files = [task.folder(root) / OUTCOME_FILE for task in tasks]
    return [read_outcome(file) for file in files if file.exists()]


def restore_outcomes(path: Path, tasks: Iterable[Task], root: Path) -> int:
    """Take as done the tasks that the file of record holds; returns how many were not done here before."""
    kept = json.loads(path.read_text()) if path.exists() else []
    recorded = {(outcome["part"], outcome["variant"], outcome["seed"]): outcome for outcome in kept}
    restored = 0
    for task in tasks:
        outcome, file = recorded.get((task.part, task.variant, task.seed)), task.folder(root) / OUTCOME_FILE
        if outcome is not None and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_outcome(file, outcome)
            restored += 1
    return restored


def update_record(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write outcomes into the file of record, one a line; those it has of other tasks stay."""
    kept = json.loads(path.read_text()) if path.exists() else []
    merged: dict[tuple[str, str, int], Outcome] = {}
    for outcome in [*outcomes, *kept]:
        merged.setdefault((outcome["part"], outcome["variant"], outcome["seed"]), outcome)
    lines = ",\n".join(map(json.dumps, merged.values()))
    atomic_write(path, f"[\n{lines}\n]\n".encode())


def read_record(path: Path) -> list[Outcome]:
    """Read the file of record.

    Raises:
        ValueError: if it holds nothing.
    """
    outcomes: list[Outcome] = json.loads(path.read_text())
    if not outcomes:
        raise ValueError(f"{path} holds no outcome; run the study first")
    return outcomes


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A mean over training seeds with its interval (Student's t over seeds).

    Args:
        mean: of the seeds' rates.
        low: lower end, NaN with one seed.
        high: upper end, NaN with one seed.
        seeds: how many.
    """

    mean: float
    low: float
    high: float
    seeds: int


def across_seeds(rates: Sequence[float]) -> Spread:
    """Mean and 95% interval over training seeds, cut to [0, 1].

    Raises:
        ValueError: if there is no rate.
    """
    if not rates:
        raise ValueError("rates: at least 1 seed is needed, got 0")
    mean = float(np.mean(rates))
    if len(rates) < 2:
        return Spread(mean=mean, low=float("nan"), high=float("nan"), seeds=len(rates))
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(rates) - 1) * np.std(rates, ddof=1) / len(rates) ** 0.5)
    return Spread(mean=mean, low=max(0.0, mean - half), high=min(1.0, mean + half), seeds=len(rates))


def by_variant(outcomes: Iterable[Outcome], part: str) -> dict[str, list[Outcome]]:
    """The outcomes of one part, by variant, in the order in which they first occur."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome["part"] == part:
            found.setdefault(outcome["variant"], []).append(outcome)
    return found


def rates(outcomes: Iterable[Mapping[str, Any]], condition: str) -> list[float]:
    """Success under a condition, a number a seed."""
    return [outcome["conditions"][condition]["rate"] for outcome in outcomes]
