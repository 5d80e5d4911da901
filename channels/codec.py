"""The two learned halves of a latent channel: states -> latents, latents -> prefix.

The encoder reads every token's state, standardised over training referents: raw states of
different referents point almost the same way, which hides the message from a pooled codec.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from channels.base import Ends


class Standardizer(nn.Module):
    """Centres and scales states per position and dimension, by statistics the checkpoint keeps."""

    def __init__(self, ends: Ends) -> None:
        super().__init__()
        shape = (ends.num_positions, ends.state_width)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    @torch.no_grad()
    def calibrate(self, states: Float[Tensor, "n T D"], mask: Bool[Tensor, "n T"]) -> None:
        """Take mean and standard deviation over n utterances; positions that nobody uses stay at 0, 1.

        Raises:
            ValueError: if the utterances are longer than the codec reads, or all alike.
        """
        tokens = self._num_tokens(states)
        weight = mask[..., None].double()
        count = weight.sum(0).clamp(min=1)
        mean = (states.double() * weight).sum(0) / count
        variance = ((states.double() - mean).square() * weight).sum(0) / count
        # a position that always reads the same carries nothing: keep its rounding noise small
        floor = variance.mean().sqrt() * 1e-2
        if not floor > 0:
            raise ValueError(f"calibration needs utterances whose states differ, got {len(states)} alike")
        used = mask.any(0)[:, None]
        self.mean[:tokens] = mean.to(self.mean)
        self.scale[:tokens] = torch.where(used, variance.sqrt() + floor, 1.0).to(self.scale)

    def forward(self, states: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Standardised states, in the codec's precision.

        Raises:
            ValueError: if they are longer than the codec reads.
        """
        tokens = self._num_tokens(states)
        return (states.to(self.mean.dtype) - self.mean[:tokens]) / self.scale[:tokens]

    def _num_tokens(self, states: Float[Tensor, "B T D"]) -> int:
        if states.shape[1] > len(self.mean):
            raise ValueError(f"states must cover at most {len(self.mean)} tokens, got {states.shape[1]}")
        return states.shape[1]


class PerceiverEncoder(nn.Module):
    """k learned queries read token-level states by cross-attention (Jaegle et al., 2021).

    Args:
        ends: widths at both ends.
        num_slots: k latents.
        width: of the attention.
        num_heads: of the attention.
        latent_width: C.
    """

    def __init__(self, ends: Ends, num_slots: int, width: int, num_heads: int, latent_width: int) -> None:
        super().__init__()
        self.standardize = Standardizer(ends)
        self.project = nn.Linear(ends.state_width, width)
        self.positions = nn.Parameter(torch.randn(ends.num_positions, width) * 0.5)
        self.queries = nn.Parameter(torch.randn(num_slots, width) * 0.5)
        self.attend = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.mix = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, latent_width)
        )

    def forward(self, states: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B k C"]:
        """K latents an utterance."""
        tokens = self.project(self.standardize(states))
        keys = tokens + self.positions[: tokens.shape[1]]
        queries = self.queries.expand(len(states), -1, -1)
        read, _ = self.attend(queries, keys, tokens, key_padding_mask=~mask, need_weights=False)
        latents: Tensor = self.mix(read + self.queries)
        return latents


class PrefixDecoder(nn.Module):
    """Turns k latents into k vectors as long as real token embeddings, times a learned gate.

    Each slot has an embedding of its own, so that the same code may say different things in
    different slots. At `scale_gate` 0 the prefix is exactly null.
    """

    def __init__(self, ends: Ends, num_slots: int, width: int, latent_width: int) -> None:
        super().__init__()
        self.embedding_norm = ends.embedding_norm
        self.slots = nn.Parameter(torch.randn(num_slots, width) * 0.5)
        self.expand = nn.Linear(latent_width, width)
        self.mix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU())
        self.project = nn.Linear(2 * width, ends.embedding_width)
        self.scale_gate = nn.Parameter(torch.tensor(1.0))

    def forward(self, latents: Float[Tensor, "B k C"]) -> Float[Tensor, "B k E"]:
        """The prefix."""
        vectors = self.project(self.mix(self.expand(latents) + self.slots))
        return functional.normalize(vectors, dim=-1) * (self.embedding_norm * self.scale_gate)
