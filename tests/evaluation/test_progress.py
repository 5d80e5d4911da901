"""The clock of the records, and the bar that people watch."""

import io

import torch
from rich.console import Console

from parley.evaluation.playing import stopwatch
from parley.evaluation.playing.progress import playing_progress
from parley.evaluation.playing.stopwatch import timed


def test_work_is_timed_from_when_the_device_is_free_until_it_is_done(monkeypatch):
    happened = []
    monkeypatch.setattr(stopwatch, "perf_counter", lambda: happened.append("clock") or 3.0 * len(happened))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: happened.append(f"wait for {device}"))
    assert timed(lambda: happened.append("work") or 7, torch.device("cuda:1")) == (7, 9.0)
    assert happened == ["wait for cuda:1", "clock", "work", "wait for cuda:1", "clock"]
    happened.clear()
    timed(lambda: None, torch.device("cpu"))
    assert happened == ["clock", "clock"]


def test_the_bar_says_how_much_is_done_and_how_long_it_takes():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with playing_progress(console) as progress:
        task = progress.add_task("", total=1200, completed=200)
        progress.advance(task, 40)
        progress.refresh()
    shown = console.file.getvalue()
    assert " 240/1200" in shown
    assert "elapsed" in shown
    assert "left" in shown
