"""Floating-point operations of some work, counted as it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]


def count_operations(work: Callable[[], object]) -> int:
    """Operations of the matrix products and the attention of some work on a CPU, forward and backward.

    By the formulas of torch's FlopCounterMode, a multiplication and its addition are two; but causal
    attention counts half, since the kernel leaves out what lies ahead. It has no formula for the CPU's
    kernels: two products forward, five backward, as for the others.
    """
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    mapping: dict[Any, Any] = {kernel: _forward, backward: _backward}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        work()
    return int(counter.get_total_flops())


def _forward(
    query: Shape, key: Shape, value: Shape, dropout: float = 0.0, causal: bool = False, **_: object
) -> int:
    """Scores, and the values that they weigh; shapes are (B, heads, T, W)."""
    return _products(query, key, query[3] + value[3], causal)


def _backward(
    gradient: Shape,
    query: Shape,
    key: Shape,
    value: Shape,
    attended: Shape,
    logsumexp: Shape,
    dropout: float,
    causal: bool,
    **_: object,
) -> int:
    """The scores again, and the gradients of values, weights, queries and keys."""
    return _products(query, key, 3 * query[3] + 2 * value[3], causal)


def _products(query: Shape, key: Shape, widths: int, causal: bool) -> int:
    batch, heads, asking, _ = query
    return 2 * batch * heads * asking * key[2] * widths // (2 if causal else 1)
