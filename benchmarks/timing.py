"""How long work takes: everything that is compared is run in turns, and medians are compared."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parley.evaluation.playing.stopwatch import timed

Seconds = list[float]
REPEATS = 7


def alternate(
    works: Mapping[str, Callable[[], object]],
    *,
    repeats: int = REPEATS,
    warmups: int = 1,
    device: torch.device | None = None,
    tell: Callable[[str, float], object] | None = None,
) -> dict[str, Seconds]:
    """Time several works in turns, so that whatever slows the machine slows all of them.

    Args:
        works: what to do, by name.
        repeats: how often each is timed, at least 5.
        warmups: how often each is done before, untimed.
        device: where they run; the CPU by default.
        tell: called with the name and the seconds of each work when it is done, to show that it goes on.

    Returns:
        Wall seconds of each repeat, by name; the i-th of all works stand beside each other.

    Raises:
        ValueError: if there are too few repeats for a median to be worth something.
    """
    if repeats < 5:
        raise ValueError(f"repeats must be at least 5, got {repeats}")
    device = device or torch.device("cpu")
    for _ in range(warmups):
        for work in works.values():
            work()
    seconds: dict[str, Seconds] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            seconds[name].append(timed(work, device)[1])
            if tell is not None:
                tell(name, seconds[name][-1])
    return seconds


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Median over the repeats of one work's seconds by another's, of the same repeat."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def spread(above: Sequence[float], below: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest of the ratios whose median `ratio` is."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return min(ratios), max(ratios)


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The slope of log cost against log size by least squares: 1 is linear growth.

    Raises:
        ValueError: if there are fewer than two sizes.
    """
    if len(set(sizes)) < 2:
        raise ValueError(f"sizes must be at least two different ones, got {list(sizes)}")
    slope, _ = np.polyfit(np.log(sizes), np.log(costs), 1)
    return float(slope)


def machine(threads: int, device: torch.device | None = None) -> dict[str, Any]:
    """The machine by kind, and what ran on it; no name of its own."""
    found: dict[str, Any] = {
        "processor": _processor(),
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
    }
    if device is not None and device.type == "cuda":
        found["card"] = torch.cuda.get_device_name(device)
    return found


def _processor() -> str:
    """Cores and family, as Linux tells them."""
    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = [line.split(":", 1) for line in described.splitlines() if ":" in line]
    facts = {name.strip(): value.strip() for name, value in lines}
    cores = sum(name.strip() == "processor" for name, _ in lines) or 1
    parts = [facts.get("model name", platform.machine())]
    if "model" in facts:
        parts.append(f"family {facts.get('cpu family')}, model {facts['model']}")
    if "amx_tile" in facts.get("flags", ""):
        parts.append("AVX-512 and AMX")
    return f"{cores} cores of {', '.join(parts)}"
