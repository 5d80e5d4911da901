"""A world of exactly those referents that are listed, such as things that there really are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from parley.envs.unicode_forms import first_repeat
from parley.envs.world import SPLITS, AnyWorld, Attribute, Referents

FEWEST_IN_A_SPLIT = 2  # an episode has at least two candidates


@dataclass(frozen=True, kw_only=True)
class ListedWorld(AnyWorld):
    """The referents that are listed, and no other combination of values; also takes `AnyWorld`'s arguments.

    A value that only one referent has occurs in one split alone: unlike in a `World`, what is learned from
    the training split may have no word for a test referent. `ListedWorld.of` finds the values by itself.

    Args:
        listed: the value names of each referent, A of them, in the order of their index.

    Raises:
        ValueError: if the fractions are off, a referent does not have one value of each attribute, two
            read the same, or a split has fewer than 2.
    """

    complete = False

    listed: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, name: str, attributes: Sequence[str], listed: Sequence[Sequence[str]]) -> ListedWorld:
        """A world whose attributes have the values that occur, in the order in which they first do.

        Args:
            name: identifies the world in records and checkpoints.
            attributes: their names, A of them.
            listed: the value names of each referent, A of them.

        Raises:
            ValueError: as the class, or if an attribute is the same everywhere.
        """
        _check_lengths(listed, len(attributes))
        columns = zip(attributes, zip(*listed, strict=True), strict=True) if listed else ()
        return cls(
            name=name,
            attributes=tuple(Attribute(name=a, values=tuple(dict.fromkeys(c))) for a, c in columns),
            listed=tuple(tuple(values) for values in listed),
        )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_lengths(self.listed, len(self.attributes))
        for number, values in enumerate(self.listed, start=1):
            for attribute, own, value in zip(self.attributes, self._value_numbers, values, strict=True):
                if value not in own:
                    raise ValueError(f"referent {number}: {value!r} is no value of {attribute.name!r}")
        if repeat := first_repeat([self.describe(referent) for referent in self._listed_indices]):
            raise ValueError(f"referents {repeat.first} and {repeat.again} read the same: {repeat.texts}")
        for split, count in zip(SPLITS, np.bincount(self._split_of, minlength=len(SPLITS)), strict=True):
            if count < FEWEST_IN_A_SPLIT:
                raise ValueError(
                    f"world {self.name!r} is too small to split: of its {self.size} referents {count} are in "
                    f"the {split} split, and an episode needs at least {FEWEST_IN_A_SPLIT}"
                )

    @property
    def size(self) -> int:
        """The number of referents."""
        return len(self.listed)

    @cached_property
    def _value_numbers(self) -> list[dict[str, int]]:
        """Each attribute's values with their index."""
        return [{value: number for number, value in enumerate(a.values)} for a in self.attributes]

    @cached_property
    def _listed_indices(self) -> Referents:
        """(size, A) the value indices of the listed referents."""
        rows = [
            [own[value] for own, value in zip(self._value_numbers, values, strict=True)]
            for values in self.listed
        ]
        return np.array(rows, dtype=np.int64).reshape(self.size, len(self.attributes))

    @cached_property
    def _numbers(self) -> dict[bytes, int]:
        """The index of each referent, by the bytes of its value indices."""
        return {referent.tobytes(): index for index, referent in enumerate(self._listed_indices)}

    def index(self, referents: Referents) -> NDArray[np.int64]:
        """Number referents (..., A) from 0 to size - 1 as they are listed, shape (...); -1 for the others."""
        rows = np.ascontiguousarray(referents, dtype=np.int64).reshape(-1, len(self.attributes))
        found = [self._numbers.get(row.tobytes(), -1) for row in rows]
        return np.array(found, dtype=np.int64).reshape(referents.shape[:-1])

    def at(self, indices: NDArray[np.int64]) -> Referents:
        """The referents (n, A) of some indices (n,)."""
        referents: Referents = self._listed_indices[indices]
        return referents


def _check_lengths(listed: Sequence[Sequence[str]], num_attributes: int) -> None:
    for number, values in enumerate(listed, start=1):
        if len(values) != num_attributes:
            raise ValueError(f"referent {number} must have {num_attributes} values, got {len(values)}")
