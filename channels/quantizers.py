"""The vector quantiser, a thin room around `vector-quantize-pytorch`; always in float32."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from vector_quantize_pytorch import VectorQuantize


class Quantized(NamedTuple):
    """The nearest codes' vectors (gradient passes by rotation), the codes, the commitment loss."""

    vectors: Float[Tensor, "B k C"]
    codes: Int[Tensor, "B k"]
    loss: Float[Tensor, ""]


class VectorQuantizer(nn.Module):
    """One codebook on the unit sphere, shared by all slots.

    Cosine similarity, k-means placement, moving-average updates, revival of dead codes (van den
    Oord et al., 2017; Yu et al., 2022) and the rotation trick (Fifty et al., 2024). Until
    `place_codes` the codes stand at random: the first message must not place them.

    Args:
        width: C, of the vectors.
        codebook_size: K codes.
        decay: of the codebook's moving average.
        commitment: weight of the commitment loss.
        dead_below: a code used less often than this (moving average per batch) is placed anew.
    """

    def __init__(
        self,
        width: int,
        codebook_size: int,
        decay: float = 0.9,
        commitment: float = 0.25,
        dead_below: float = 0.5,
    ) -> None:
        super().__init__()
        self.codebook = VectorQuantize(
            dim=width,
            codebook_size=codebook_size,
            use_cosine_sim=True,
            kmeans_init=True,
            kmeans_iters=20,
            decay=decay,
            commitment_weight=commitment,
            threshold_ema_dead_code=dead_below,
            rotation_trick=True,
        )
        with torch.no_grad():
            self.codebook.codebook = unit_sphere(torch.randn(codebook_size, width))
            self._placed.fill_(True)

    @property
    def _placed(self) -> Tensor:
        """Whether the library takes its codebook for placed; if not, its next batch places it."""
        placed: Tensor = self.codebook._codebook.initted
        return placed

    def forward(self, latents: Float[Tensor, "B k C"]) -> Quantized:
        """Quantise; in training mode the codebook moves towards the latents."""
        vectors, codes, loss = self.codebook(latents.float())
        return Quantized(vectors, codes, loss.sum())

    def place_codes(self, latents: Float[Tensor, "n k C"]) -> None:
        """Place the codebook by k-means over n utterances' latents."""
        mode = self.training
        self._placed.fill_(False)
        self.train()
        self.codebook(latents.float())
        self.train(mode)

    def nearest(self, latents: Float[Tensor, "B k C"]) -> Int[Tensor, "B k"]:
        """The nearest codes; the codebook stays as it is, in training mode too."""
        mode = self.training
        self.eval()
        codes: Tensor
        _, codes, _ = self.codebook(latents.float())
        self.train(mode)
        return codes

    def look_up(self, codes: Int[Tensor, "B k"]) -> Float[Tensor, "B k C"]:
        """The vectors of codes."""
        vectors: Tensor = self.codebook.get_output_from_indices(codes)
        return vectors


def unit_sphere(latents: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
    """Latents scaled to length 1, where the codebook lives."""
    return functional.normalize(latents, dim=-1)
