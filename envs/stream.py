"""Episodes one after another, for an environment that plays one at a time."""

from __future__ import annotations

import numpy as np

from parley.envs.game import Episode, Game

MOST_AT_ONCE = 64


class EpisodeStream:
    """One episode after another, drawn in ever larger blocks, so that each of many costs less.

    Args:
        game: draws them.
        rng: which episodes come.
    """

    def __init__(self, game: Game, rng: np.random.Generator) -> None:
        self._game, self._rng = game, rng
        self._drawn: list[Episode] = []
        self._next_block = 1

    def draw(self) -> Episode:
        """The next one."""
        if not self._drawn:
            self._drawn = self._game.draw_many(self._next_block, self._rng)
            self._next_block = min(2 * self._next_block, MOST_AT_ONCE)
        return self._drawn.pop()
