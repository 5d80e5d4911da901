"""`latent_gumbel`: codes that are drawn by chance while it learns, with gradient by the Gumbel-softmax.

`latent_vq` sends the nearest code and pretends that nothing was rounded; here a code is the likelier the
nearer it is, and gradient reaches the log-odds of every code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from parley.channels.base import ModelInterface, check_range
from parley.channels.codec import CodecConfig
from parley.channels.latent import QuantizedChannel
from parley.channels.quantizers import Quantized, Quantizer, k_means
from parley.channels.registry import register


class GumbelQuantizer(Quantizer):
    """A categorical choice a slot by straight-through Gumbel-softmax.

    The log-odds of a code are its cosine with the latent, times `sharpness`. In training mode one is drawn,
    and the gradient is that of the relaxed choice (Jang et al., 2017; Maddison et al., 2017); in eval mode
    the likeliest is taken, which is the nearest. Codes stay where they are placed: what each says is learned
    by the decoder, when it is said by the encoder.

    Args:
        width: C, of the codes' vectors.
        codebook_size: K codes a slot.
        num_slots: k; every slot has codes of its own.
        sharpness: of the choice; a code as near as can be beats one at a right angle by so many nats.
        temperature: of the relaxed choice: the lower, the nearer the gradient to that of the hard one, and
            the larger its variance.
    """

    def __init__(
        self, width: int, codebook_size: int, num_slots: int, sharpness: float, temperature: float
    ) -> None:
        super().__init__()
        self.codebook_size = codebook_size
        self._sharpness, self._temperature = sharpness, temperature
        self.codebook: Tensor
        self.register_buffer("codebook", self.bound(torch.randn(num_slots, codebook_size, width)))

    def forward(self, latents: Float[Tensor, "B k C"]) -> Quantized:
        """Choose a code a slot: by chance in training mode."""
        log_odds = self._log_odds(latents)
        if not self.training:
            codes = log_odds.argmax(-1)
            return Quantized(self.look_up(codes), codes, log_odds.new_zeros(()))
        chosen = functional.gumbel_softmax(log_odds, tau=self._temperature, hard=True)
        vectors = torch.einsum("bjk,jkc->bjc", chosen, self.codebook)
        return Quantized(vectors, chosen.detach().argmax(-1), log_odds.new_zeros(()))

    def _log_odds(self, latents: Float[Tensor, "B k C"]) -> Float[Tensor, "B k K"]:
        return self._sharpness * torch.einsum("bjc,jkc->bjk", latents.float(), self.codebook)

    def bound(self, latents: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """Latents scaled to length 1, where the codes are."""
        return functional.normalize(latents, dim=-1)

    def place_codes(self, latents: Float[Tensor, "n k C"]) -> None:
        """Place the codes of each slot by k-means++ over n utterances' latents."""
        groups = latents.detach().double().cpu().unbind(1)
        tables = [torch.from_numpy(k_means(group.numpy(), self.codebook_size)) for group in groups]
        self.codebook.copy_(self.bound(torch.stack(tables)))

    def nearest(self, latents: Float[Tensor, "B k C"]) -> Int[Tensor, "B m"]:
        """The likeliest codes."""
        return self._log_odds(latents).argmax(-1)

    def look_up(self, codes: Int[Tensor, "B m"]) -> Float[Tensor, "B k C"]:
        """The vectors of codes."""
        return self.codebook[torch.arange(codes.shape[1], device=codes.device), codes]


@dataclass(frozen=True, kw_only=True)
class GumbelConfig(CodecConfig):
    """Settings of `latent_gumbel`.

    Args:
        codebook_size: K, codes of a slot; a message costs k * log2 K bits.
        sharpness: log-odds of a code are so many times its cosine with the latent.
        temperature: of the Gumbel-softmax in training.
    """

    codebook_size: int = 64
    sharpness: float = 16.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("codebook_size", self.codebook_size, 2, 1 << 16)
        check_range("sharpness", self.sharpness, 0.1, 1000)
        check_range("temperature", self.temperature, 0.01, 100)


@register("latent_gumbel")
class GumbelChannel(QuantizedChannel):
    """k codes, in training drawn by chance."""

    Config = GumbelConfig
    modality: ClassVar[str] = "codes"
    bits_formula: ClassVar[str] = "k log2 K"

    def __init__(self, config: GumbelConfig, interface: ModelInterface) -> None:
        width = config.latent_width or interface.embedding_width
        quantizer = GumbelQuantizer(
            width, config.codebook_size, config.k, config.sharpness, config.temperature
        )
        super().__init__(config, interface, width, quantizer)
