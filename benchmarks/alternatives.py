"""How much faster is a training step than what one would write without Parley?

    python -m benchmarks.alternatives

Against the ordinary batched soft-prompt loop over context length and further messages, beside the
bound that the arithmetic sets; and against the failed experiment's loop, sample by sample.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console

from benchmarks.one_by_one import compare, operations
from benchmarks.operations import count_operations
from benchmarks.random_models import random_lm
from benchmarks.record import FOLDER, Goal, Record, Table, keep
from benchmarks.timing import alternate, machine, ratio, spread
from benchmarks.training_loops import Task, batched_step, make_task, parley_step
from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.agents.language_model import FrozenLM
from parley.agents.pair import find_device

SHARE_OF_BOUND = 0.85
LARGE = "qwen2.5-0.5b"
CPU = torch.device("cpu")
# contexts and messages of a step, and how many samples are taken one by one beside it
SINGLES = {"pocket": {(32, 5): 8, (8, 1): 8}, LARGE: {(4, 5): 1, (8, 1): 1}}


@dataclass(frozen=True, kw_only=True)
class AlternativesConfig:
    """What is compared.

    Args:
        tokens: context lengths up to the slot, for the pocket.
        further: M, messages beyond the right one, with every length.
        all_tokens: context lengths that are taken with every M of `all_further`.
        all_further: those.
        large_tokens: context lengths for the shape of Qwen2.5-0.5B; none leaves it out.
        large_further: M for it.
        contexts: a step, for contexts of up to 128 tokens; fewer for longer ones.
        repeats: alternating repeats of everything, at least 5.
        threads: CPU threads.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        recount: time nothing; count the operations of the record's rows again, and judge its times by them.
    """

    tokens: tuple[int, ...] = (53, 64, 128, 256, 512, 1024, 2048)
    further: tuple[int, ...] = (0, 2, 4)
    all_tokens: tuple[int, ...] = (64, 512, 2048)
    all_further: tuple[int, ...] = (0, 1, 2, 4, 8, 16)
    large_tokens: tuple[int, ...] = (53, 512)
    large_further: tuple[int, ...] = (2,)
    contexts: int = 16
    repeats: int = 5
    threads: int = 1
    device: str = "cpu"
    recount: bool = False


def measure(config: AlternativesConfig, console: Console) -> Record:
    """Everything, on one machine in one run."""
    device = find_device(config.device)
    torch.set_num_threads(config.threads)
    pocket = FrozenLM("pocket", device=device)
    slow = _one_by_one("pocket", pocket, config.repeats, console)
    # its positions are rotary, so that a longer context costs what it costs, whatever it then understands
    pocket.model.config.max_position_embeddings = 1 << 15
    sizes = [(length, others) for length in config.tokens for others in config.further]
    sizes += [(length, others) for length in config.all_tokens for others in config.all_further]
    rows = _grid("pocket", pocket, sorted(set(sizes)), config, console)
    if config.large_tokens:
        large = random_lm(LARGE, device=device, dtype=pocket.dtype)
        sizes = [(length, others) for length in config.large_tokens for others in config.large_further]
        rows += _grid(LARGE, large, sizes, config, console)
        slow += _one_by_one(LARGE, large, config.repeats, console)
    settings = {"repeats": config.repeats, "contexts": config.contexts, "seed": 0}
    return _record(machine(config.threads, device), settings, rows, slow)


def _record(
    on: dict[str, Any], settings: dict[str, Any], rows: list[dict[str, Any]], slow: list[dict[str, Any]]
) -> Record:
    return Record(
        question="How much faster is a training step than what one would write without Parley?",
        machine=on,
        settings=settings,
        tables=[_table(rows), _slow_table(slow)],
        goals=[*_goals(rows), *_slow_goals(slow)],
        points={"grid": rows, "one_by_one": slow},
    )


def recount(found: dict[str, Any]) -> Record:
    """The record with its operations counted again."""
    models = {"pocket": FrozenLM("pocket"), LARGE: random_lm(LARGE, device=CPU, dtype=torch.float32)}
    models["pocket"].model.config.max_position_embeddings = 1 << 15
    rows = found["points"]["grid"]
    for row in rows:
        task = make_task(
            models[row["model"]], contexts=row["contexts"], tokens=row["tokens"], further=row["further"]
        )
        row |= _bounded(task, row["gain"])
    slow = found["points"]["one_by_one"]
    for row in slow:
        samples = SINGLES[row["model"]][row["contexts"], row["messages"]]
        row["operations"] = operations(models[row["model"]], row["contexts"], row["messages"], samples)
    return _record(found["machine"], found["settings"], rows, slow)


def _bounded(task: Task, gain: float) -> dict[str, float]:
    """The ratio of both loops' operations, and the share of it that was reached."""
    bound = count_operations(lambda: batched_step(task)) / count_operations(lambda: parley_step(task))
    return {"bound": bound, "share": gain / bound}


def _one_by_one(name: str, lm: FrozenLM, repeats: int, console: Console) -> list[dict[str, Any]]:
    rows = []
    for (contexts, messages), samples in SINGLES[name].items():
        with console.status(f"{name}, {contexts} x {messages}, and sample by sample"):
            rows.append(compare(name, lm, contexts, messages, samples, repeats))
        console.print(f"{name}, {contexts} x {messages}: {_range(rows[-1])} times sample by sample")
    return rows


def _grid(
    name: str, lm: FrozenLM, sizes: Sequence[tuple[int, int]], config: AlternativesConfig, console: Console
) -> list[dict[str, Any]]:
    rows = []
    for length, others in sizes:
        with console.status(f"{name}, {length} tokens, {others} further messages"):
            contexts = max(1, min(config.contexts, 2048 // length, 64 // (1 + others)))
            if name == LARGE:
                contexts = max(1, min(contexts, 256 // length))
            task = make_task(lm, contexts=contexts, tokens=length, further=others)
            rows.append({"model": name} | _compare(task, config.repeats))
        console.print(
            f"{name}, {length} tokens, M = {others}: {_range(rows[-1])}, bound {rows[-1]['bound']:.3g}"
        )
    return rows


def _compare(task: Task, repeats: int) -> dict[str, Any]:
    """Both loops in turns, and the operations of both."""
    seconds = alternate(
        {"parley": lambda: parley_step(task), "batched": lambda: batched_step(task)},
        repeats=repeats,
        device=task.receiver.lm.device,
    )
    gain, (low, high) = (
        ratio(seconds["batched"], seconds["parley"]),
        spread(seconds["batched"], seconds["parley"]),
    )
    step = statistics.median(seconds["parley"])
    return {
        "tokens": task.prompts.shape[1],
        "further": task.per_context - 1,
        "contexts": len(task.prompts),
        "gain": gain,
        "low": low,
        "high": high,
        "step_seconds": step,
    } | _bounded(task, gain)


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    return Table(
        "Against the batched soft-prompt loop",
        ("model", "context tokens", "further messages M", "contexts", "times faster (lowest to highest)",
         "bound", "share of bound"),
        [
            (r["model"], r["tokens"], r["further"], r["contexts"], _range(r), r["bound"], f"{r['share']:.0%}")
            for r in rows
        ],
    )  # fmt: skip


def _goals(rows: Sequence[dict[str, Any]]) -> list[Goal]:
    """Three passes are those of the failed recipe: right, shuffled, null."""
    goals = []
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == model]
        shares = [row["share"] for row in own]
        goals.append(
            Goal(f"{model}: median share of the bound", ">=", SHARE_OF_BOUND, statistics.median(shares))
        )
        goals.append(Goal(f"{model}: smallest share of the bound", ">=", SHARE_OF_BOUND, min(shares)))
        three = {row["tokens"]: row["gain"] for row in own if row["further"] == 2}
        if 53 in three:
            goals.append(
                Goal(f"{model}: three messages a context of 53 tokens, times faster", ">=", 3, three[53])
            )
        if 512 in three:
            goals.append(
                Goal(f"{model}: three messages a context of 512 tokens, times faster", ">=", 5, three[512])
            )
    return goals


def _slow_table(rows: Sequence[dict[str, Any]]) -> Table:
    return Table(
        "Against the failed experiment's loop, sample by sample",
        ("model", "contexts x messages of a step", "episodes/s, Parley", "episodes/s, sample by sample",
         "times faster (lowest to highest)", "times the operations"),
        [
            (r["model"], f"{r['contexts']} x {r['messages']}", r["parley"], r["one_by_one"], _range(r),
             r["operations"])
            for r in rows
        ],
    )  # fmt: skip


def _slow_goals(rows: Sequence[dict[str, Any]]) -> list[Goal]:
    return [
        Goal(
            f"{r['model']}, {r['contexts']} x {r['messages']}: times faster than sample by sample",
            ">=",
            30,
            r["gain"],
        )
        for r in rows
    ]


def _range(row: dict[str, Any]) -> str:
    return f"{row['gain']:.3g} ({row['low']:.3g} to {row['high']:.3g})"


def main() -> int:
    """Entry point of `python -m benchmarks.alternatives`."""
    config = parse_arguments(AlternativesConfig, sys.argv[1:], __doc__, "benchmarks.alternatives")
    if config.recount:
        found = json.loads((FOLDER / "alternatives.json").read_text())
        keep("alternatives", recount(found), command=found["command"])
    else:
        keep("alternatives", measure(config, Console()))
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
