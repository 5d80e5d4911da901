"""Which episodes a codec is trained on: always fresh ones, or a fixed set of samples over and over."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from parley.envs.referential import ReferentialEpisode, ReferentialGame
from parley.envs.world import Referents


class Batch(NamedTuple):
    """G contexts, and the places of the M candidates that are targets in turn."""

    candidates: Referents  # (G, N, A)
    targets: np.ndarray  # (G, M)

    @property
    def referents(self) -> Referents:
        """The targets' value indices (G * M, A), context by context."""
        named = np.take_along_axis(self.candidates, self.targets[..., None], axis=1)
        referents: Referents = named.reshape(-1, named.shape[-1])
        return referents

    @property
    def scenes(self) -> Referents:
        """The candidates that each message's receiver sees (G * M, N, A), context by context."""
        return np.repeat(self.candidates, self.targets.shape[1], axis=0)


class Episodes:
    """Draws batches of training episodes.

    Args:
        sampler: of the training split.
        per_context: M; an episode's own target comes first.
        fixed: how many samples there are in all, drawn once; 0 draws fresh ones for ever.
        seed: of the fixed samples.
    """

    def __init__(self, sampler: ReferentialGame, per_context: int, fixed: int, seed: int) -> None:
        self.sampler, self.per_context = sampler, per_context
        rng = np.random.default_rng([seed, 1])
        self._fixed = [sampler.draw(rng) for _ in range(fixed)]

    def draw(self, size: int, step: int, rng: np.random.Generator) -> Batch:
        """The batch of a step: fixed samples come in an order that is shuffled anew every epoch."""
        if not self._fixed:
            return self._batch([self.sampler.draw(rng) for _ in range(size)], rng)
        places = np.arange(step * size, (step + 1) * size)
        return self._batch([self._fixed[self._sample(place)] for place in places.tolist()], rng)

    def _sample(self, place: int) -> int:
        epoch, rest = divmod(place, len(self._fixed))
        return int(np.random.default_rng([epoch, len(self._fixed)]).permutation(len(self._fixed))[rest])

    def _batch(self, episodes: list[ReferentialEpisode], rng: np.random.Generator) -> Batch:
        places = []
        for episode in episodes:
            order = rng.permutation(len(episode.candidates))
            places.append([episode.target, *order[order != episode.target]][: self.per_context])
        return Batch(np.stack([episode.candidates for episode in episodes]), np.array(places))
