"""`random`: a message drawn by chance from the channel's own space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from parley.channels.canonical import Message
from parley.channels.conditions.base import Look, PartnersMessage, register


@register("random")
class Random(PartnersMessage):
    """A message of the space drawn by chance, as long or as loud as another episode's.

    Not as the episode's own: a norm or a length can name a target.
    """

    order = 2
    delivers = "a message drawn at random"
    expectation = "at_chance"
    look = Look("^", 6.6)

    def deliver(
        self, message: Message, space: Space[Any], rng: np.random.Generator, sample: Sequence[Message] = ()
    ) -> Message:
        """Another message in the place of the one that was sent."""
        return random_message(space, rng, message)


def random_message(space: Space[Any], rng: np.random.Generator, like: Message = None) -> Message:
    """A message of a plain space drawn by chance, never by the space's own `sample`.

    Text: uniform over the charset, as many characters as `like` has. Vectors: noise inside the box whose norm
    is that of `like`, slot by slot. Codes: uniform. Without `like`, lengths and vectors are uniform too.
    """
    match space:
        case Text():
            letters, shortest, longest = sorted(space.character_set), space.min_length, space.max_length
            size = int(rng.integers(shortest, longest + 1)) if like is None else len(like)
            return "".join(letters[place] for place in rng.integers(len(letters), size=size))
        case Dict():
            return {
                key: random_message(part, rng, None if like is None else like[key])
                for key, part in sorted(space.spaces.items())
            }
        case Tuple():
            likes = [None] * len(space.spaces) if like is None else like
            return tuple(
                random_message(part, rng, one) for part, one in zip(space.spaces, likes, strict=True)
            )
        case Box() if np.issubdtype(space.dtype, np.floating):
            return _uniform(space, rng) if like is None else _as_loud(space, rng, like)
    return _random_codes(space, rng)


def _random_codes(space: Space[Any], rng: np.random.Generator) -> Message:
    """Uniform whole numbers."""
    match space:
        case Box():
            return np.asarray(rng.integers(space.low, space.high, endpoint=True, dtype=space.dtype.type))
        case MultiBinary():
            return rng.integers(0, 2, size=space.shape, dtype=np.int8)
    # as gymnasium draws them from a seed: what a run with a given seed draws has not changed
    codes = np.random.default_rng(int(rng.integers(1 << 31)))
    match space:
        case Discrete():
            return int(space.start) + int(codes.integers(space.n))
        case MultiDiscrete():
            return space.start + (codes.random(space.shape) * space.nvec).astype(space.dtype)
    raise ValueError(f"space must be a plain one, got {type(space).__name__}")


def _uniform(box: Box, rng: np.random.Generator) -> np.ndarray:
    low, high = box.low.astype(np.float64) / 2, box.high.astype(np.float64) / 2  # a finite difference
    drawn = 2 * (low + (high - low) * rng.random(box.shape))
    return np.asarray(np.clip(drawn, box.low, box.high), box.dtype)


def _as_loud(box: Box, rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    """Noise whose rows have the norms of those of `like`, after clipping into the box.

    Scaling before clipping would lose norm wherever the box cuts, and so make `random` weaker than
    real messages, which fill their box; the scale is therefore found by bisection.
    """
    noise = np.atleast_1d(rng.standard_normal(np.shape(like)))

    @np.errstate(over="ignore")  # an infinite norm is longer than any
    def norm(vectors: np.ndarray) -> np.ndarray:
        return np.linalg.norm(vectors, axis=-1, keepdims=True)  # type: ignore[no-any-return]

    wanted = norm(np.atleast_1d(like).astype(np.float64))
    low, high = np.zeros_like(wanted), np.full_like(wanted, 1e9)
    for _ in range(100):
        middle = (low + high) / 2
        short = norm(np.clip(noise * middle, box.low, box.high)) < wanted
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    vectors: np.ndarray = np.clip(noise * low, box.low, box.high).astype(box.dtype)
    return vectors.reshape(box.shape)
