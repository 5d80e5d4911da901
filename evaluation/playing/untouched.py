"""Whether tensors are what they were: a channel that shares the judge's process may not change them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from parley.agents.context import Context
from parley.agents.pair import Pair


def checksums(tensors: Mapping[str, Iterable[Tensor]]) -> dict[str, tuple[int, ...]]:
    """A number for the bits of each tensor, by whose they are."""
    return {name: tuple(map(_checksum, of)) for name, of in tensors.items()}


def kept_tensors(pair: Pair, contexts: Iterable[Context]) -> dict[str, Iterable[Tensor]]:
    """The weights of both models, and what the receiver has read."""
    read = [tensor for context in contexts for layer in context.layers for tensor in layer]
    return {
        "the sender's model": pair.sender.lm.model.parameters(),
        "the receiver's model": pair.receiver.lm.model.parameters(),
        "what the receiver has read": read,
    }


def _checksum(tensor: Tensor) -> int:
    flat = tensor.detach().contiguous().flatten()
    whole = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}[flat.element_size()]
    return int(flat.view(whole).sum(dtype=torch.int64))
