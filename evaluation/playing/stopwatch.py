"""How long work takes, on a device that may return before it is done."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

import torch

T = TypeVar("T")


def timed(work: Callable[[], T], device: torch.device) -> tuple[T, float]:
    """Do some work.

    Args:
        work: what to do.
        device: where; all that was queued there before is waited for first, and not counted.

    Returns:
        What came of it, and its wall time in seconds.
    """
    _wait_for(device)
    began = perf_counter()
    result = work()
    _wait_for(device)
    return result, perf_counter() - began


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
