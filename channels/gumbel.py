"""EXPERIMENT 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from channels.base import Ends, check_range
from channels.codec import CodecConfig
from channels.latent import QuantizedChannel
from channels.quantizers import Quantized, Quantizer, k_means
from channels.registry import register


class GumbelQuantizer(Quantizer):
    def __init__(self, width, codebook_size, num_slots, temperature, beta, noise):
        super().__init__()
        self.codebook_size = codebook_size
        self.temperature, self.beta, self.noise = temperature, beta, noise
        self.codebook: Tensor
        self.register_buffer("codebook", self.bound(torch.randn(num_slots, codebook_size, width)))

    def forward(self, latents):
        logits = self.log_odds(latents)
        if self.noise:
            chosen = functional.gumbel_softmax(logits, tau=self.temperature, hard=True)
        else:
            soft = (logits / self.temperature).softmax(-1)
            chosen = functional.one_hot(logits.argmax(-1), self.codebook_size).float() + soft - soft.detach()
        vectors = torch.einsum("bjk,jkc->bjc", chosen, self.codebook)
        return Quantized(vectors, chosen.detach().argmax(-1), latents.new_zeros(()))

    def log_odds(self, latents):
        return self.beta * torch.einsum("bjc,jkc->bjk", latents.float(), self.codebook)

    def bound(self, latents):
        return functional.normalize(latents, dim=-1)

    def place_codes(self, latents):
        groups = latents.detach().double().cpu().unbind(1)
        tables = [torch.from_numpy(k_means(group.numpy(), self.codebook_size)) for group in groups]
        self.codebook.copy_(self.bound(torch.stack(tables)))

    def nearest(self, latents):
        return self.log_odds(latents).argmax(-1)

    def look_up(self, codes):
        return self.codebook[torch.arange(codes.shape[1], device=codes.device), codes]


@dataclass(frozen=True, kw_only=True)
class GumbelConfig(CodecConfig):
    codebook_size: int = 64
    temperature: float = 1.0
    beta: float = 10.0
    noise: bool = True


@register("latent_gumbel")
class GumbelChannel(QuantizedChannel):
    Config = GumbelConfig

    def __init__(self, config: GumbelConfig, ends: Ends) -> None:
        width = config.latent_width or ends.embedding_width
        quantizer = GumbelQuantizer(width, config.codebook_size, config.k, config.temperature, config.beta, config.noise)
        super().__init__(config, ends, width, quantizer)
