"""Put several runs side by side, paired where they played the same episodes.

    parley compare runs/a/gate1 runs/b/gate1

Reads episodes.jsonl of every run, compares every channel's success under normal with the first run's, and
pools channels that several runs trained. Writes compare.md where a folder is given.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.channels.conditions import condition_names
from parley.evaluation.aggregation.condition_data import UNKNOWN, ConditionOutcomes
from parley.evaluation.aggregation.run_data import Pairs, RunOutcomes, gather, shared
from parley.evaluation.files import atomic_write
from parley.evaluation.records import read_records
from parley.evaluation.reporting import cells
from parley.evaluation.statistics import (
    ClusteredProportion,
    Difference,
    Proportion,
    clustered,
    difference,
    holm,
    mcnemar_exact,
    paired_difference,
    wilson,
)

EPISODES_FILE = "episodes.jsonl"


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What is compared.

    Args:
        runs: run folders that hold episodes.jsonl, or such files; at least 2.
        folder: where compare.md goes; nothing is written without it.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    folder: Path | None = None

    def __post_init__(self) -> None:
        if len(self.runs) < 2:
            raise ValueError(f"runs must be at least 2, got {len(self.runs)}")


@dataclass(frozen=True, kw_only=True)
class Against:
    """A run's channel under normal against the first run that played it.

    Args:
        channel: its name.
        run: index of the run.
        first: index of the run that it is compared with.
        difference: of success, this run less the first.
        shared: episodes that both played, 0 if the intervals are of independent episodes.
        p_value: exact McNemar on the shared episodes, None without any.
        corrected_p: the same, corrected by Holm over all rows.
    """

    channel: str
    run: int
    first: int
    difference: Difference
    shared: int
    p_value: float | None
    corrected_p: float | None


def load_runs(paths: Sequence[Path]) -> list[RunOutcomes]:
    """Read the episodes of every run.

    Raises:
        ValueError: if a file is malformed.
        OSError: if one is not there.
    """
    return [gather(read_records(path / EPISODES_FILE if path.is_dir() else path)) for path in paths]


def compare_runs(tallies: Sequence[RunOutcomes]) -> list[Against]:
    """Compare every channel's normal with that of the first run that played it.

    Args:
        tallies: of the runs.

    Returns:
        One row a channel and later run; p-values are corrected over all rows.
    """
    rows: list[tuple[str, int, int, Difference, int, float | None]] = []
    for channel in _names(tallies):
        played = [index for index, outcomes in enumerate(tallies) if _normal(outcomes, channel)]
        for run in played[1:]:
            first, this = _normal(tallies[played[0]], channel), _normal(tallies[run], channel)
            assert first is not None, "it played the channel"
            assert this is not None, "so did it"
            rows.append((channel, run, played[0], *_differ(this, first)))
    corrected = holm({index: row[5] for index, row in enumerate(rows) if row[5] is not None})
    return [
        Against(
            channel=channel, run=run, first=first, difference=apart, shared=num, p_value=p,
            corrected_p=corrected.get(index),
        )
        for index, (channel, run, first, apart, num, p) in enumerate(rows)
    ]  # fmt: skip


def pool_runs(tallies: Sequence[RunOutcomes]) -> dict[str, dict[str, ClusteredProportion]]:
    """Success over all runs by channel and condition, with a run as the cluster of its episodes.

    Args:
        tallies: of the runs.

    Returns:
        Trained channels that at least two runs played, by condition.
    """
    pooled: dict[str, dict[str, ClusteredProportion]] = {}
    for channel in _names(tallies):
        for condition in condition_names():
            conditions = [
                outcomes.judged[channel].conditions[condition]
                for outcomes in tallies
                if channel in outcomes.judged and condition in outcomes.judged[channel].conditions
            ]
            if len(conditions) > 1:
                success = np.concatenate([outcomes.success for outcomes in conditions])
                clusters = np.repeat(np.arange(len(conditions)), [outcomes.n for outcomes in conditions])
                pooled.setdefault(channel, {})[condition] = clustered(success, clusters)
    return pooled


def _names(tallies: Sequence[RunOutcomes]) -> list[str]:
    return list(dict.fromkeys(name for outcomes in tallies for name in outcomes.channels))


def _normal(outcomes: RunOutcomes, channel: str) -> ConditionOutcomes | None:
    return outcomes.channels[channel].conditions.get("normal") if channel in outcomes.channels else None


def _differ(this: ConditionOutcomes, first: ConditionOutcomes) -> tuple[Difference, int, float | None]:
    """Paired where the episodes are the same ones: the same numbers, and the same targets."""
    here, there = shared(this, first)
    same = len(here) > 0 and bool((this.target[here] == first.target[there]).all())
    if not same or (this.target[here] == UNKNOWN).any():
        return difference(_rate(this), _rate(first)), 0, None
    pairs = Pairs(this.success[here], first.success[there])
    apart = paired_difference(
        both=pairs.both,
        only_first=pairs.only_first,
        only_second=pairs.only_second,
        neither=pairs.neither,
    )
    test = mcnemar_exact(only_first=pairs.only_first, only_second=pairs.only_second, num_pairs=len(here))
    return apart, len(here), test.p_value


def _rate(outcomes: ConditionOutcomes) -> Proportion:
    return wilson(outcomes.successes, outcomes.n)


def side_by_side(tallies: Sequence[RunOutcomes]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: success of every channel and condition, a column a run."""
    header = ["channel", "condition", *(f"run {index + 1}" for index in range(len(tallies)))]
    rows = []
    for channel in _names(tallies):
        for condition in condition_names():
            conditions = [
                outcomes.channels[channel].conditions.get(condition) if channel in outcomes.channels else None
                for outcomes in tallies
            ]
            if any(conditions):
                rows.append([channel, condition, *map(_cell, conditions)])
    return header, rows


def differences(rows: Sequence[Against]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the comparisons under normal."""
    header = ["channel", "runs", "difference in points", "episodes", "corrected p"]
    return header, [
        [
            row.channel,
            f"{row.run + 1} - {row.first + 1}",
            f"{100 * row.difference.estimate:+.1f} [{100 * row.difference.ci_low:+.1f}, "
            f"{100 * row.difference.ci_high:+.1f}]",
            f"{row.shared}, paired" if row.shared else "not shared",
            cells.NOT_PLAYED if row.corrected_p is None else f"{row.corrected_p:.2g}",
        ]
        for row in rows
    ]


def pools(pooled: Mapping[str, Mapping[str, ClusteredProportion]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of what was pooled over runs."""
    header = ["channel", "condition", "success over runs", "runs", "design effect"]
    return header, [
        [channel, condition, _pooled_cell(found), str(found.num_clusters), _number(found.design_effect)]
        for channel, by_condition in pooled.items()
        for condition, found in by_condition.items()
    ]


def _cell(outcomes: ConditionOutcomes | None) -> str:
    if outcomes is None:
        return cells.NOT_PLAYED
    rate = _rate(outcomes)
    return f"{cells.percent(rate.rate)} [{100 * rate.ci_low:.1f}, {100 * rate.ci_high:.1f}]"


def _pooled_cell(found: ClusteredProportion) -> str:
    if np.isnan(found.ci_low):
        return f"{cells.percent(found.rate)} (no spread between runs)"
    return f"{cells.percent(found.rate)} [{100 * found.ci_low:.1f}, {100 * found.ci_high:.1f}]"


def _number(value: float) -> str:
    return cells.NOT_PLAYED if np.isnan(value) else f"{value:.2f}"


def run(config: CompareConfig, console: Console) -> int:
    """Compare, show, and write if asked to."""
    tallies = load_runs(config.runs)
    tables = {
        "Success": side_by_side(tallies),
        "Under normal, against the first run that played the channel": differences(compare_runs(tallies)),
        "Pooled over runs, a run being the cluster of its episodes": pools(pool_runs(tallies)),
    }
    names = [f"Run {index + 1}: {path}" for index, path in enumerate(config.runs)]
    console.print("\n".join(names), highlight=False, soft_wrap=True)
    for title, (header, rows) in tables.items():
        if rows:
            shown = Table(*header, title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
            for row in rows:
                shown.add_row(*(cell.replace(" [", "\n[") for cell in row))  # intervals below their rates
            console.print(shown)
    if config.folder is not None:
        config.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(config.folder / "compare.md", _page(names, tables).encode())
        console.print(f"page: {config.folder / 'compare.md'}", soft_wrap=True)
    return ExitCode.PASS


def _page(names: Sequence[str], tables: Mapping[str, tuple[list[str], list[list[str]]]]) -> str:
    parts = ["# Runs side by side", "\n".join(f"- {name}" for name in names)]
    for title, (header, rows) in tables.items():
        if rows:
            lines = [header, ["---"] * len(header), *rows]
            parts += [f"## {title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    parts.append(
        "Intervals are 95%: Wilson's, Newcombe's for differences, cluster-robust where runs are pooled."
    )
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Entry point of `parley compare`, which is `python -m parley.evaluation.compare`."""
    config = parse_arguments(CompareConfig, sys.argv[1:], __doc__, "parley compare")
    return run(config, Console())


if __name__ == "__main__":
    exit_with(main)
