"""The progress bar of a training."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """Shows step, loss, success and, where there are codes, how many are in use.

    Args:
        steps: how many there are.
        done: how many were done before.
    """

    def __init__(self, steps: int, done: int) -> None:
        self._bar = Progress(
            TextColumn("[bold]training"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            refresh_per_second=2,
        )
        self._task = self._bar.add_task("", total=steps, completed=done, text="")
        self._validation = ""

    def update(self, record: dict[str, Any]) -> None:
        """Show what a step recorded."""
        if "validation_success" in record:
            self._validation = f"  validation {record['validation_success']:.1%}"
            if "perplexity" in record:
                self._validation += f"  codes {record['perplexity']:.1f}"
        success = f"success {record['success']:.1%}" if "success" in record else "aligning"
        text = f"loss {record['loss']:.3f}  {success}{self._validation}"
        self._bar.update(self._task, completed=record["step"], text=text)

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
