"""Receiver inputs that do not stand in the slot: a state patched into a layer, entries put into the cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from transformers.models.qwen2.modeling_qwen2 import apply_rotary_pos_emb  # the same in every family

from parley.channels.base import ActivationPatch, CacheEntries

Layer = tuple[Tensor, Tensor]  # keys and values, (B, heads, T, head width)


@contextmanager
def patched(backbone: nn.Module, patch: ActivationPatch, place: int = -1) -> Iterator[None]:
    """While it lasts, the result of one layer is changed at one position.

    Args:
        backbone: a model without its output layer.
        patch: what to do; depth d of L layers is the result of layer max(1, floor(d * L)).
        place: the position, counted from the end: -1 is the last.

    Raises:
        ValueError: if the states are not as wide as the model's.
    """
    width: int = backbone.config.hidden_size  # type: ignore[union-attr, assignment]
    if patch.states.shape[-1] != width:
        raise ValueError(f"a patched state must be {width} wide, got {patch.states.shape[-1]}")
    layers: Any = backbone.layers
    number = max(1, int(patch.depth * len(layers)))

    def change(module: nn.Module, arguments: object, states: Tensor) -> Tensor:
        own = states[:, place]
        sent = patch.states.to(own)
        blended = {"replace": sent, "add": own + sent, "mean": (own + sent) / 2}[patch.mode]
        after = states[:, states.shape[1] + place + 1 :]
        return torch.cat([states[:, :place], blended[:, None], after], dim=1)

    hook = layers[number - 1].register_forward_hook(change)
    try:
        yield
    finally:
        hook.remove()


def extend(
    backbone: nn.Module, layers: tuple[Layer, ...], mask: Bool[Tensor, "B T"], memory: CacheEntries
) -> tuple[tuple[Layer, ...], Bool[Tensor, "B k"]]:
    """A cache with a memory's entries behind it, their keys rotated to the positions that follow.

    Args:
        backbone: the model whose cache it is.
        layers: its keys and values.
        mask: which positions of it count.
        memory: what to add; as many layers, heads and numbers a head as the cache has.

    Returns:
        The longer cache, and which of the added positions count.

    Raises:
        ValueError: if the memory has another shape than the cache.
    """
    batch, num_layers, heads, slots, width = memory.keys.shape
    wanted = (len(mask), len(layers), layers[0][0].shape[1], layers[0][0].shape[3])
    if (batch, num_layers, heads, width) != wanted:
        raise ValueError(
            f"memory must be of shape (B, layers, heads, head width) {wanted}, "
            f"got {(batch, num_layers, heads, width)}"
        )
    kept = torch.ones(batch, slots, dtype=torch.bool, device=mask.device)
    if memory.mask is not None:
        kept = memory.mask.to(mask.device)
    positions = torch.cat([mask, kept], dim=1).long().cumsum(-1)[:, mask.shape[1] :] - 1
    keys = memory.keys.to(mask.device)
    rotated = rotate(backbone, keys.flatten(1, 2), positions).reshape(keys.shape)
    added = zip(rotated.unbind(1), memory.values.unbind(1), strict=True)
    longer = tuple(
        (torch.cat([old, more.to(old)], dim=2), torch.cat([values, others.to(values)], dim=2))
        for (old, values), (more, others) in zip(layers, added, strict=True)
    )
    return longer, kept


def rotate(backbone: nn.Module, keys: Tensor, positions: Tensor, *, back: bool = False) -> Tensor:
    """Keys (B, heads, T, W) turned to their positions (B, T) (Su et al., 2021), or back from there."""
    turn: Any = backbone.rotary_emb
    cosines, sines = turn(keys, positions.clamp(min=0))
    if back:  # a scaled rotation is undone by the opposite one, divided by the square of the scale
        cosines, sines = (part / turn.attention_scaling**2 for part in (cosines, -sines))
    turned: Tensor = apply_rotary_pos_emb(keys, keys, cosines, sines)[1]
    return turned
