"""A sender's words, decoded only if someone looks at them: most channels are handed states alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any


class LazyWords(Sequence[str]):
    """B texts that are made when the first of them is looked at; their number is known before.

    Args:
        number: B.
        say: makes them.
    """

    def __init__(self, number: int, say: Callable[[], list[str]]) -> None:
        self._number, self._say = number, say

    @cached_property
    def _said(self) -> list[str]:
        return self._say()

    def __len__(self) -> int:
        return self._number

    def __getitem__(self, place: Any) -> Any:
        return self._said[place]
