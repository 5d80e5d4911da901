"""One episode of the referential game: N confusable candidates, one of them the target.

The candidates are laid out first, in exchangeable order; then the target is drawn uniformly
among them, independently of everything the receiver sees. So every policy that gets no
message succeeds with probability exactly 1/N.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from parley.envs.world import AnyWorld, Referents, Split

MOST_AT_ONCE = 64


class Episode(NamedTuple):
    """Candidates (N, A) and the target's position, 0 to N - 1."""

    candidates: Referents
    target: int

    @property
    def referent(self) -> Referents:
        """The target's value indices, (A,)."""
        referent: Referents = self.candidates[self.target]
        return referent


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """How candidates are drawn.

    Args:
        num_candidates: N, at least 2.
        resample_probability: chance in (0, 1] that an attribute of the common base referent is
            drawn anew; the lower, the more confusable the candidates.
        split: the split that every candidate belongs to.
    """

    num_candidates: int = 5
    resample_probability: float = 0.5
    split: Split = "train"

    def __post_init__(self) -> None:
        if self.num_candidates < 2:
            raise ValueError(f"num_candidates must be at least 2, got {self.num_candidates}")
        if not 0 < self.resample_probability <= 1:
            raise ValueError(f"resample_probability must be in (0, 1], got {self.resample_probability}")


class EpisodeSampler:
    """Draws episodes of one world; the generator that is passed in decides which.

    A base referent is uniform in the split. The candidates are what a copy of it becomes when each of its
    attributes is drawn anew with some probability: copy after copy, without what is not in the split and
    without repeats, until there are N. The base itself is a candidate only if a copy comes out as it.

    Args:
        world: what the candidates are.
        config: how they are drawn.

    Raises:
        ValueError: if the split has fewer referents than an episode has candidates.
    """

    def __init__(self, world: AnyWorld, config: EpisodeConfig) -> None:
        self.world, self.config = world, config
        self._referents = world.referents(config.split)
        if len(self._referents) < config.num_candidates:
            raise ValueError(
                f"num_candidates must be at most {len(self._referents)}, the number of referents "
                f"in the {config.split} split, got {config.num_candidates}"
            )
        # (world.size + 1,) each referent's row in self._referents, -1 outside the split; the last entry is
        # for index -1, which is no referent
        self._row = np.full(world.size + 1, -1, dtype=np.int64)
        self._row[world.index(self._referents)] = np.arange(len(self._referents))

    def draw(self, rng: np.random.Generator) -> Episode:
        """One episode."""
        base = self._referents[rng.integers(len(self._referents))]
        rows = self._resampled(base, rng) if self.world.complete else self._weighted(base, rng)
        rng.shuffle(rows)  # acceptance favours likely variants first: undo the order
        target = int(rng.integers(self.config.num_candidates))
        return Episode(self._referents[rows], target)

    def draw_many(self, size: int, rng: np.random.Generator) -> list[Episode]:
        """So many episodes of the same law, each at a fraction of the cost; not those of `draw`."""
        if size == 1 or not self.world.complete:
            return [self.draw(rng) for _ in range(size)]
        count = self.config.num_candidates
        bases = self._referents[rng.integers(len(self._referents), size=size)]
        shape = (size, 4 * count, bases.shape[1])
        chosen = [dict.fromkeys(row) for row in self._variants(bases[:, None], shape, rng).tolist()]
        for base, found in zip(bases, chosen, strict=True):
            found.pop(-1, None)
            while len(found) < count:
                found |= dict.fromkeys(self._variants(base, shape[1:], rng).tolist())
                found.pop(-1, None)
        rows = np.array([list(found)[:count] for found in chosen])
        laid_out = self._referents[rng.permuted(rows, axis=1)]
        return list(map(Episode, laid_out, rng.integers(count, size=size).tolist()))

    def check(self, episode: Episode) -> Episode:
        """A copy of an episode that this sampler could have drawn.

        Raises:
            ValueError: if it could not: wrong shape, values, split, repeated candidates or target.
        """
        candidates, num_values = np.array(episode.candidates), self.world.num_values
        shape = (self.config.num_candidates, len(num_values))
        if candidates.shape != shape or candidates.dtype.kind not in "iu":
            raise ValueError(
                f"candidates must be integers of shape {shape}, got {candidates.dtype} of {candidates.shape}"
            )
        if candidates.min() < 0 or (candidates >= num_values).any():
            raise ValueError(f"candidates must be in [0, {num_values}), got {candidates.tolist()}")
        rows = self._row[self.world.index(candidates)]
        if rows.min() < 0:
            raise ValueError(
                f"candidates must be in the {self.config.split} split, got {candidates[rows < 0].tolist()}"
            )
        if len(np.unique(rows)) < len(rows):
            raise ValueError(f"candidates must be distinct, got {candidates.tolist()}")
        if not 0 <= episode.target < len(rows):
            raise ValueError(f"target must be in [0, {len(rows)}), got {episode.target}")
        return Episode(self._referents[rows], int(episode.target))

    def _resampled(self, base: Referents, rng: np.random.Generator) -> NDArray[np.int64]:
        """(N,) rows of distinct variants of the base (A,), all in the split, by drawing until there are N."""
        shape = (8 * self.config.num_candidates, len(base))
        chosen: list[int] = []
        while len(chosen) < self.config.num_candidates:
            rows = self._variants(base, shape, rng)
            chosen = list(dict.fromkeys(chosen + rows[rows >= 0].tolist()))
        return np.array(chosen[: self.config.num_candidates])

    def _variants(
        self, base: Referents, shape: tuple[int, ...], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Rows of copies whose attributes were drawn anew with some probability; -1 outside the split."""
        resampled = rng.random(shape) < self.config.resample_probability
        variants = np.where(resampled, rng.integers(self.world.num_values, size=shape), base)
        rows: NDArray[np.int64] = self._row[self.world.index(variants)]
        return rows

    def _weighted(self, base: Referents, rng: np.random.Generator) -> NDArray[np.int64]:
        """(N,) rows of distinct variants of the base (A,), drawn in the same way from their weights.

        Where few combinations are referents, nearly every copy would be thrown away. The N largest of the
        log-weights, each with Gumbel noise of its own, are N draws in proportion to the weights without
        repeats (P. S. Efraimidis and P. G. Spirakis, Information Processing Letters 97 (2006) 181-185).
        """
        weights = self.world.log_weights(base, self._referents, self.config.resample_probability)
        keys = weights + rng.gumbel(size=len(weights))
        return np.argsort(-keys)[: self.config.num_candidates]


class EpisodeStream:
    """One episode after another, drawn in ever larger blocks, so that each of many costs less.

    Args:
        sampler: draws them.
        rng: which episodes come.
    """

    def __init__(self, sampler: EpisodeSampler, rng: np.random.Generator) -> None:
        self._sampler, self._rng = sampler, rng
        self._drawn: list[Episode] = []
        self._next_block = 1

    def draw(self) -> Episode:
        """The next one."""
        if not self._drawn:
            self._drawn = self._sampler.draw_many(self._next_block, self._rng)
            self._next_block = min(2 * self._next_block, MOST_AT_ONCE)
        return self._drawn.pop()
