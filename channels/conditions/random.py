"""`random`: a message drawn by chance from the channel's own space."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Text

from parley.channels.base import Message
from parley.channels.conditions.base import Look, OwnMessage, register


@register("random")
class Random(OwnMessage):
    """A message of the space drawn by chance, as long or as loud as the one that was sent."""

    order = 2
    delivers = "a message drawn at random"
    expectation = "at_chance"
    look = Look("^", 6.6)

    def deliver(self, message: Message, space: Any, rng: np.random.Generator, sample: Any = ()) -> Message:
        """Another message in the place of the one that was sent."""
        return random_message(space, message, rng)


def random_message(space: Any, message: Message, rng: np.random.Generator) -> Message:
    """A message of the space drawn by chance, as long as the given one.

    Text: as many characters, uniform over the charset. Vectors: noise inside the box whose norm
    is the given vector's, slot by slot. Anything else: uniform over the space.
    """
    if isinstance(space, Text):
        letters = np.array(space.character_list)
        return "".join(rng.choice(letters, size=len(message)))
    if isinstance(space, Box):
        noise = rng.standard_normal(np.shape(message))
        return _with_norms(noise, np.linalg.norm(message, axis=-1, keepdims=True), space)
    space.seed(int(rng.integers(1 << 31)))
    return space.sample()


def _with_norms(noise: np.ndarray, norms: np.ndarray, box: Box) -> np.ndarray:
    """Scale noise (k, C) so that after clipping into the box its rows have these norms (k, 1).

    Scaling before clipping would lose norm wherever the box cuts, and so make `random` weaker than
    real messages, which fill their box; the scale is therefore found by bisection.
    """
    low, high = np.zeros_like(norms), np.full_like(norms, 1e9)
    for _ in range(100):
        middle = (low + high) / 2
        short = np.linalg.norm(np.clip(noise * middle, box.low, box.high), axis=-1, keepdims=True) < norms
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    vectors: np.ndarray = np.clip(noise * low, box.low, box.high).astype(np.float32)
    return vectors
