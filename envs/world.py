"""What there is to talk about: referents made of attributes, and disjoint splits of them.

A world is a small frozen object. `AnyWorld` says what the game asks of one; `World` holds every
combination of its values, `parley.envs.listed_world.ListedWorld` only those that are listed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from parley.envs.unicode_forms import first_repeat

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Referents = NDArray[np.int64]  # (..., A): one value index per attribute


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """One property of a referent, such as colour, with the values it can take."""

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2 or len(set(self.values)) != len(self.values):
            raise ValueError(f"attribute {self.name!r} needs at least 2 distinct values, got {self.values}")


@dataclass(frozen=True, kw_only=True)
class AnyWorld(ABC):
    """What the game asks of a world: numbered referents, divided once into three disjoint splits.

    Args:
        name: identifies the world in records and checkpoints.
        attributes: A attributes; a referent is one value index of each, an int64 array (A,).
        split_fractions: shares of train, validation and test, positive, summing to 1.
        split_seed: seed of the permutation that divides the referents.

    Raises:
        ValueError: if the fractions are off.
    """

    complete: ClassVar[bool]  # whether every combination of values is a referent

    name: str
    attributes: tuple[Attribute, ...]
    split_fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    split_seed: int = 0

    def __post_init__(self) -> None:
        if min(self.split_fractions) <= 0 or abs(sum(self.split_fractions) - 1) > 1e-9:
            raise ValueError(f"split_fractions must be positive and sum to 1, got {self.split_fractions}")

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of referents."""

    @abstractmethod
    def index(self, referents: Referents) -> NDArray[np.int64]:
        """Number referents (..., A) from 0 to size - 1, shape (...); -1 for what is no referent."""

    @abstractmethod
    def at(self, indices: NDArray[np.int64]) -> Referents:
        """The referents (n, A) of some indices (n,)."""

    @cached_property
    def num_values(self) -> NDArray[np.int64]:
        """(A,) the number of values of each attribute."""
        return np.array([len(attribute.values) for attribute in self.attributes], dtype=np.int64)

    @cached_property
    def _split_of(self) -> NDArray[np.int64]:
        """(size,) the position in SPLITS of each referent's split."""
        train, validation, _ = self.split_fractions
        bounds = np.round(np.array([train, train + validation]) * self.size).astype(np.int64)
        order = np.random.default_rng(self.split_seed).permutation(self.size)
        split_of = np.empty(self.size, dtype=np.int64)
        split_of[order] = np.searchsorted(bounds, np.arange(self.size), side="right")
        return split_of

    def referents(self, split: Split) -> Referents:
        """The referents of a split, (n, A), in the order of their index."""
        return self.at(np.flatnonzero(self._split_of == _position(split)))

    def in_split(self, referents: Referents, split: Split) -> NDArray[np.bool_]:
        """Whether each referent (..., A) belongs to the split, shape (...)."""
        indices = self.index(referents)
        return np.asarray((indices >= 0) & (self._split_of[indices] == _position(split)))

    def log_weights(
        self, base: Referents, referents: Referents, resample_probability: float
    ) -> NDArray[np.float64]:
        """How likely each referent is to be drawn as a candidate next to a base, in logarithms.

        It is the chance that a copy of the base becomes the referent when each of its attributes is drawn
        anew, uniformly among its values, with the given probability p: the product over the attributes of
        p / (number of values), plus 1 - p where the two agree. A world that knows better which of its
        referents are confused may say so here, unless it is complete: there the base is resampled itself.

        Args:
            base: (A,) a referent.
            referents: (n, A).
            resample_probability: p, in (0, 1].

        Returns:
            (n,) natural logarithms, up to a constant that all of them share.
        """
        agreeing = (1 - resample_probability) * (referents == base)
        return np.asarray(np.log(resample_probability / self.num_values + agreeing).sum(axis=-1))

    def words(self, referent: Referents) -> tuple[str, ...]:
        """The value names of one referent (A,)."""
        return tuple(a.values[int(v)] for a, v in zip(self.attributes, referent, strict=True))

    def describe(self, referent: Referents) -> str:
        """The canonical description of one referent (A,), such as `small red metal cube`."""
        return " ".join(self.words(referent))

    def options(self, view: Referents) -> list[str]:
        """The choices of a receiver's view (N, A) in words, one a choice."""
        return [self.describe(row) for row in view]

    def facts(self, referent: Referents) -> tuple[tuple[str, str], ...]:
        """Attribute and value names of one referent (A,), such as `("size", "small")`."""
        return tuple((a.name, w) for a, w in zip(self.attributes, self.words(referent), strict=True))


@dataclass(frozen=True, kw_only=True)
class World(AnyWorld):
    """All combinations of the attributes' values; takes the arguments of `AnyWorld`.

    Raises:
        ValueError: if the fractions are off, two values of an attribute or two referents read the same, or a
            value would be missing from a split.
    """

    complete = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_readings()
        for split in SPLITS:
            referents = self.referents(split)
            for position, attribute in enumerate(self.attributes):
                missing = len(attribute.values) - len(np.unique(referents[:, position]))
                if missing:
                    raise ValueError(
                        f"world {self.name!r} is too small to split: {missing} of {len(attribute.values)} "
                        f"values of {attribute.name!r} do not occur in the {split} split"
                    )

    def _check_readings(self) -> None:
        for attribute in self.attributes:
            if repeat := first_repeat(attribute.values):
                raise ValueError(
                    f"world {self.name!r} must have values of {attribute.name!r} that read differently, got "
                    f"{repeat.texts}"
                )
        values = [value for attribute in self.attributes for value in attribute.values]
        # only blanks within values can make one text of different ones: "a b", "c" and "a", "b c"
        if any(len(value.split()) > 1 for value in values) and (
            repeat := first_repeat(map(self.describe, self.at(np.arange(self.size))))
        ):
            raise ValueError(
                f"world {self.name!r} must have referents that read differently, got {repeat.texts}"
            )

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        """The number of values of each attribute, as a shape."""
        return tuple(self.num_values.tolist())

    @cached_property
    def size(self) -> int:
        """The number of referents."""
        return math.prod(self._shape)

    def index(self, referents: Referents) -> NDArray[np.int64]:
        """Number referents (..., A) from 0 to size - 1, shape (...)."""
        columns = tuple(referents[..., position] for position in range(len(self._shape)))
        return np.asarray(np.ravel_multi_index(columns, self._shape))

    def at(self, indices: NDArray[np.int64]) -> Referents:
        """The referents (n, A) of some indices (n,)."""
        return np.stack(np.unravel_index(indices, self._shape), axis=-1)


def _position(split: Split) -> int:
    """The position of a split in SPLITS."""
    if split not in SPLITS:
        nearest = "".join(f", did you mean {name!r}?" for name in get_close_matches(split, SPLITS, n=1))
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}{nearest}")
    return SPLITS.index(split)


def objects_world() -> World:
    """The default world: 6 sizes x 8 colours x 8 materials x 8 shapes = 3,072 referents, 11.58 bits."""
    return World(
        name="objects",
        attributes=(
            Attribute(name="size", values=("tiny", "small", "medium", "large", "huge", "giant")),
            Attribute(
                name="colour",
                values=("red", "orange", "yellow", "green", "blue", "purple", "black", "white"),
            ),
            Attribute(
                name="material",
                values=("metal", "wood", "glass", "stone", "paper", "rubber", "clay", "cloth"),
            ),
            Attribute(
                name="shape",
                values=("cube", "ball", "cone", "ring", "disc", "star", "cross", "tube"),
            ),
        ),
    )
