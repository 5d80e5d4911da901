"""Learned channels of k slots: `latent` sends bounded vectors, `latent_vq` codes of a codebook."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box, MultiDiscrete
from jaxtyping import Bool, Float, Int
from torch import Tensor

from channels.base import Channel, ChannelConfig, Ends, Message, Prefix, Relay, Utterance, check_range
from channels.codec import PerceiverEncoder, PrefixDecoder
from channels.quantizers import VectorQuantizer, unit_sphere
from channels.registry import register

FLOAT_BITS = 32


@dataclass(frozen=True, kw_only=True)
class LatentConfig(ChannelConfig):
    """Settings of the continuous channel.

    Args:
        k: slots of the prefix.
        latent_width: C, numbers a slot.
        codec_width: width of the encoder's attention and of the decoder.
        codec_heads: attention heads of the encoder.
    """

    k: int = 4
    latent_width: int = 16
    codec_width: int = 128
    codec_heads: int = 4

    def __post_init__(self) -> None:
        check_range("k", self.k, 1, 256)
        check_range("latent_width", self.latent_width, 1, 4096)
        check_range("codec_heads", self.codec_heads, 1, 64)
        check_range("codec_width", self.codec_width, self.codec_heads, 8192)
        if self.codec_width % self.codec_heads:
            raise ValueError(
                f"codec_width must be a multiple of codec_heads ({self.codec_heads}), got {self.codec_width}"
            )


@dataclass(frozen=True, kw_only=True)
class LatentVQConfig(LatentConfig):
    """Settings of the discrete channel.

    Args:
        codebook_size: K, codes of the codebook that all slots share; a message costs k * log2 K bits.
    """

    codebook_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("codebook_size", self.codebook_size, 2, 1 << 16)


class Encoding(NamedTuple):
    """Latents as the decoder will see them, and the channel's own losses in nats."""

    latents: Float[Tensor, "B k C"]
    losses: dict[str, Float[Tensor, ""]]


class LatentChannel(Channel):
    """Base of channels with a perceiver encoder and a prefix decoder."""

    trainable = True

    def __init__(self, config: LatentConfig, ends: Ends) -> None:
        super().__init__(config, ends)
        self.num_slots = config.k
        self.encoder = PerceiverEncoder(
            ends, config.k, config.codec_width, config.codec_heads, config.latent_width
        )
        self.decoder = PrefixDecoder(ends, config.k, config.codec_width, config.latent_width)

    def calibrate(self, states: Float[Tensor, "n T D"], mask: Bool[Tensor, "n T"]) -> None:
        """Learn the statistics of the sender's states over training referents."""
        self.encoder.standardize.calibrate(states, mask)

    @abstractmethod
    def encode(self, utterance: Utterance) -> Encoding:
        """Latents that are worth what the message is worth, with gradient."""

    def relay(self, utterance: Utterance) -> Relay:
        """Encode and decode with gradient."""
        latents, losses = self.encode(utterance)
        return Relay(Prefix(self.decoder(latents)), losses)


@register("latent")
class ContinuousChannel(LatentChannel):
    """k vectors of C numbers in [-1, 1], charged 32 bits a number."""

    Config = LatentConfig

    def __init__(self, config: LatentConfig, ends: Ends) -> None:
        super().__init__(config, ends)
        self.message_space = Box(-1.0, 1.0, (config.k, config.latent_width), np.float32)

    def encode(self, utterance: Utterance) -> Encoding:
        """Latents squashed into the message space."""
        return Encoding(torch.tanh(self.encoder(utterance.states, utterance.mask)), {})

    @torch.no_grad()
    def send(self, utterance: Utterance) -> list[Message]:
        """B arrays (k, C), float32."""
        return list(self.encode(utterance).latents.float().cpu().numpy())

    def receive(self, messages: Sequence[Message]) -> Prefix:
        """The prefix that the decoder makes of the vectors."""
        return Prefix(self.decoder(torch.from_numpy(np.stack(messages)).to(self.device)))

    def message_bits(self, message: Message) -> float:
        """32 bits a number."""
        return float(FLOAT_BITS * np.prod(self.message_space.shape or ()))


@register("latent_vq")
class VectorQuantizedChannel(LatentChannel):
    """k codes of one codebook of K, charged k * log2 K bits.

    Training begins continuous (`quantizing` false) and is quantised by `start_quantizing`,
    because a codebook that moves from the first step slows learning severalfold. What crosses
    in eval mode is codes from the start: an unquantised codec has nothing to say there.
    """

    Config = LatentVQConfig

    def __init__(self, config: LatentVQConfig, ends: Ends) -> None:
        super().__init__(config, ends)
        self.message_space = MultiDiscrete([config.codebook_size] * config.k)
        self.bits = config.k * log2(config.codebook_size)
        self.quantizer = VectorQuantizer(config.latent_width, config.codebook_size)
        self.quantizing: Tensor
        self.register_buffer("quantizing", torch.tensor(False))

    def encode(self, utterance: Utterance) -> Encoding:
        """Quantised latents; while warming up, and only in training mode, the latents themselves."""
        latents = self._latents(utterance)
        if self.training and not self.quantizing:
            return Encoding(latents, {})
        quantized, _, loss = self.quantizer(latents)
        return Encoding(quantized, {"quantizer": loss})

    def start_quantizing(self, utterance: Utterance) -> None:
        """Place the codebook by k-means over the latents of many utterances, and quantise from now on."""
        with torch.no_grad():
            self.quantizer.place_codes(self._latents(utterance))
        self.quantizing.fill_(True)

    @torch.no_grad()
    def codes(self, utterance: Utterance) -> Int[Tensor, "B k"]:
        """The codes that stand for the utterances; the codebook does not move."""
        return self.quantizer.nearest(self._latents(utterance))

    def _latents(self, utterance: Utterance) -> Float[Tensor, "B k C"]:
        return unit_sphere(self.encoder(utterance.states, utterance.mask))

    def send(self, utterance: Utterance) -> list[Message]:
        """B arrays (k,), int64."""
        return list(self.codes(utterance).cpu().numpy())

    def receive(self, messages: Sequence[Message]) -> Prefix:
        """The prefix that the decoder makes of the codes' vectors."""
        codes = torch.from_numpy(np.stack(messages)).to(self.device)
        return Prefix(self.decoder(self.quantizer.look_up(codes)))

    def message_bits(self, message: Message) -> float:
        """The k codes' bits, k * log2 K, whatever the message."""
        return self.bits


def perplexity(codes: Int[Tensor, "*shape"], codebook_size: int) -> float:
    """Exp of the entropy (nats) of code use: 1 if one code is used, codebook_size if all are, equally.

    Raises:
        ValueError: if there are no codes.
    """
    if codes.numel() == 0:
        raise ValueError("perplexity needs at least one code, got none")
    share = torch.bincount(codes.flatten(), minlength=codebook_size).double() / codes.numel()
    return float(torch.special.entr(share).sum().exp())
