"""The referential game: N confusable candidates, one of them the target, which the sender alone sees.

The candidates are laid out first, in exchangeable order; then the target is drawn uniformly
among them, independently of everything the receiver sees. So every policy that gets no
message succeeds with probability exactly 1/N.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import MultiDiscrete, Space
from numpy.typing import NDArray

from parley.envs.game import EpisodeConfig, register_game
from parley.envs.world import AnyWorld, Referents

MOST_COPIES = 10_240
"""Copies of a base that are drawn for one episode; candidates that are missing then are drawn by weight."""


class ReferentialEpisode(NamedTuple):
    """Candidates (N, A) and the target's position, 0 to N - 1."""

    candidates: Referents
    target: int

    @property
    def receiver_view(self) -> Referents:
        """The candidates, (N, A)."""
        return self.candidates

    @property
    def sender_view(self) -> Referents:
        """The target's value indices, (A,)."""
        referent: Referents = self.candidates[self.target]
        return referent


@register_game("referential")
class ReferentialGame:
    """Draws episodes of one world; the generator that is passed in decides which.

    A base referent is uniform in the split. The candidates are what a copy of it becomes when each of its
    attributes is drawn anew with some probability: copy after copy, without what is not in the split and
    without repeats, until there are N. The base itself is a candidate only if a copy comes out as it. Where
    nearly every copy is a repeat or outside the split, the rest is drawn from the same law at once.

    Args:
        world: what the candidates are.
        config: how they are drawn.

    Raises:
        ValueError: if the split has fewer referents than an episode has candidates.
    """

    def __init__(self, world: AnyWorld, config: EpisodeConfig) -> None:
        self.world, self.config, self.num_choices = world, config, config.num_candidates
        self.sender_space: Space[Any] = MultiDiscrete(world.num_values)
        self.receiver_space: Space[Any] = MultiDiscrete(np.tile(world.num_values, (self.num_choices, 1)))
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

    @property
    def chance(self) -> float:
        """Success of a receiver without a message, whatever it does: 1/N."""
        return 1 / self.num_choices

    def draw(self, rng: np.random.Generator) -> ReferentialEpisode:
        """One episode."""
        base = self._referents[rng.integers(len(self._referents))]
        rows = self._completed({}, base, 8, rng) if self.world.complete else self._weighted(base, rng)
        rng.shuffle(rows)  # acceptance favours likely variants first: undo the order
        target = int(rng.integers(self.config.num_candidates))
        return ReferentialEpisode(self._referents[rows], target)

    def draw_many(self, size: int, rng: np.random.Generator) -> list[ReferentialEpisode]:
        """So many episodes of the same law, each at a fraction of the cost; not those of `draw`."""
        if size == 1 or not self.world.complete:
            return [self.draw(rng) for _ in range(size)]
        count = self.config.num_candidates
        bases = self._referents[rng.integers(len(self._referents), size=size)]
        shape = (size, 4 * count, bases.shape[1])
        chosen = [dict.fromkeys(row) for row in self._variants(bases[:, None], shape, rng).tolist()]
        for found in chosen:
            found.pop(-1, None)
        rows = np.array([self._completed(*each, 4, rng) for each in zip(chosen, bases, strict=True)])
        laid_out = self._referents[rng.permuted(rows, axis=1)]
        return list(map(ReferentialEpisode, laid_out, rng.integers(count, size=size).tolist()))

    def check(self, episodes: Sequence[ReferentialEpisode]) -> list[ReferentialEpisode]:
        """Copies of episodes that this game could have drawn.

        Raises:
            ValueError: if one could not be: wrong shape, values, split, repeated candidates or target.
        """
        for episode in episodes:
            self._check_shape(np.asarray(episode.candidates))
        candidates = np.array([episode.candidates for episode in episodes])
        inside = (candidates >= 0) & (candidates < self.world.num_values)
        _refuse(candidates, ~inside.all((1, 2)), f"be in [0, {self.world.num_values})")
        rows = self._row[self.world.index(candidates)]
        _refuse(candidates, (rows < 0).any(axis=1), f"be in the {self.config.split} split", rows < 0)
        _refuse(candidates, (np.diff(np.sort(rows, axis=1)) == 0).any(axis=1), "be distinct")
        targets = [int(episode.target) for episode in episodes]
        for target in targets:
            if not 0 <= target < self.num_choices:
                raise ValueError(f"target must be in [0, {self.num_choices}), got {target}")
        return list(map(ReferentialEpisode, self._referents[rows], targets))

    def _check_shape(self, candidates: NDArray[np.int64]) -> None:
        shape = (self.num_choices, len(self.world.num_values))
        if candidates.shape != shape or candidates.dtype.kind not in "iu":
            raise ValueError(
                f"candidates must be integers of shape {shape}, got {candidates.dtype} of {candidates.shape}"
            )

    def succeeds(self, episode: ReferentialEpisode, choice: int) -> bool:
        """Whether the choice is the target."""
        return choice == episode.target

    def retargeted(self, episode: ReferentialEpisode, choice: int) -> ReferentialEpisode:
        """The same candidates with another target: the message about it is what `swap` delivers."""
        return episode._replace(target=choice)

    def reordered(self, episode: ReferentialEpisode, order: NDArray[np.int64]) -> ReferentialEpisode:
        """The same episode with its candidates in another order, a permutation (N,) of their places."""
        return ReferentialEpisode(episode.candidates[order], int(np.flatnonzero(order == episode.target)[0]))

    def _completed(
        self, chosen: dict[int, None], base: Referents, copies: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """(N,) rows of distinct variants of the base (A,), all in the split, in the order of their drawing.

        Copies are independent of each other, so after any number of them the next new row is drawn in
        proportion to the weights of those that are not chosen yet: `_weighted` goes on with the same law.

        Args:
            chosen: rows that were drawn before; added to.
            base: what is copied.
            copies: how many are drawn at once for each candidate.
            rng: draws them.
        """
        count = self.config.num_candidates
        shape = (copies * count, len(base))
        drawn = 0
        while len(chosen) < count and drawn < MOST_COPIES:
            chosen |= dict.fromkeys(self._variants(base, shape, rng).tolist())
            chosen.pop(-1, None)
            drawn += shape[0]
        if len(chosen) < count:
            chosen |= dict.fromkeys(self._weighted(base, rng, list(chosen)).tolist())
        return np.array(list(chosen)[:count])

    def _variants(
        self, base: Referents, shape: tuple[int, ...], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Rows of copies whose attributes were drawn anew with some probability; -1 outside the split."""
        resampled = rng.random(shape) < self.config.resample_probability
        variants = np.where(resampled, rng.integers(self.world.num_values, size=shape), base)
        rows: NDArray[np.int64] = self._row[self.world.index(variants)]
        return rows

    def _weighted(
        self, base: Referents, rng: np.random.Generator, chosen: Sequence[int] = ()
    ) -> NDArray[np.int64]:
        """Rows of distinct variants of the base (A,) beside those chosen, N in all, drawn from their weights.

        The largest of the log-weights, each with Gumbel noise of its own, are draws in proportion to the
        weights without repeats (P. S. Efraimidis and P. G. Spirakis, Information Processing Letters 97
        (2006) 181-185).

        Raises:
            ValueError: if the world's weights are none, or leave fewer than N candidates.
        """
        weigh = partial(AnyWorld.log_weights, self.world) if self.world.complete else self.world.log_weights
        weights = np.array(weigh(base, self._referents, self.config.resample_probability))
        count = self.config.num_candidates
        if not (weights < np.inf).all():
            raise ValueError(
                f"log_weights of world {self.world.name!r} must be below infinity, got {weights.max()}"
            )
        if (possible := int((weights > -np.inf).sum())) < count:
            raise ValueError(
                f"num_candidates must be at most {possible}, the referents that world {self.world.name!r} "
                f"can draw next to {self.world.describe(base)!r}, got {count}"
            )
        weights[list(chosen)] = -np.inf
        keys = weights + rng.gumbel(size=len(weights))
        return np.argsort(-keys)[: count - len(chosen)]


def _refuse(candidates: Referents, wrong: Any, wanted: str, which: NDArray[np.bool_] | None = None) -> None:
    """Refuse the first episode (N, A) of many that is wrong, showing those of its candidates that are."""
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        shown = candidates[first] if which is None else candidates[first][which[first]]
        raise ValueError(f"candidates must {wanted}, got {shown.tolist()}")
