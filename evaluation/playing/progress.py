"""How far plays are, in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn


def playing_progress(console: Console) -> Progress:
    """A bar with the plays that are done and the time left, behind the task's description."""
    bar, left = (BarColumn(bar_width=16), MofNCompleteColumn()), TimeRemainingColumn()
    columns = "[bold]{task.description}", *bar, "plays,", TimeElapsedColumn(), "elapsed,", left, "left"
    return Progress(*columns, console=console, transient=True)
