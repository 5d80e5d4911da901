"""What can be read off a frozen model: a layer's states, its cache, and what it would say in expectation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from parley.agents.injection import rotate
from parley.agents.language_model import FrozenLM

MAX_DESCRIPTION_TOKENS = 32


def positions_of(mask: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Each token's place among those that count."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def layer_states(
    lm: FrozenLM, ids: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"], layer: int
) -> Float[Tensor, "B T D"]:
    """Hidden states of a layer; 0 is the embeddings, the last is after its norm; none above it is run."""
    if layer == 0:
        return lm.embed(ids)
    backbone = lm.model.model
    seen: list[Tensor] = []
    hook = backbone.layers[layer - 1].register_forward_hook(lambda *call: seen.append(call[-1]))
    try:
        with _up_to(backbone, layer):
            last: Tensor = backbone(
                input_ids=ids, attention_mask=mask.long(), position_ids=positions_of(mask), use_cache=False
            ).last_hidden_state
    finally:
        hook.remove()
    return (last if layer == lm.num_layers else seen[0]).to(lm.device)


@contextmanager
def _up_to(backbone: nn.Module, layer: int) -> Iterator[None]:
    """While it lasts, the backbone ends after that layer."""
    config: Any = backbone.config
    every = config.num_hidden_layers
    config.num_hidden_layers = layer
    try:
        yield
    finally:
        config.num_hidden_layers = every


def cache_rows(lm: FrozenLM, ids: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T F"]:
    """Keys (not rotated) and values of all layers, F = 2 * layers * heads * head width numbers a token.

    They lie in the order of a tensor (2, layers, heads, head width).
    """
    positions = positions_of(mask)
    cache = DynamicCache(config=lm.model.config)
    lm.model.model(
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    )
    keys = [rotate(lm.model.model, layer.keys, positions, back=True) for layer in cache.layers]
    values = [layer.values for layer in cache.layers]
    both = torch.stack([torch.stack(keys), torch.stack(values)])  # (2, L, B, H, T, W)
    return both.permute(2, 4, 0, 1, 3, 5).flatten(2)


@torch.no_grad()
def expectation(
    lm: FrozenLM, prompts: Sequence[list[int]], embeddings: Float[Tensor, "V E"]
) -> list[Float[Tensor, "T E"]]:
    """What a model would say, each token as the mean of all embeddings by their probability (CIPHER).

    The mean of its own embeddings is its next input, the mean of the given ones is returned; it ends
    before the position where the end of the turn is likeliest (Pham et al., 2024; temperature 1).

    Args:
        lm: who speaks.
        prompts: token ids up to where the answer begins.
        embeddings: the table whose rows are averaged, of the same vocabulary.
    """
    ids, mask = lm.left_pad(list(prompts))
    ends = torch.tensor(_end_tokens(lm), device=ids.device)
    inputs = torch.nn.functional.embedding(ids, lm.embedding_table)
    speaking = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    cache, said, counted = DynamicCache(config=lm.model.config), [], []
    for _ in range(MAX_DESCRIPTION_TOKENS):
        logits = lm.model(
            inputs_embeds=inputs,
            attention_mask=mask.long(),
            position_ids=positions_of(mask)[:, -inputs.shape[1] :],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        speaking &= ~torch.isin(logits.argmax(-1), ends)
        if not speaking.any():
            break
        probabilities = logits.float().softmax(-1)
        said.append(_mean(probabilities, embeddings))
        counted.append(speaking.clone())
        inputs = _mean(probabilities, lm.embedding_table)[:, None].to(lm.dtype)
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
    if not said:
        return [embeddings.new_zeros(0, embeddings.shape[1]).float() for _ in prompts]
    vectors, kept = torch.stack(said, dim=1), torch.stack(counted, dim=1)
    return [row[keep] for row, keep in zip(vectors, kept, strict=True)]


def _mean(probabilities: Float[Tensor, "B V"], table: Float[Tensor, "N E"]) -> Float[Tensor, "B E"]:
    """The mean of a table's rows; either may be padded beyond the tokens that there are."""
    shared = min(probabilities.shape[1], len(table))
    return probabilities[:, :shared] @ table[:shared].float()


def _end_tokens(lm: FrozenLM) -> list[int]:
    """The tokens that end a turn."""
    ends = lm.model.generation_config.eos_token_id
    return [ends] if isinstance(ends, int) else list(ends or [])
