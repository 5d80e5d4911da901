"""What can be read off a frozen model: a layer's states, its cache, and what it would say in expectation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from parley.agents.injection import Layer, rotate
from parley.agents.language_model import FrozenLM

MAX_DESCRIPTION_TOKENS = 32


def positions_of(mask: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Each token's place among those that count."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


class Preamble(NamedTuple):
    """What all rows begin with, read once.

    Attributes:
        ids: its tokens.
        layers: their keys and values; none if there are no tokens.
    """

    ids: Int[Tensor, "1 P"]
    layers: tuple[Layer, ...]

    def begin(self, mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B P_T"]:
        """The mask of rows behind it."""
        return torch.cat([mask.new_ones(len(mask), self.ids.shape[1]), mask], dim=1)

    def cache(self, lm: FrozenLM, rows: int, layers: int | None = None) -> DynamicCache:
        """A cache that goes on behind it, for some rows; of all layers, or of the first."""
        repeated = [tuple(part.expand(rows, -1, -1, -1) for part in layer) for layer in self.layers[:layers]]
        return DynamicCache(ddp_cache_data=repeated, config=lm.model.config)


@torch.no_grad()
def read_preamble(lm: FrozenLM, tokens: list[int]) -> Preamble:
    """Read what all rows begin with; nothing is run if it has no tokens."""
    ids, _ = lm.left_pad([tokens])
    if not tokens:
        return Preamble(ids, ())
    cache = DynamicCache(config=lm.model.config)
    lm.model.model(input_ids=ids, past_key_values=cache, use_cache=True)
    return Preamble(ids, tuple((layer.keys, layer.values) for layer in cache.layers))


def layer_states(
    lm: FrozenLM,
    ids: Int[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    layer: int,
    preamble: Preamble | None = None,
) -> Float[Tensor, "B T D"]:
    """Hidden states of a layer; 0 is the embeddings, the last is after its norm; none above it is run.

    Args:
        lm: the model.
        ids: tokens, padded on the left.
        mask: which of them count.
        layer: 0 to the number of layers.
        preamble: what all rows stand behind.
    """
    if layer == 0:
        return lm.embed(ids)
    backbone, cache = lm.model.model, None
    positions = positions_of(mask)
    if preamble is not None and preamble.layers:
        mask, cache = preamble.begin(mask), preamble.cache(lm, len(ids), layer)
        positions = positions_of(mask)[:, -ids.shape[1] :]
    seen: list[Tensor] = []
    hook = backbone.layers[layer - 1].register_forward_hook(lambda *call: seen.append(call[-1]))
    try:
        with _up_to(backbone, layer):
            last: Tensor = backbone(
                input_ids=ids,
                attention_mask=mask.long(),
                position_ids=positions,
                past_key_values=cache,
                use_cache=cache is not None,
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


def cache_rows(
    lm: FrozenLM, ids: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"], preamble: Preamble | None = None
) -> Float[Tensor, "B T F"]:
    """Keys (not rotated) and values of all layers, F = 2 * layers * heads * head width numbers a token.

    They lie in the order of a tensor (2, layers, heads, head width). What the rows stand behind, the
    preamble, has none among them.
    """
    preamble = preamble or read_preamble(lm, [])
    mask, length = preamble.begin(mask), ids.shape[1]
    positions = positions_of(mask)[:, -length:]
    cache = preamble.cache(lm, len(ids))
    lm.model.model(
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    )
    keys = [
        rotate(lm.model.model, layer.keys[:, :, -length:], positions, back=True) for layer in cache.layers
    ]
    values = [layer.values[:, :, -length:] for layer in cache.layers]
    both = torch.stack([torch.stack(keys), torch.stack(values)])  # (2, L, B, H, T, W)
    return both.permute(2, 4, 0, 1, 3, 5).flatten(2)


@torch.no_grad()
def greedy_tokens(
    lm: FrozenLM, prompts: Sequence[list[int]], preamble: Preamble | None = None
) -> Int[Tensor, "B L"]:
    """What a model says to each prompt, its likeliest tokens; padded behind the end of a turn."""
    preamble = preamble or read_preamble(lm, [])
    ids, mask = lm.left_pad(prompts)
    ids, mask = torch.cat([preamble.ids.expand(len(ids), -1), ids], dim=1), preamble.begin(mask)
    said: Tensor = lm.model.generate(
        input_ids=ids,
        attention_mask=mask.long(),
        past_key_values=preamble.cache(lm, len(ids)),
        max_new_tokens=MAX_DESCRIPTION_TOKENS,
        do_sample=False,
        pad_token_id=lm.tokenizer.pad_token_id,
    )
    return said[:, ids.shape[1] :]


@torch.no_grad()
def expectation(
    lm: FrozenLM,
    prompts: Sequence[list[int]],
    embeddings: Float[Tensor, "V E"],
    preamble: Preamble | None = None,
) -> list[Float[Tensor, "T E"]]:
    """What a model would say, each token as the mean of all embeddings by their probability (CIPHER).

    The mean of its own embeddings is its next input, the mean of the given ones is returned; it ends
    before the position where the end of the turn is likeliest (Pham et al., 2024; temperature 1).

    Args:
        lm: who speaks.
        prompts: token ids up to where the answer begins.
        embeddings: the table whose rows are averaged, of the same vocabulary.
        preamble: what all prompts stand behind.
    """
    preamble = preamble or read_preamble(lm, [])
    ids, mask = lm.left_pad(list(prompts))
    mask = preamble.begin(mask)
    ends = torch.tensor(_end_tokens(lm), device=ids.device)
    inputs = torch.nn.functional.embedding(ids, lm.embedding_table)
    speaking = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    cache, said, counted = preamble.cache(lm, len(ids)), [], []
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
