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
    """

    vectors: Float[Tensor, "G MS E"]
    mask: Float[Tensor, "G 1 MS T_MS"]
    positions: Int[Tensor, "G MS"]


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


def lay_out(read: Bool[Tensor, "G T"], vectors: Float[Tensor, "B S E"], counted: Bool[Tensor, "B S"]) -> Row:
    """Lay B = G * M messages side by side, M behind each context.

    Args:
        read: which tokens of each context count.
        vectors: the messages, context by context.
        counted: which positions of a message count; the others are padding, and nothing looks at them.
    """
    contexts, (messages, length) = len(read), counted.shape
    each = messages // contexts
    earlier = torch.ones(length, length, dtype=torch.bool, device=read.device).tril()
    own = (counted[:, None] & earlier).reshape(contexts, each, length, 1, length)
    apart = torch.eye(each, dtype=torch.bool, device=read.device)[:, None, :, None]
    beside = (own & apart).reshape(contexts, each * length, each * length)
    before = read[:, None].expand(-1, each * length, -1)
    seen = torch.cat([before, beside], dim=-1)[:, None]
    mask = vectors.new_zeros(seen.shape).masked_fill_(~seen, torch.finfo(vectors.dtype).min)
    places = (counted.long().cumsum(-1) - 1).clamp(min=0).reshape(contexts, -1)
    return Row(vectors.reshape(contexts, each * length, -1), mask, read.long().sum(-1, keepdim=True) + places)
