"""Learned channels of k slots: `latent` sends bounded vectors, `latent_vq` and `latent_fsq` codes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2, prod
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box, MultiDiscrete
from jaxtyping import Float, Int
from torch import Tensor

from parley.channels.base import (
    Channel,
    ChannelOutput,
    Message,
    ModelInterface,
    SoftPrompt,
    Utterance,
    check_range,
)
from parley.channels.codec import DECODERS, ENCODERS, CodecConfig, Decoder, Encoder
from parley.channels.quantizers import Quantizer, ScalarQuantizer, VectorQuantizer
from parley.channels.registry import register

FLOAT_BITS = 32


class Encoding(NamedTuple):
    """Latents as the decoder will see them, the channel's own losses in nats, and the messages."""

    latents: Float[Tensor, "B k C"]
    losses: dict[str, Float[Tensor, ""]]
    messages: list[Message] | None = None  # None leaves them to `send`


class LatentChannel(Channel):
    """Base of channels that put a codec of k slots between the models.

    Args:
        config: the codec's settings.
        interface: what is known of the models at both ends.
        latent_width: C, by default the configured one.
    """

    trainable = True
    config: CodecConfig

    def __init__(
        self, config: CodecConfig, interface: ModelInterface, latent_width: int | None = None
    ) -> None:
        super().__init__(config, interface)
        self.latent_width = latent_width or config.latent_width or interface.embedding_width
        self.num_slots, self.features, self.at_start = config.k, config.features, config.at_start
        self.encoder = self._make_encoder(config, interface)
        self.decoder = self._make_decoder(config, interface)

    def _make_encoder(self, config: CodecConfig, interface: ModelInterface) -> Encoder:
        return ENCODERS[config.encoder](interface, config, self.latent_width)

    def _make_decoder(self, config: CodecConfig, interface: ModelInterface) -> Decoder:
        return DECODERS[config.decoder](interface, config, self.latent_width)

    def calibrate(self, utterance: Utterance, vocabulary: Float[Tensor, "V E"]) -> None:
        """Learn the statistics of the sender's states over training referents."""
        if self.config.standardize:
            self.encoder.standardize.calibrate(utterance.states, utterance.mask)

    def pooled(self, utterance: Utterance) -> Float[Tensor, "B D"]:
        """The last state, standardised as the encoder gets it."""
        return self.encoder.standardize.last(utterance.states, utterance.mask)

    def logged(self) -> dict[str, float]:
        """The learned scale of the prefix."""
        return {"scale_gate": self.decoder.scale_gate.item()}

    @abstractmethod
    def encode(self, utterance: Utterance) -> Encoding:
        """Latents that are worth what the message is worth, with gradient."""

    def relay(self, utterance: Utterance) -> ChannelOutput:
        """Encode and decode with gradient."""
        latents, losses, messages = self.encode(utterance)
        return ChannelOutput(self.decode(latents), losses, latents, messages=messages)

    def decode(self, latents: Float[Tensor, "B k C"]) -> SoftPrompt:
        """The prefix that stands for latents."""
        return SoftPrompt(self.decoder(latents), self.at_start)


@register("latent")
class ContinuousChannel(LatentChannel):
    """k vectors of C numbers in [-1, 1], charged 32 bits a number."""

    modality: ClassVar[str] = "vectors"
    bits_formula: ClassVar[str] = "32 k C"
    Config = CodecConfig

    def __init__(self, config: CodecConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.message_space = Box(-1.0, 1.0, (config.k, self.latent_width), np.float32)

    def encode(self, utterance: Utterance) -> Encoding:
        """Latents squashed into the message space."""
        latents = torch.tanh(self.encoder(utterance.states, utterance.mask))
        return Encoding(latents, {}, list(latents.detach().float().cpu().numpy()))

    @torch.no_grad()
    def send(self, utterance: Utterance) -> list[Message]:
        """B arrays (k, C), float32."""
        return self.encode(utterance).messages or []

    def receive(self, messages: Sequence[Message]) -> SoftPrompt:
        """The prefix that the decoder makes of the vectors."""
        return self.decode(torch.from_numpy(np.stack(messages)).to(self.device))

    def message_bits(self, message: Message) -> float:
        """32 bits a number."""
        return float(FLOAT_BITS * np.prod(self.message_space.shape or ()))


class QuantizedChannel(LatentChannel):
    """Base of channels that send k codes of K, or some for each slot, charged log2 K bits a code.

    Training begins continuous (`quantizing` false) and is quantised by `start_quantizing`,
    because a codebook that moves from the first step slows learning severalfold. What crosses
    in eval mode is codes from the start: an unquantised codec has nothing to say there.

    Args:
        config: the codec's settings.
        interface: what is known of the models at both ends.
        latent_width: C.
        quantizer: latents to codes and back.
    """

    modality: ClassVar[str] = "codes"
    bits_formula: ClassVar[str] = "k log2 K"

    def __init__(
        self, config: CodecConfig, interface: ModelInterface, latent_width: int, quantizer: Quantizer
    ) -> None:
        super().__init__(config, interface, latent_width)
        self.quantizer = quantizer
        self.codebook_size = quantizer.codebook_size
        self.codes_per_slot = quantizer.codes_per_slot
        num_codes = config.k * self.codes_per_slot
        self.message_space = MultiDiscrete([self.codebook_size] * num_codes)
        self.bits = num_codes * log2(self.codebook_size)
        self.quantizing: Tensor
        self.register_buffer("quantizing", torch.tensor(False))

    def encode(self, utterance: Utterance) -> Encoding:
        """Quantised latents; while warming up, and only in training mode, the latents themselves."""
        latents = self._latents(utterance)
        if self.training and not self.quantizing:
            # continuous latents are no element of the message space: the nearest codes cross for them
            return Encoding(latents, {}, as_messages(self.quantizer.nearest(latents.detach())))
        quantized, codes, loss = self.quantizer(latents)
        if not self.training:
            return Encoding(self.quantizer.look_up(codes), {}, as_messages(codes))
        return Encoding(quantized, {"quantizer": loss}, as_messages(codes))

    @torch.no_grad()
    def start_quantizing(self, utterance: Utterance) -> None:
        """Place the codes by the latents of many utterances, and quantise from now on."""
        self.quantizer.place_codes(self._latents(utterance))
        self.quantizing.fill_(True)

    @property
    def ready(self) -> bool:
        """Whether it quantises."""
        return bool(self.quantizing)

    @torch.no_grad()
    def codes(self, utterance: Utterance) -> Int[Tensor, "B m"]:
        """The codes that stand for the utterances; the codebook does not move."""
        return self.quantizer.nearest(self._latents(utterance))

    def _latents(self, utterance: Utterance) -> Float[Tensor, "B k C"]:
        return self.quantizer.bound(self.encoder(utterance.states, utterance.mask))

    def send(self, utterance: Utterance) -> list[Message]:
        """B arrays (m,), int64: a slot's codes stand side by side."""
        return as_messages(self.codes(utterance))

    def receive(self, messages: Sequence[Message]) -> SoftPrompt:
        """The prefix that the decoder makes of the codes' vectors."""
        codes = torch.from_numpy(np.stack(messages)).to(self.device)
        return self.decode(self.quantizer.look_up(codes))

    def message_bits(self, message: Message) -> float:
        """The codes' bits, log2 K each, whatever the message."""
        return self.bits


def as_messages(codes: Int[Tensor, "B m"]) -> list[Message]:
    """B arrays (m,), int64."""
    return list(codes.cpu().numpy())


@dataclass(frozen=True, kw_only=True)
class VectorQuantizedConfig(CodecConfig):
    """Settings of `latent_vq`.

    Args:
        codebook_size: K, codes of a codebook; a message costs k * log2 K bits.
        shared_codebook: one codebook for all slots, instead of one a slot.
    """

    codebook_size: int = 64
    shared_codebook: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("codebook_size", self.codebook_size, 2, 1 << 16)


@register("latent_vq")
class VectorQuantizedChannel(QuantizedChannel):
    """k codes of learned codebooks."""

    Config = VectorQuantizedConfig

    def __init__(self, config: VectorQuantizedConfig, interface: ModelInterface) -> None:
        width = config.latent_width or interface.embedding_width
        num_codebooks = 1 if config.shared_codebook else config.k
        super().__init__(
            config, interface, width, VectorQuantizer(width, config.codebook_size, num_codebooks)
        )


@dataclass(frozen=True, kw_only=True)
class ScalarQuantizedConfig(CodecConfig):
    """Settings of `latent_fsq`; `latent_width` is the number of levels.

    Args:
        levels: values that each number of a slot can take; a message costs k * log2(product) bits.
    """

    levels: tuple[int, ...] = (8, 8)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("number of levels", len(self.levels), 1, 64)
        for level in self.levels:
            check_range("levels", level, 2, 1 << 16)
        check_range("product of levels", prod(self.levels), 2, 1 << 16)


@register("latent_fsq")
class ScalarQuantizedChannel(QuantizedChannel):
    """k codes, each a point of a fixed grid."""

    Config = ScalarQuantizedConfig

    def __init__(self, config: ScalarQuantizedConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface, len(config.levels), ScalarQuantizer(config.levels))
