"""Floating-point operations of some work, counted as it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]


def count_operations(work: Callable[[], object]) -> int:
    """Operations of the matrix products and the attention of some work, forward and backward.

    By the formulas of torch's FlopCounterMode; a multiplication and its addition are two. Attention is
    counted in full, though half of it may be masked. The CPU's kernels of attention, which it leaves out,
    are counted as it counts the others: two products forward, five backward.
    """
    on_cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    mapping: dict[Any, Any] = {on_cpu: _forward, backward: _backward}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        work()
    return int(counter.get_total_flops())


def _forward(query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    """Scores, and the values that they weigh; shapes are (B, heads, T, W)."""
    batch, heads, asking, width = query
    return 2 * batch * heads * asking * key[2] * (width + value[3])


def _backward(gradient: Shape, query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    """The scores again, and the gradients of values, weights, queries and keys."""
    batch, heads, asking, width = query
    return 2 * batch * heads * asking * key[2] * (3 * width + 2 * value[3])
