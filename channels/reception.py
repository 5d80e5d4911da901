"""What receivers get: words, vectors in the slot, a state grafted into a layer, or entries of their cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

GraftMode = Literal["replace", "add", "mean"]


class Words(NamedTuple):
    """A reception of plain text, one string a receiver."""

    texts: Sequence[str]

    def take(self, rows: Int[Tensor, " R"]) -> Words:
        """Those with these numbers, in this order."""
        return Words([self.texts[row] for row in rows.tolist()])


class Prefix(NamedTuple):
    """A reception of vectors.

    They stand in the slot, where a message's token embeddings would stand, or, as the failed
    experiment had it, before everything else the receiver reads.
    """

    vectors: Float[Tensor, "B k E"]
    at_start: bool = False
    mask: Bool[Tensor, "B k"] | None = None  # False where a shorter message ends; None counts all

    def take(self, rows: Int[Tensor, " R"]) -> Prefix:
        """Those with these numbers, in this order."""
        mask = None if self.mask is None else self.mask[rows]
        return Prefix(self.vectors[rows], self.at_start, mask)


class Graft(NamedTuple):
    """A reception of one state, grafted in a layer onto the position where the answer is given.

    The slot stays empty (Ramesh and Li, 2025).
    """

    states: Float[Tensor, "B D"]
    depth: float  # of the layer whose result is changed, 0 to 1
    mode: GraftMode

    def take(self, rows: Int[Tensor, " R"]) -> Graft:
        """Those with these numbers, in this order."""
        return self._replace(states=self.states[rows])


class Memory(NamedTuple):
    """A reception of entries in the receiver's cache, which stand in the slot of every layer.

    Keys are as the model makes them before it rotates them to their positions.
    """

    keys: Float[Tensor, "B L H k W"]
    values: Float[Tensor, "B L H k W"]
    mask: Bool[Tensor, "B k"] | None = None  # False where a shorter message ends; None counts all

    def take(self, rows: Int[Tensor, " R"]) -> Memory:
        """Those with these numbers, in this order."""
        return Memory(self.keys[rows], self.values[rows], None if self.mask is None else self.mask[rows])


Reception = Words | Prefix | Graft | Memory


def num_receptions(reception: Reception) -> int:
    """B, how many receivers it is for."""
    first: Sequence[str] | Tensor = reception[0]
    return len(first)


def num_positions(reception: Prefix | Graft | Memory) -> Int[Tensor, " B"]:
    """Positions of each receiver's input that it takes; none for a state that is grafted."""
    if isinstance(reception, Graft):
        return torch.zeros(len(reception.states), dtype=torch.long)
    if reception.mask is not None:
        return reception.mask.sum(-1)
    vectors = reception.vectors if isinstance(reception, Prefix) else reception.keys[:, 0, 0]
    return torch.full((len(vectors),), vectors.shape[1])


def tensors_of(reception: Prefix | Graft | Memory) -> tuple[Tensor, ...]:
    """All that a receiver's input depends on, mask included: what must be paid for."""
    if isinstance(reception, Graft):
        return (reception.states,)
    content = (reception.vectors,) if isinstance(reception, Prefix) else (reception.keys, reception.values)
    return content if reception.mask is None else (*content, reception.mask)
