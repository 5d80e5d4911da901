"""`symbols`: the encoder is a stochastic policy over an alphabet, each symbol one frozen-looking vector.

In training the k symbols are drawn by chance, so that reward alone can teach which to say; in
eval mode the likeliest are said. The alphabet begins as the tokens the receiver reads most often:
vectors it knows, though which of them means what to whom is left to be learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import ClassVar

import numpy as np
import torch
from gymnasium.spaces import MultiDiscrete
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from parley.channels.base import (
    ChannelOutput,
    Message,
    ModelInterface,
    Policy,
    SoftPrompt,
    Utterance,
    check_range,
)
from parley.channels.codec import CodecConfig, Decoder
from parley.channels.latent import Encoding, LatentChannel, as_messages
from parley.channels.registry import register


@dataclass(frozen=True, kw_only=True)
class SymbolsConfig(CodecConfig):
    """Settings of `symbols`; its decoder is the alphabet's table, and its latents are one-hot.

    Args:
        codebook_size: K, symbols of the alphabet; a message costs k * log2 K bits.
    """

    codebook_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("codebook_size", self.codebook_size, 2, 1 << 16)


class TableDecoder(Decoder):
    """One vector a symbol, the same in every slot."""

    def __init__(self, interface: ModelInterface, config: CodecConfig, latent_width: int) -> None:
        super().__init__(interface, config, latent_width)
        rows = functional.normalize(torch.randn(latent_width, interface.embedding_width), dim=-1)
        self.table = nn.Parameter(rows * interface.embedding_norm)

    def forward(self, latents: Float[Tensor, "B k C"]) -> Float[Tensor, "B k E"]:
        """The prefix of one-hot latents."""
        prefix: Tensor = latents @ self.table * self.scale_gate
        return prefix


@register("symbols")
class SymbolsChannel(LatentChannel):
    """k symbols of one alphabet, drawn from the encoder's policy while it learns."""

    modality: ClassVar[str] = "codes"
    bits_formula: ClassVar[str] = "k log2 K"
    Config = SymbolsConfig

    def __init__(self, config: SymbolsConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface, config.codebook_size)
        self.codebook_size = config.codebook_size
        self.message_space = MultiDiscrete([config.codebook_size] * config.k)
        self.bits = config.k * log2(config.codebook_size)

    def _make_decoder(self, config: CodecConfig, interface: ModelInterface) -> Decoder:
        return TableDecoder(interface, config, self.latent_width)

    @torch.no_grad()
    def calibrate(self, utterance: Utterance, vocabulary: Float[Tensor, "V E"]) -> None:
        """Learn the statistics of the sender's states, and take the first K tokens as the alphabet."""
        super().calibrate(utterance, vocabulary)
        assert isinstance(self.decoder, TableDecoder)
        known = vocabulary[: self.codebook_size]
        self.decoder.table[: len(known)] = known.to(self.decoder.table)

    def encode(self, utterance: Utterance) -> Encoding:
        """One-hot latents of the likeliest symbols."""
        codes = self._logits(utterance).argmax(-1)
        return Encoding(functional.one_hot(codes, self.codebook_size).float(), {}, as_messages(codes))

    def relay(self, utterance: Utterance) -> ChannelOutput:
        """Drawn symbols in training mode, with straight-through gradient (Bengio et al., 2013)."""
        if not self.training:
            return super().relay(utterance)
        logits = self._logits(utterance)
        log_p = functional.log_softmax(logits, dim=-1)
        codes = torch.multinomial(log_p.exp().flatten(0, 1), 1).reshape(log_p.shape[:2])
        drawn = functional.one_hot(codes, self.codebook_size).to(log_p)
        policy = Policy((drawn * log_p).sum((1, 2)), -(log_p.exp() * log_p).sum((1, 2)))
        latents = drawn + log_p.exp() - log_p.exp().detach()
        return ChannelOutput(self.decode(latents), {}, latents, policy, as_messages(codes))

    def _logits(self, utterance: Utterance) -> Float[Tensor, "B k K"]:
        logits: Tensor = self.encoder(utterance.states, utterance.mask)
        return logits.float()

    @torch.no_grad()
    def codes(self, utterance: Utterance) -> Int[Tensor, "B k"]:
        """The likeliest symbols."""
        return self._logits(utterance).argmax(-1)

    def send(self, utterance: Utterance) -> list[Message]:
        """B arrays (k,), int64."""
        return as_messages(self.codes(utterance))

    def receive(self, messages: Sequence[Message]) -> SoftPrompt:
        """The symbols' vectors."""
        codes = torch.from_numpy(np.stack(messages)).to(self.device)
        return self.decode(functional.one_hot(codes, self.codebook_size).float())

    def message_bits(self, message: Message) -> float:
        """The k symbols' bits, k * log2 K, whatever the message."""
        return self.bits
