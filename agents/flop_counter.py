"""Torch's counter of floating-point operations, with formulas for CPUs' attention, which it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]


def flop_counter(*, halve_causal: bool = False) -> FlopCounterMode:
    """A counter of matrix products and attention, forward and backward, as long as it is entered.

    A multiplication and its addition are two. Attention is two products forward and five backward, as torch
    counts it for the other kernels.

    Args:
        halve_causal: whether causal attention on the CPU counts half, as its kernel leaves out what lies
            ahead, or in full, as torch counts it elsewhere.
    """

    def products(query: Shape, key: Shape, widths: int, causal: bool) -> int:
        batch, heads, asking, _ = query
        return 2 * batch * heads * asking * key[2] * widths // (2 if causal and halve_causal else 1)

    def forward(
        query: Shape, key: Shape, value: Shape, dropout: float = 0.0, causal: bool = False, **_: Any
    ) -> int:
        """Scores, and the values that they weigh; shapes are (B, heads, T, W)."""
        return products(query, key, query[3] + value[3], causal)

    def backward(*shapes: Any, **_: Any) -> int:
        """The scores again, and the gradients of values, weights, queries and keys."""
        _, query, key, value, _, _, _, causal = shapes
        return products(query, key, 3 * query[3] + 2 * value[3], causal)

    kernels = torch.ops.aten
    return FlopCounterMode(
        display=False,
        custom_mapping={
            kernels._scaled_dot_product_flash_attention_for_cpu: forward,
            kernels._scaled_dot_product_flash_attention_for_cpu_backward: backward,
        },
    )
