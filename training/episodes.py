"""Which episodes a codec is trained on: always fresh ones, or a fixed set of samples over and over."""

from __future__ import annotations

from typing import Any

import numpy as np

from parley.envs.game import Game


class Episodes:
    """Draws batches of training episodes: G contexts, each with M of its choices as the target in turn.

    Args:
        game: about the training split.
        per_context: M; an episode's own target comes first.
        fixed: how many samples there are in all, drawn once; 0 draws fresh ones for ever.
        seed: of the fixed samples.

    Raises:
        ValueError: if M is larger than the game's number of choices.
    """

    def __init__(self, game: Game, per_context: int, fixed: int, seed: int) -> None:
        if per_context > game.num_choices:
            raise ValueError(
                f"messages_per_context must be at most {game.num_choices}, the choices of the game, "
                f"got {per_context}"
            )
        self.game, self.per_context = game, per_context
        rng = np.random.default_rng([seed, 1])
        self._fixed = [game.draw(rng) for _ in range(fixed)]

    def draw(self, size: int, step: int, rng: np.random.Generator) -> list[Any]:
        """The G * M episodes of a step, context by context; fixed samples are shuffled anew every epoch."""
        if self._fixed:
            places = range(step * size, (step + 1) * size)
            drawn = [self._fixed[self._sample(place)] for place in places]
        else:
            drawn = [self.game.draw(rng) for _ in range(size)]
        return [turn for episode in drawn for turn in self._turns(episode, rng)]

    def _sample(self, place: int) -> int:
        epoch, rest = divmod(place, len(self._fixed))
        return int(np.random.default_rng([epoch, len(self._fixed)]).permutation(len(self._fixed))[rest])

    def _turns(self, episode: Any, rng: np.random.Generator) -> list[Any]:
        order = rng.permutation(self.game.num_choices)
        targets = [episode.target, *order[order != episode.target].tolist()]
        return [self.game.retargeted(episode, target) for target in targets[: self.per_context]]
