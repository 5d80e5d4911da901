"""What receivers get: words, vectors in the slot, a state patched into a layer, or entries of their cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PatchMode = Literal["replace", "add", "mean"]


class TextInput(NamedTuple):
    """A receiver input of plain text, one string a receiver."""

    texts: Sequence[str]

    def take(self, rows: Int[Tensor, " R"]) -> TextInput:
        """Those with these numbers, in this order."""
        return TextInput([self.texts[row] for row in rows.tolist()])


class SoftPrompt(NamedTuple):
    """A receiver input of vectors.

    They stand in the slot, where a message's token embeddings would stand, or, as the failed
    experiment had it, before everything else the receiver reads.
    """

    vectors: Float[Tensor, "B k E"]
    at_start: bool = False
    mask: Bool[Tensor, "B k"] | None = None  # False where a shorter message ends; None counts all

    def take(self, rows: Int[Tensor, " R"]) -> SoftPrompt:
        """Those with these numbers, in this order."""
        mask = None if self.mask is None else self.mask[rows]
        return SoftPrompt(self.vectors[rows], self.at_start, mask)


class ActivationPatch(NamedTuple):
    """A receiver input of one state, patched in a layer onto the position where the answer is given.

    The slot stays empty (Ramesh and Li, 2025).
    """

    states: Float[Tensor, "B D"]
    depth: float  # of the layer whose result is changed, 0 to 1
    mode: PatchMode

    def take(self, rows: Int[Tensor, " R"]) -> ActivationPatch:
        """Those with these numbers, in this order."""
        return self._replace(states=self.states[rows])


class CacheEntries(NamedTuple):
    """A receiver input of entries in the receiver's cache, which stand in the slot of every layer.

    Keys are as the model makes them before it rotates them to their positions.
    """

    keys: Float[Tensor, "B L H k W"]
    values: Float[Tensor, "B L H k W"]
    mask: Bool[Tensor, "B k"] | None = None  # False where a shorter message ends; None counts all

    def take(self, rows: Int[Tensor, " R"]) -> CacheEntries:
        """Those with these numbers, in this order."""
        return CacheEntries(
            self.keys[rows], self.values[rows], None if self.mask is None else self.mask[rows]
        )


ReceiverInput = TextInput | SoftPrompt | ActivationPatch | CacheEntries


def zeros_like_input(receiver_input: ReceiverInput) -> ReceiverInput:
    """Nothing, of the same kind and shape and put in the same place: true zeros.

    Raises:
        ValueError: if it is text, of which nothing is zero.
    """
    match receiver_input:
        case SoftPrompt(vectors=vectors):
            return receiver_input._replace(vectors=torch.zeros_like(vectors))
        case ActivationPatch(states=states):
            return receiver_input._replace(states=torch.zeros_like(states))
        case CacheEntries(keys=keys, values=values):
            return receiver_input._replace(keys=torch.zeros_like(keys), values=torch.zeros_like(values))
    raise ValueError("receiver_input must be vectors, a state or cache entries to have zeros, got text")


def num_inputs(receiver_input: ReceiverInput) -> int:
    """B, how many receivers it is for."""
    first: Sequence[str] | Tensor = receiver_input[0]
    return len(first)


def num_positions(receiver_input: SoftPrompt | ActivationPatch | CacheEntries) -> Int[Tensor, " B"]:
    """Positions of each receiver's input that it takes; none for a state that is patched."""
    if isinstance(receiver_input, ActivationPatch):
        return torch.zeros(len(receiver_input.states), dtype=torch.long)
    if receiver_input.mask is not None:
        return receiver_input.mask.sum(-1)
    vectors = (
        receiver_input.vectors if isinstance(receiver_input, SoftPrompt) else receiver_input.keys[:, 0, 0]
    )
    return torch.full((len(vectors),), vectors.shape[1])


def tensors_of(receiver_input: SoftPrompt | ActivationPatch | CacheEntries) -> tuple[Tensor, ...]:
    """All that a receiver's input depends on, mask included: what must be paid for."""
    if isinstance(receiver_input, ActivationPatch):
        return (receiver_input.states,)
    content = (
        (receiver_input.vectors,)
        if isinstance(receiver_input, SoftPrompt)
        else (receiver_input.keys, receiver_input.values)
    )
    return content if receiver_input.mask is None else (*content, receiver_input.mask)
