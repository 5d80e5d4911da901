"""The two learned halves of a latent channel: states -> latents, latents -> prefix.

`perceiver` and `mlp` are ours: the encoder reads every token's state, standardised over training
referents, because raw states of different referents point almost the same way. `pooled` and
`identity` are the failed experiment's, which squeezed one such state into a prefix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from parley.channels.base import ChannelConfig, ModelInterface, SenderFeatures, check_range
from parley.channels.standardizer import Standardizer


@dataclass(frozen=True, kw_only=True)
class CodecConfig(ChannelConfig):
    """Settings of every codec.

    Args:
        k: slots of the prefix.
        latent_width: C, numbers a slot; 0 takes the width of the receiver's embeddings.
        encoder: `perceiver` reads all states, `pooled` the last one.
        decoder: `mlp` learns what a latent looks like, `identity` only norms it.
        codec_width: hidden width of encoder and decoder.
        codec_heads: attention heads of the perceiver.
        depth: which of the sender's layers is read, from 0 (embeddings) to 1 (last).
        reads: the sender's states over its `prompt`, or over the `message` it says.
        standardize: whether states are centred and scaled by their statistics over training referents.
        at_start: the prefix stands before the whole prompt instead of in the message's place.
        initial_gate: where the learned scale of the prefix begins; 1 is the length of real embeddings.
    """

    k: int = 4
    latent_width: int = 16
    encoder: Literal["perceiver", "pooled"] = "perceiver"
    decoder: Literal["mlp", "identity"] = "mlp"
    codec_width: int = 128
    codec_heads: int = 4
    depth: float = 0.5
    reads: Literal["prompt", "message"] = "prompt"
    standardize: bool = True
    at_start: bool = False
    initial_gate: float = 1.0

    def __post_init__(self) -> None:
        check_range("k", self.k, 1, 256)
        check_range("latent_width", self.latent_width, 0, 8192)
        check_range("codec_heads", self.codec_heads, 1, 64)
        check_range("codec_width", self.codec_width, self.codec_heads, 8192)
        check_range("depth", self.depth, 0, 1)
        check_range("initial_gate", self.initial_gate, 0, 100)
        if self.codec_width % self.codec_heads:
            raise ValueError(
                f"codec_width must be a multiple of codec_heads ({self.codec_heads}), got {self.codec_width}"
            )

    @property
    def features(self) -> SenderFeatures:
        """Which of the sender's states the codec wants."""
        return SenderFeatures(self.depth, self.reads)


class Encoder(nn.Module):
    """States to latents.

    Args:
        interface: widths at both ends.
        config: the codec's settings.
        latent_width: C.
    """

    def __init__(self, interface: ModelInterface, config: CodecConfig, latent_width: int) -> None:
        super().__init__()
        self.num_slots, self.latent_width = config.k, latent_width
        self.standardize = Standardizer(interface)

    def forward(self, states: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B k C"]:
        """The k latents of each utterance."""
        raise NotImplementedError


class PerceiverEncoder(Encoder):
    """k learned queries read token-level states by cross-attention (Jaegle et al., 2021)."""

    def __init__(self, interface: ModelInterface, config: CodecConfig, latent_width: int) -> None:
        super().__init__(interface, config, latent_width)
        width = config.codec_width
        self.project = nn.Linear(interface.state_width, width)
        self.positions = nn.Parameter(torch.randn(interface.num_positions, width) * 0.5)
        self.queries = nn.Parameter(torch.randn(config.k, width) * 0.5)
        self.attend = nn.MultiheadAttention(width, config.codec_heads, batch_first=True)
        self.mix = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, latent_width)
        )

    def forward(self, states: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B k C"]:
        """The k latents of each utterance."""
        tokens = self.project(self.standardize(states))
        keys = tokens + self.positions[: tokens.shape[1]]
        latents: Tensor = self.mix(cross_attend(self.attend, self.queries, keys, tokens, mask) + self.queries)
        return latents


def cross_attend(
    attention: nn.MultiheadAttention,
    queries: Float[Tensor, "k C"],
    keys: Float[Tensor, "B T C"],
    values: Float[Tensor, "B T C"],
    mask: Bool[Tensor, "B T"],
) -> Float[Tensor, "B k C"]:
    """What the module itself computes when everybody asks the same few queries.

    A score is (Wq q) . (Wk x), which is (Wk' Wq q) . x, and what is read is Wv of a mean of values: so the
    projections are taken of the k queries and the k means, not of all T tokens. The keys' bias adds the same
    to all scores of a query, and so nothing.
    """
    width, heads = attention.embed_dim, attention.num_heads
    of_queries, of_keys, of_values = attention.in_proj_weight.reshape(3, heads, width // heads, width)
    bias, _, shift = attention.in_proj_bias.reshape(3, heads, width // heads)
    asked = torch.einsum("kd,hwd->hkw", queries, of_queries) + bias[:, None]
    directions = torch.einsum("hkw,hwd->hkd", asked, of_keys) * (width // heads) ** -0.5
    scores = keys @ directions.flatten(0, 1).T
    weights = scores.masked_fill(~mask[..., None], -torch.inf).softmax(1)
    means = (weights.transpose(1, 2) @ values).reshape(len(values), heads, len(queries), width)
    read = torch.einsum("bhkd,hwd->bkhw", means, of_values) + shift
    attended: Tensor = attention.out_proj(read.flatten(2))
    return attended


class PooledEncoder(Encoder):
    """The last token's state alone, through one hidden layer: the failed experiment's encoder."""

    def __init__(self, interface: ModelInterface, config: CodecConfig, latent_width: int) -> None:
        super().__init__(interface, config, latent_width)
        self.mix = nn.Sequential(
            nn.Linear(interface.state_width, config.codec_width),
            nn.GELU(),
            nn.Linear(config.codec_width, config.k * latent_width),
        )

    def forward(self, states: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B k C"]:
        """The k latents of each utterance."""
        latents: Tensor = self.mix(self.standardize.last(states, mask))
        return latents.reshape(len(latents), self.num_slots, self.latent_width)


class Decoder(nn.Module):
    """Latents to vectors about as long as real token embeddings, times a learned gate.

    At `scale_gate` 0 the prefix is exactly null.
    """

    def __init__(self, interface: ModelInterface, config: CodecConfig, latent_width: int) -> None:
        super().__init__()
        self.embedding_norm = interface.embedding_norm
        self.scale_gate = nn.Parameter(torch.tensor(float(config.initial_gate)))

    def forward(self, latents: Float[Tensor, "B k C"]) -> Float[Tensor, "B k E"]:
        """The prefix."""
        raise NotImplementedError


class PrefixDecoder(Decoder):
    """A hidden layer, then vectors of exactly the embeddings' mean norm.

    Each slot has an embedding of its own, so that the same code may say different things in
    different slots.
    """

    def __init__(self, interface: ModelInterface, config: CodecConfig, latent_width: int) -> None:
        super().__init__(interface, config, latent_width)
        width = config.codec_width
        self.slots = nn.Parameter(torch.randn(config.k, width) * 0.5)
        self.expand = nn.Linear(latent_width, width)
        self.mix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU())
        self.project = nn.Linear(2 * width, interface.embedding_width)

    def forward(self, latents: Float[Tensor, "B k C"]) -> Float[Tensor, "B k E"]:
        """The prefix."""
        vectors = self.project(self.mix(self.expand(latents) + self.slots))
        return functional.normalize(vectors, dim=-1) * (self.embedding_norm * self.scale_gate)


class IdentityDecoder(Decoder):
    """LayerNorm(latent) * mean embedding norm / sqrt(E): the latents are the prefix, but for their scale.

    Raises:
        ValueError: if the latents are not as wide as the receiver's embeddings.
    """

    def __init__(self, interface: ModelInterface, config: CodecConfig, latent_width: int) -> None:
        super().__init__(interface, config, latent_width)
        if latent_width != interface.embedding_width:
            raise ValueError(
                f"decoder 'identity' needs latent_width {interface.embedding_width} (the receiver's "
                f"embeddings; 0 takes it by itself), got {latent_width}"
            )
        self.norm = nn.LayerNorm(latent_width)

    def forward(self, latents: Float[Tensor, "B k C"]) -> Float[Tensor, "B k E"]:
        """The prefix."""
        vectors: Tensor = self.norm(latents)
        scale: Tensor = self.embedding_norm / vectors.shape[-1] ** 0.5 * self.scale_gate
        return vectors * scale


ENCODERS: dict[str, type[Encoder]] = {"perceiver": PerceiverEncoder, "pooled": PooledEncoder}
DECODERS: dict[str, type[Decoder]] = {"mlp": PrefixDecoder, "identity": IdentityDecoder}
