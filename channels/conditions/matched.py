"""`matched`: a message drawn from the distribution of the real ones, so that it looks like one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from parley.channels.canonical import Message
from parley.channels.conditions.base import Look, PartnersMessage, register
from parley.channels.conditions.random import random_message


@register("matched")
class Matched(PartnersMessage):
    """A message put together of other episodes' messages: it looks real, and means nothing."""

    order = 3
    delivers = "a message drawn as the real ones are distributed"
    expectation = "at_chance"
    needs_sample = True
    look = Look("<", 6.4)

    def deliver(
        self, message: Message, space: Space[Any], rng: np.random.Generator, sample: Sequence[Message] = ()
    ) -> Message:
        """A message of the sample's distribution.

        Raises:
            ValueError: if the sample is empty.
        """
        if not sample:
            raise ValueError("sample must hold at least 1 message of another episode, got 0")
        return matched_message(space, rng, sample)


def matched_message(space: Space[Any], rng: np.random.Generator, sample: Sequence[Message]) -> Message:
    """A message of a plain space that is distributed as the sample's.

    Codes: each that of another message. Vectors: normal, with the sample's mean and
    covariance, clipped into the box. Text: as many words as another message has, each that of another message
    in the same place. Parts: each by itself.
    """
    match space:
        case Discrete():
            return sample[int(rng.integers(len(sample)))]
        case Box() if np.issubdtype(space.dtype, np.floating):
            return _gaussian(space, rng, np.stack(sample))
        case MultiDiscrete() | MultiBinary() | Box():
            chosen = rng.integers(len(sample), size=(1, *space.shape))
            return np.asarray(np.take_along_axis(np.stack(sample), chosen, axis=0)[0])
        case Text():
            return _words(space, rng, [text.split(" ") for text in sample])
        case Dict():
            parts = sorted(space.spaces.items())
            return {key: matched_message(part, rng, [one[key] for one in sample]) for key, part in parts}
        case Tuple():
            places = zip(space.spaces, zip(*sample, strict=True), strict=True)
            return tuple(matched_message(part, rng, list(found)) for part, found in places)
    raise ValueError(f"space must be a plain one, got {type(space).__name__}")


def _gaussian(box: Box, rng: np.random.Generator, vectors: np.ndarray) -> np.ndarray:
    """A draw of the normal distribution with the mean and the covariance of m vectors.

    It is the mean and the sum of w_i (x_i - mean) / sqrt(m - 1), where the w are standard normal.
    """
    count, largest = len(vectors), np.abs(vectors).max(initial=0) or 1
    weights = rng.standard_normal(count)
    weights = 1 / count + (weights - weights.mean()) / max(count - 1, 1) ** 0.5
    with np.errstate(over="ignore"):  # what is infinite is clipped
        drawn = np.tensordot(weights, vectors / largest, 1) * largest
        return np.asarray(np.clip(drawn, box.low, box.high), box.dtype)


def _words(space: Text, rng: np.random.Generator, sample: Sequence[Sequence[str]]) -> str:
    """Words of others; cut or filled with random characters where the space asks for other lengths."""
    length = len(sample[int(rng.integers(len(sample)))])
    words = []
    for place in range(length):
        known = [words[place] for words in sample if len(words) > place]
        words.append(known[int(rng.integers(len(known)))])
    text = " ".join(words)[: space.max_length]
    filling: str = random_message(space, rng, "?" * (space.min_length - len(text)))
    return text + filling
