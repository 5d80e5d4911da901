"""The progress bar of a run."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def playing_progress(console: Console) -> Progress:
    """A bar with the plays that are done and the time left; a play is one episode under one condition."""
    return Progress(
        TextColumn("[bold]playing"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("plays,"),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        transient=True,
    )
