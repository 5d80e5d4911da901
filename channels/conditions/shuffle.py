"""`shuffle`: the message of another episode, plain."""

import numpy as np

from parley.channels.conditions.base import Condition, Draws, Look, Told, register


@register("shuffle")
class Shuffle(Condition):
    """The message about the target of another episode, by a derangement over the run."""

    order = 4
    delivers = "another episode's message (plain)"
    expectation = "at_chance"
    shown_in_gallery = True
    look = Look("v", 6.6)

    def told(self, row: int, draws: Draws) -> Told:
        """The target of the partner."""
        partner = int(draws.partners[row])
        return Told(partner, int(draws.targets[partner]))


def derangement(size: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation (size,) that leaves nothing in its place: one random cycle (Sattolo, 1986).

    Raises:
        ValueError: if size is below 2, where none exists.
    """
    if size < 2:
        raise ValueError(f"a derangement needs at least 2 episodes, got {size}")
    order = rng.permutation(size)
    partner = np.empty(size, dtype=np.int64)
    partner[order] = np.roll(order, 1)
    return partner
