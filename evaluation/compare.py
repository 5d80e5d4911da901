"""Put several runs side by side, paired where they played the same episodes.

    parley compare runs/a/gate1 runs/b/gate1

Reads episodes.jsonl of every run, compares every channel's success under normal with the first run's, and
pools channels that several runs judged. Writes compare.md where a folder is given.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
from parley.evaluation.aggregation.run_data import RunOutcomes, count_pairs, gather, shared
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
Rows = list[list[str]]


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
    corrected_p: float | None = None


def load_runs(paths: Sequence[Path]) -> list[RunOutcomes]:
    """Read the episodes of every run.

    Raises:
        ValueError: if a file is malformed.
        OSError: if one is not there.
    """
    return [gather(read_records(path / EPISODES_FILE if path.is_dir() else path)) for path in paths]


def compare_runs(runs: Sequence[RunOutcomes]) -> list[Against]:
    """Compare every channel's normal with that of the first run that played it.

    Returns:
        One row a channel and later run; p-values are corrected over all rows.
    """
    rows: list[Against] = []
    for channel in _names(runs):
        found = enumerate(_under(runs, channel, "normal"))
        played = [(run, outcomes) for run, outcomes in found if outcomes is not None]
        rows += [_against(channel, *this, *played[0]) for this in played[1:]]
    corrected = holm({place: row.p_value for place, row in enumerate(rows) if row.p_value is not None})
    return [replace(row, corrected_p=corrected.get(place)) for place, row in enumerate(rows)]


def pool_runs(runs: Sequence[RunOutcomes]) -> dict[str, dict[str, ClusteredProportion]]:
    """Success over all runs by channel and condition, with a run as the cluster of its episodes.

    Returns:
        Channels that at least two runs judged, by condition.
    """
    pooled: dict[str, dict[str, ClusteredProportion]] = {}
    for channel in _names(runs):
        judging = [run for run in runs if channel in run.judged]
        for condition in condition_names():
            played = [found for found in _under(judging, channel, condition) if found]
            if len(played) > 1:
                success = np.concatenate([found.success for found in played])
                clusters = np.repeat(np.arange(len(played)), [found.n for found in played])
                pooled.setdefault(channel, {})[condition] = clustered(success, clusters)
    return pooled


def _names(runs: Sequence[RunOutcomes]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.channels))


def _under(runs: Sequence[RunOutcomes], channel: str, condition: str) -> list[ConditionOutcomes | None]:
    """What a channel did under a condition in each run, None where it was not played."""
    found = (run.channels.get(channel) for run in runs)
    return [one.conditions.get(condition) if one else None for one in found]


def _against(channel: str, run: int, this: ConditionOutcomes, first: int, base: ConditionOutcomes) -> Against:
    """Paired where the episodes are the same ones: the same numbers, and the same targets."""
    here, there = shared(this, base)
    targets = this.target[here]
    if not len(here) or (targets != base.target[there]).any() or (targets == UNKNOWN).any():
        apart, num_shared, p_value = difference(_rate(this), _rate(base)), 0, None
    else:
        pairs = count_pairs(this.success[here], base.success[there])
        apart, num_shared = paired_difference(**asdict(pairs)), pairs.num_pairs
        p_value = mcnemar_exact(
            only_first=pairs.only_first, only_second=pairs.only_second, num_pairs=num_shared
        )
    return Against(
        channel=channel, run=run, first=first, difference=apart, shared=num_shared, p_value=p_value
    )


def _rate(outcomes: ConditionOutcomes) -> Proportion:
    return wilson(outcomes.successes, outcomes.n)


def side_by_side(runs: Sequence[RunOutcomes]) -> Rows:
    """Header and rows: success of every channel and condition, a column a run."""
    rows = [["channel", "condition", *(f"run {index + 1}" for index in range(len(runs)))]]
    for channel in _names(runs):
        for condition in condition_names():
            found = _under(runs, channel, condition)
            if any(found):
                rows.append([channel, condition, *(_cell(_rate(one) if one else None) for one in found)])
    return rows


def differences(rows: Sequence[Against]) -> Rows:
    """Header and rows of the comparisons under normal."""
    header = ["channel", "runs", "difference in points", "episodes", "corrected p"]
    return [header] + [
        [
            row.channel,
            f"{row.run + 1} - {row.first + 1}",
            f"{cells.points(row.difference.estimate)} {cells.points_interval(asdict(row.difference))}",
            f"{row.shared}, paired" if row.shared else "not shared",
            cells.p_value(row.corrected_p),
        ]
        for row in rows
    ]


def pools(pooled: Mapping[str, Mapping[str, ClusteredProportion]]) -> Rows:
    """Header and rows of what was pooled over runs."""
    header = ["channel", "condition", "success over runs", "runs", "design effect"]
    return [header] + [
        [channel, condition, _cell(found), str(found.num_clusters), _number(found.design_effect)]
        for channel, by_condition in pooled.items()
        for condition, found in by_condition.items()
    ]


def _cell(found: Proportion | ClusteredProportion | None) -> str:
    if found is None:
        return cells.NOT_PLAYED
    if np.isnan(found.ci_low):
        return f"{cells.percent(found.rate)} (no spread between runs)"
    return f"{cells.percent(found.rate)} {cells.interval(asdict(found))}"


def _number(value: float) -> str:
    return cells.NOT_PLAYED if np.isnan(value) else f"{value:.2f}"


def run(config: CompareConfig, console: Console) -> int:
    """Compare, show, and write if asked to."""
    runs = load_runs(config.runs)
    tables = {
        "Success": side_by_side(runs),
        "Under normal, against the first run that played the channel": differences(compare_runs(runs)),
        "Pooled over runs, a run being the cluster of its episodes": pools(pool_runs(runs)),
    }
    tables = {title: rows for title, rows in tables.items() if len(rows) > 1}
    names = [f"Run {index + 1}: {path}" for index, path in enumerate(config.runs)]
    console.print("\n".join(names), highlight=False, soft_wrap=True)
    for title, (header, *rows) in tables.items():
        shown = Table(*header, title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
        for row in rows:
            shown.add_row(*(cell.replace(" [", "\n[") for cell in row))  # intervals below their rates
        console.print(shown)
    if config.folder is not None:
        config.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(config.folder / "compare.md", _page(names, tables).encode())
        console.print(f"page: {config.folder / 'compare.md'}", soft_wrap=True)
    return ExitCode.PASS


def _page(names: Sequence[str], tables: Mapping[str, Rows]) -> str:
    parts = ["# Runs side by side", "\n".join(f"- {name}" for name in names)]
    for title, (header, *rows) in tables.items():
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
