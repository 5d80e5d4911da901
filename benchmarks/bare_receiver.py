"""Qwen2 and Qwen3 in bare PyTorch: the least that a frozen receiver must compute behind what it has read.

No masks are made, nothing is checked, nothing is logged: tensors in, states out. It is the floor
against which the real path is held, and is given the layout that was measured to be the fastest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from parley.agents.injection import Layer


def answer_states(
    model: Any, layers: tuple[Layer, ...], vectors: Tensor, mask: Tensor, positions: Tensor
) -> Tensor:
    """Final states (B, T, D) of new positions behind keys and values that are given.

    Args:
        model: a Qwen2ForCausalLM or Qwen3ForCausalLM.
        layers: keys and values of what was read, (B, heads, past, W) each; none to read it.
        vectors: the new positions' embeddings (B, T, E).
        mask: (B, 1, T, past + T), added to the scores.
        positions: (B, T).
    """
    body, width = model.model, model.config.hidden_size
    with torch.no_grad():
        cosines, sines = (part[:, None] for part in body.rotary_emb(vectors, positions))
    for number, layer in enumerate(body.layers):
        known = layers[number] if layers else None
        attended, _ = attend(layer, _norm(vectors, layer.input_layernorm), known, mask, cosines, sines)
        vectors = vectors + attended
        inner = _norm(vectors, layer.post_attention_layernorm)
        mlp = layer.mlp
        gate, up = (
            functional.linear(inner, mlp.gate_proj.weight),
            functional.linear(inner, mlp.up_proj.weight),
        )
        vectors = vectors + functional.linear(functional.silu(gate) * up, mlp.down_proj.weight)
    return functional.rms_norm(vectors, (width,), body.norm.weight, body.norm.variance_epsilon)


@torch.no_grad()
def read(model: Any, vectors: Tensor, positions: Tensor) -> tuple[Layer, ...]:
    """Keys and values of every layer over tokens (B, T, E) without padding, causally."""
    body = model.model
    cosines, sines = (part[:, None] for part in body.rotary_emb(vectors, positions))
    kept = []
    for layer in body.layers:
        attended, both = attend(layer, _norm(vectors, layer.input_layernorm), None, None, cosines, sines)
        kept.append(both)
        vectors = vectors + attended
        inner, mlp = _norm(vectors, layer.post_attention_layernorm), layer.mlp
        gate, up = (
            functional.linear(inner, mlp.gate_proj.weight),
            functional.linear(inner, mlp.up_proj.weight),
        )
        vectors = vectors + functional.linear(functional.silu(gate) * up, mlp.down_proj.weight)
    return tuple(kept)


def attend(
    layer: Any, states: Tensor, known: Layer | None, mask: Tensor | None, cosines: Tensor, sines: Tensor
) -> tuple[Tensor, Layer]:
    """One layer's attention, and the keys and values of the new positions."""
    part, (batch, length, _) = layer.self_attn, states.shape
    queries, keys, values = (
        functional.linear(states, projection.weight, projection.bias).view(batch, length, -1, part.head_dim)
        for projection in (part.q_proj, part.k_proj, part.v_proj)
    )
    if hasattr(part, "q_norm"):  # Qwen3's
        queries, keys = _norm(queries, part.q_norm), _norm(keys, part.k_norm)
    queries, keys, values = (each.transpose(1, 2) for each in (queries, keys, values))
    queries, keys = _rotate(queries, cosines, sines), _rotate(keys, cosines, sines)
    new = (keys, values)
    if known is not None:
        keys, values = torch.cat([known[0], keys], dim=2), torch.cat([known[1], values], dim=2)
    attended = functional.scaled_dot_product_attention(
        queries,
        keys,
        values,
        attn_mask=mask,
        is_causal=mask is None,
        enable_gqa=queries.shape[1] != keys.shape[1],
    )
    return functional.linear(attended.transpose(1, 2).reshape(batch, length, -1), part.o_proj.weight), new


def _norm(states: Tensor, norm: Any) -> Tensor:
    return functional.rms_norm(states, (states.shape[-1],), norm.weight, norm.variance_epsilon)


def _rotate(states: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    first, second = states.chunk(2, dim=-1)
    return states * cosines + torch.cat([-second, first], dim=-1) * sines
