"""Floating-point operations of some work, counted as it runs."""

from __future__ import annotations

from collections.abc import Callable

from parley.agents.flop_counter import flop_counter


def count_operations(work: Callable[[], object]) -> int:
    """Operations of the matrix products and the attention of some work, forward and backward.

    Causal attention on the CPU counts half, since its kernel leaves out what lies ahead.
    """
    with flop_counter(halve_causal=True) as counter:
        work()
    return int(counter.get_total_flops())
