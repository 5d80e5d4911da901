"""Messages as elements of a gymnasium space: the empty one, and the one that the sender sent."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Text, Tuple


def empty_message(space: Space[Any]) -> Any:
    """The element of a message space that stands where nothing was said yet.

    Args:
        space: a MultiDiscrete, MultiBinary, Discrete, bounded Box or Text, or a Dict or Tuple of them.

    Returns:
        Zeros clipped into the space; for Text the shortest string, of the first character.

    Raises:
        ValueError: if the space is of another kind, or a Box without bounds.
    """
    if isinstance(space, MultiDiscrete):
        return np.asarray(np.clip(0, space.start, space.start + space.nvec - 1), dtype=space.dtype)
    if isinstance(space, Discrete):
        return space.dtype.type(np.clip(0, space.start, space.start + space.n - 1))
    if isinstance(space, Box) and space.is_bounded():
        return np.asarray(np.clip(0, space.low, space.high), dtype=space.dtype)
    if isinstance(space, Text):
        return space.characters[:1] * space.min_length
    if isinstance(space, MultiBinary):
        return np.zeros(space.shape, dtype=space.dtype)
    if isinstance(space, Dict):
        return {name: empty_message(part) for name, part in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(map(empty_message, space.spaces))
    raise ValueError(
        f"message_space must be a MultiDiscrete, MultiBinary, Discrete, bounded Box or Text, or a Dict or "
        f"Tuple of them, got {space}"
    )


def contains(space: Space[Any], message: Any) -> bool:
    """What the space itself says; of codes and numbers in the space's own type in a third of its time."""
    if isinstance(space, Discrete) and type(message) in (int, np.int64):
        return bool(space.start <= message < space.start + space.n)
    if (
        isinstance(space, MultiDiscrete)
        and isinstance(message, np.ndarray)
        and (message.dtype, message.shape) == (space.dtype, space.shape)
    ):
        return bool(((space.start <= message) & (message <= space.start + (space.nvec - 1))).all())
    return bool(space.contains(message))


def own_copy(space: Space[Any], message: Any) -> Any:
    """The message in the space's own type, apart from whatever buffer or subclass carried it."""
    if isinstance(space, Text):
        return str(message)
    if isinstance(space, Dict):
        return {name: own_copy(part, message[name]) for name, part in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(own_copy(part, one) for part, one in zip(space.spaces, message, strict=True))
    assert space.dtype is not None
    if isinstance(space, Discrete):
        return space.dtype.type(message)
    return np.array(message, dtype=space.dtype)
