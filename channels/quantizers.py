"""Quantisers, thin rooms around `vector-quantize-pytorch`; always in float32.

Beside the names of channels/base.py: K codes of a codebook, m codes of a message (k slots times the codes
of a slot).
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn
from torch.nn import functional
from vector_quantize_pytorch import FSQ, VectorQuantize


class Quantized(NamedTuple):
    """The nearest codes' vectors with gradient, the codes, the quantiser's own loss."""

    vectors: Float[Tensor, "B k C"]
    codes: Int[Tensor, "B m"]
    loss: Float[Tensor, ""]


class Quantizer(nn.Module, ABC):
    """Latents to codes and back: what a discrete channel asks for.

    Attributes:
        codebook_size: K, values that a code can take.
        codes_per_slot: how many codes stand for one slot; those of a slot are neighbours in a message.
    """

    codebook_size: int
    codes_per_slot: int = 1

    @abstractmethod
    def forward(self, latents: Float[Tensor, "B k C"]) -> Quantized:
        """Quantise; in training mode a codebook may move towards the latents."""

    @abstractmethod
    def bound(self, latents: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """Latents brought to where the codes live, without quantising them."""

    @abstractmethod
    def place_codes(self, latents: Float[Tensor, "n k C"]) -> None:
        """Place the codes by n utterances' latents, where they can be placed."""

    @abstractmethod
    def nearest(self, latents: Float[Tensor, "B k C"]) -> Int[Tensor, "B m"]:
        """The nearest codes; nothing moves, in training mode either."""

    @abstractmethod
    def look_up(self, codes: Int[Tensor, "B m"]) -> Float[Tensor, "B k C"]:
        """The vectors of codes."""


def k_means(points: np.ndarray, num_codes: int) -> np.ndarray:
    """Where K codes (K, C) belong among points (n, C): on them, if there are too few to share codes.

    Begun far apart (k-means++, Arthur and Vassilvitskii, 2007), by a seed from torch's generator.
    """
    seed = int(torch.randint(1 << 31, ()))
    distinct = np.unique(points, axis=0)
    if len(distinct) <= num_codes:
        spare = np.random.default_rng(seed).standard_normal((num_codes, points.shape[1]))
        spare[: len(distinct)] = distinct
        return spare
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a code that lost its points stays where it was
        means, _ = kmeans2(points, num_codes, iter=20, minit="++", rng=seed)
    table: np.ndarray = means
    return table


class VectorQuantizer(Quantizer):
    """A codebook on the unit sphere: one for all slots, or one a slot.

    Cosine similarity, k-means placement, moving-average updates, revival of dead codes (van den
    Oord et al., 2017; Yu et al., 2022) and the rotation trick (Fifty et al., 2024). Until
    `place_codes` the codes stand at random: the first message must not place them.

    Args:
        width: C, of the vectors.
        codebook_size: K codes.
        num_codebooks: 1, or k for slots with codebooks of their own.
        decay: of the codebook's moving average.
        commitment: weight of the commitment loss.
        dead_below: a code used less often than this (moving average per batch) is placed anew.
    """

    def __init__(
        self,
        width: int,
        codebook_size: int,
        num_codebooks: int = 1,
        decay: float = 0.9,
        commitment: float = 0.25,
        dead_below: float = 0.5,
    ) -> None:
        super().__init__()
        self.codebook_size, self._apart = codebook_size, num_codebooks > 1
        self.codebook = VectorQuantize(
            dim=width * num_codebooks,
            codebook_dim=width,
            codebook_size=codebook_size,
            heads=num_codebooks,
            separate_codebook_per_head=self._apart,
            use_cosine_sim=True,
            kmeans_init=True,
            kmeans_iters=20,
            decay=decay,
            commitment_weight=commitment,
            threshold_ema_dead_code=dead_below,
            rotation_trick=True,
        )
        with torch.no_grad():
            self._set_codes(self.bound(torch.randn(num_codebooks, codebook_size, width)))

    def forward(self, latents: Float[Tensor, "B k C"]) -> Quantized:
        """Quantise; in training mode the codebook moves towards the latents."""
        vectors, codes, loss = self.codebook(self._flat(latents))
        return Quantized(
            vectors.reshape(latents.shape), codes.reshape(latents.shape[:2]), torch.as_tensor(loss).sum()
        )

    def bound(self, latents: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """Latents scaled to length 1, where the codebook lives."""
        return functional.normalize(latents, dim=-1)

    def place_codes(self, latents: Float[Tensor, "n k C"]) -> None:
        """Place the codes by k-means over n utterances' latents, begun far apart (k-means++).

        The library's own k-means begins at latents drawn by chance, which misses one in eight of
        30 equal clusters even with 64 codes, and never finds them again.
        """
        points = latents.detach().double().cpu()
        groups = points.unbind(1) if self._apart else [points.flatten(0, 1)]
        tables = [torch.from_numpy(k_means(group.numpy(), self.codebook_size)) for group in groups]
        self._set_codes(self.bound(torch.stack(tables)).to(latents))

    def _set_codes(self, codes: Float[Tensor, "H K C"]) -> None:
        """Put the codes there, and their moving averages with them; the library must place none itself."""
        book = self.codebook._codebook
        book.embed.copy_(codes)
        book.embed_avg.copy_(codes)
        book.cluster_size.fill_(1)
        book.initted.fill_(True)

    def nearest(self, latents: Float[Tensor, "B k C"]) -> Int[Tensor, "B k"]:
        """The nearest codes; the codebook stays as it is, in training mode too."""
        mode = self.training
        self.eval()
        codes = self.forward(latents).codes
        self.train(mode)
        return codes

    def look_up(self, codes: Int[Tensor, "B k"]) -> Float[Tensor, "B k C"]:
        """The vectors of codes."""
        table: Tensor = self.codebook.codebook
        return (
            table[torch.arange(codes.shape[1], device=codes.device), codes] if self._apart else table[codes]
        )

    def _flat(self, latents: Float[Tensor, "B k C"]) -> Tensor:
        """As the library wants it: slots as a sequence, or as the heads of one position."""
        return latents.float().flatten(1)[:, None] if self._apart else latents.float()


class ScalarQuantizer(Quantizer):
    """A fixed grid: every number of a latent is rounded to one of its levels (FSQ, Mentzer et al., 2023).

    No codebook is learned, none can die, and there is no loss of its own.

    Args:
        levels: how many values each of the C numbers can take; K is their product.
    """

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.grid = FSQ(list(levels), preserve_symmetry=True, bound_hard_clamp=True)  # bound has bent it
        self.codebook_size = int(self.grid.codebook_size)

    def forward(self, latents: Float[Tensor, "B k C"]) -> Quantized:
        """Round, with gradient as if nothing had been rounded."""
        vectors, codes = self.grid(latents.float())
        return Quantized(vectors, codes.long(), latents.new_zeros(()))

    def bound(self, latents: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """Latents squashed into the grid's range, -1 to 1."""
        return torch.tanh(latents)

    def place_codes(self, latents: Float[Tensor, "n k C"]) -> None:
        """A grid stays where it is."""

    def nearest(self, latents: Float[Tensor, "B k C"]) -> Int[Tensor, "B k"]:
        """The nearest codes."""
        return self.forward(latents).codes

    def look_up(self, codes: Int[Tensor, "B k"]) -> Float[Tensor, "B k C"]:
        """The vectors of codes."""
        vectors: Tensor = self.grid.indices_to_codes(codes)
        return vectors
