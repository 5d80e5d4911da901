"""Several messages for one context, side by side in its row: a mask keeps each from seeing the others.

What was read is shared by all of them and copied for none, which saves most of the memory of a
training step and part of its time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Row(NamedTuple):
    """New positions behind G contexts of T tokens: M messages of S positions in each row.

    Attributes:
        vectors: the messages, one after another.
        mask: what each position may look at, 0 or the lowest number there is; added to attention's scores.
        positions: each message continues its context, whatever stands beside it.
        seen: the mask as yes or no.
    """

    vectors: Float[Tensor, "G MS E"]
    mask: Float[Tensor, "G 1 MS T_MS"]
    positions: Int[Tensor, "G MS"]
    seen: Bool[Tensor, "G MS T_MS"]


def messages_per_context(num_contexts: int, num_messages: int) -> int:
    """M, for contexts that each take their turn with equally many messages.

    Raises:
        ValueError: if they cannot.
    """
    if num_messages % num_contexts:
        raise ValueError(
            f"each context must get equally many messages, got {num_messages} for {num_contexts} contexts"
        )
    return num_messages // num_contexts


def lay_out(
    read: Bool[Tensor, "G M T"], vectors: Float[Tensor, "B S E"], counted: Bool[Tensor, "B S"]
) -> Row:
    """Lay B = G * M messages side by side, M behind each of G rows.

    Args:
        read: which of a row's earlier tokens each of its messages sees.
        vectors: the messages, row by row.
        counted: which positions of a message count; the others are padding, and nothing looks at them.
    """
    (rows, each, _), length = read.shape, counted.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=read.device).tril()
    own = (counted[:, None] & earlier).reshape(rows, each, length, 1, length)
    apart = torch.eye(each, dtype=torch.bool, device=read.device)[:, None, :, None]
    beside = (own & apart).reshape(rows, each * length, each * length)
    seen = torch.cat([read.repeat_interleave(length, dim=1), beside], dim=-1)
    added = vectors.new_zeros(seen.shape).masked_fill_(~seen, torch.finfo(vectors.dtype).min)
    places = (counted.long().cumsum(-1) - 1).clamp(min=0).reshape(rows, each, length)
    positions = (read.long().sum(-1, keepdim=True) + places).reshape(rows, -1)
    return Row(vectors.reshape(rows, each * length, -1), added[:, None], positions, seen)
