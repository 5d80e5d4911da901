"""Floating-point operations of some work, counted as it runs."""

from __future__ import annotations

from collections.abc import Callable

from training.costs.codec_cost import flop_counter


def count_operations(work: Callable[[], object]) -> int:
    """Operations of the matrix products and the attention of some work, forward and backward.

    By the formulas of torch's FlopCounterMode; a multiplication and its addition are two. Attention is
    counted in full, though half of it may be masked.
    """
    with flop_counter() as counter:
        work()
    return int(counter.get_total_flops())
