"""Whether a model's tokenizer tells a world's referents apart: some fold case, or know few characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from parley.agents.language_model import FrozenLM
from parley.envs.world import AnyWorld


def check_told_apart(world: AnyWorld, models: Iterable[FrozenLM]) -> None:
    """Refuse a world of which two referents are the same tokens to a model: no message can tell them apart.

    Where every combination of values is a referent, it is the values of each attribute that must differ.

    Raises:
        ValueError: naming both, and the model.
    """
    for lm in dict.fromkeys(models):
        for what, texts in _texts_of(world):
            if (alike := _first_alike(lm, texts)) is not None:
                raise ValueError(
                    f"{what} of world {world.name!r} must differ in their tokens, got {alike[0]!a} and "
                    f"{alike[1]!a}, which are the same to model {lm.name!r}"
                )


def _texts_of(world: AnyWorld) -> list[tuple[str, Sequence[str]]]:
    """What must differ, and what it is called."""
    if world.complete and type(world).describe is AnyWorld.describe:
        return [(f"values of {each.name!r}", each.values) for each in world.attributes]
    return [("referents", [world.describe(referent) for referent in world.at(np.arange(world.size))])]


def _first_alike(lm: FrozenLM, texts: Sequence[str]) -> tuple[str, str] | None:
    known: dict[tuple[int, ...], str] = {}
    for text in texts:
        tokens = tuple(lm.encode_plain(f" {text}"))
        if tokens in known:
            return known[tokens], text
        known[tokens] = text
    return None
