"""`latent_rvq`: each slot is quantised in stages, every stage a code for what the one before left over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from vector_quantize_pytorch import GroupedResidualVQ

from parley.channels.base import ModelInterface, check_range
from parley.channels.codec import CodecConfig
from parley.channels.latent import QuantizedChannel
from parley.channels.quantizers import Quantized, Quantizer, k_means
from parley.channels.registry import register


class ResidualQuantizer(Quantizer):
    """Codebooks in stages: a latent is stood for by the sum of one code a stage.

    Residual vector quantisation (Zeghidour et al., 2021, SoundStream; Lee et al., 2022), by Euclidean
    distance: latents are of length 1, but what a stage leaves over may be of any. Moving averages, revival of
    dead codes and k-means placement are as in `VectorQuantizer`; the gradient goes straight through the sum,
    because the library's own would count once a stage.

    Args:
        width: C, of the vectors.
        codebook_size: K codes of a stage.
        num_stages: q, codes that stand for one slot.
        num_codebooks: 1, or k for slots with codebooks of their own; q of them each.
        decay: of the codebooks' moving average.
        commitment: weight of the commitment loss, summed over stages as in Lee et al.
        dead_below: a code used less often than this (moving average per batch) is placed anew.
    """

    def __init__(
        self,
        width: int,
        codebook_size: int,
        num_stages: int,
        num_codebooks: int = 1,
        decay: float = 0.9,
        commitment: float = 0.25,
        dead_below: float = 0.5,
    ) -> None:
        super().__init__()
        self.codebook_size, self.codes_per_slot = codebook_size, num_stages
        self._num_codebooks = num_codebooks
        self.codebook = GroupedResidualVQ(
            dim=width * num_codebooks,
            groups=num_codebooks,
            num_quantizers=num_stages,
            codebook_size=codebook_size,
            decay=decay,
            commitment_weight=commitment,
            threshold_ema_dead_code=dead_below,
            rotation_trick=False,
        )
        drawn = [self.bound(torch.randn(codebook_size, width)) * 0.5**stage for stage in range(num_stages)]
        with torch.no_grad():
            for group in range(num_codebooks):
                self._set_codes(group, drawn)

    def forward(self, latents: Float[Tensor, "B k C"]) -> Quantized:
        """Quantise; in training mode the codebooks move towards the latents and what is left of them."""
        latents = latents.float()
        flat = latents if self._num_codebooks == 1 else latents.flatten(1)[:, None]
        vectors, codes, losses = self.codebook(flat)  # codes: codebooks, batch, positions, stages
        straight = latents + (vectors.reshape(latents.shape) - latents).detach()
        return Quantized(straight, codes.movedim(0, 1).flatten(1), losses.sum(-1).mean())

    def bound(self, latents: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """Latents scaled to length 1."""
        return functional.normalize(latents, dim=-1)

    def place_codes(self, latents: Float[Tensor, "n k C"]) -> None:
        """Place each stage's codes by k-means++ over what is left of n utterances' latents before it."""
        points = latents.detach().double().cpu()
        groups = points.unbind(1) if self._num_codebooks > 1 else [points.flatten(0, 1)]
        for group, left in enumerate(groups):
            tables = []
            for _ in range(self.codes_per_slot):
                tables.append(torch.from_numpy(k_means(left.numpy(), self.codebook_size)))
                left = left - tables[-1][torch.cdist(left, tables[-1]).argmin(-1)]
            self._set_codes(group, tables)

    def _set_codes(self, group: int, tables: list[Float[Tensor, "K C"]]) -> None:
        """Put a group's codes there, and their moving averages with them."""
        for stage, table in zip(self.codebook.rvqs[group].layers, tables, strict=True):
            book = stage._codebook
            book.embed.copy_(table)
            book.embed_avg.copy_(table)
            book.cluster_size.fill_(1)

    def nearest(self, latents: Float[Tensor, "B k C"]) -> Int[Tensor, "B m"]:
        """Each stage's nearest code to what was left; no codebook moves, in training mode either."""
        mode = self.training
        self.eval()
        codes = self.forward(latents).codes
        self.train(mode)
        return codes

    def look_up(self, codes: Int[Tensor, "B m"]) -> Float[Tensor, "B k C"]:
        """The sums of each slot's codes."""
        staged = codes.reshape(len(codes), -1, self.codes_per_slot)
        tables: Tensor = self.codebook.codebooks  # codebooks, stages, K, C
        books = torch.arange(staged.shape[1], device=codes.device) % self._num_codebooks
        stages = torch.arange(self.codes_per_slot, device=codes.device)
        return tables[books[:, None], stages, staged].sum(-2)


@dataclass(frozen=True, kw_only=True)
class ResidualQuantizedConfig(CodecConfig):
    """Settings of `latent_rvq`.

    Args:
        codebook_size: K, codes of a stage; a message costs k * stages * log2 K bits.
        stages: codes that stand for one slot, each for what those before it left over.
        shared_codebook: one codebook a stage for all slots, instead of one a stage and slot.
    """

    codebook_size: int = 8
    stages: int = 2
    shared_codebook: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("codebook_size", self.codebook_size, 2, 1 << 16)
        check_range("stages", self.stages, 1, 16)


@register("latent_rvq")
class ResidualQuantizedChannel(QuantizedChannel):
    """k slots of some codes each, of learned codebooks, slot by slot and coarse to fine."""

    Config = ResidualQuantizedConfig
    modality: ClassVar[str] = "codes"
    bits_formula: ClassVar[str] = "k q log2 K"

    def __init__(self, config: ResidualQuantizedConfig, interface: ModelInterface) -> None:
        width = config.latent_width or interface.embedding_width
        num_codebooks = 1 if config.shared_codebook else config.k
        quantizer = ResidualQuantizer(width, config.codebook_size, config.stages, num_codebooks)
        super().__init__(config, interface, width, quantizer)
