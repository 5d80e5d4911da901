"""Runs the tasks of a study side by side, shows how far it is, and goes on where it was cut."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from parley.agents.command_line import RunError
from parley.evaluation.reporting import cells
from studies.measure import Outcome
from studies.tasks import OUTCOME_FILE, Task


def run_tasks(tasks: Sequence[Task], root: Path, jobs: int, console: Console) -> None:
    """Run every task that has no outcome yet, in their order, `jobs` at a time.

    A task that fails is named at the end; the others are run all the same.

    Raises:
        RunError: if any failed; what was done is kept.
    """
    missing = [task for task in tasks if not (task.folder(root) / OUTCOME_FILE).exists()]
    failed: list[str] = []
    columns = (
        TextColumn("[bold]study"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    context = get_context("spawn")  # torch's threads do not survive a fork
    with (
        Progress(*columns, console=console) as progress,
        ProcessPoolExecutor(jobs, mp_context=context) as pool,
    ):
        bar = progress.add_task("", total=len(tasks), completed=len(tasks) - len(missing))
        waiting: dict[Future[Outcome], Task] = {pool.submit(task.run, root): task for task in missing}
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                task = waiting.pop(future)
                error = future.exception()
                if error is None:
                    progress.console.print(describe(task, future.result()), highlight=False)
                else:
                    failed.append(f"{task.folder(root)}: {error}")
                    progress.console.print(f"[red]failed[/] {failed[-1]}", soft_wrap=True)
                progress.advance(bar)
    if failed:
        raise RunError(f"{len(failed)} of {len(tasks)} tasks failed: {'; '.join(failed)}")


def describe(task: Task, outcome: Outcome) -> str:
    """One line on what a task came to."""
    said = "  ".join(
        f"{name} {cells.percent(outcome['conditions'][name]['rate'])}"
        for name in ("normal", "shuffle", "swap")
        if name in outcome["conditions"]
    )
    return f"{task.part} / {task.variant} / seed {task.seed}: {said}  ({outcome['seconds']:.0f} s)"
