"""Texts that are written with other characters and read the same: Unicode has several forms for one word."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple


class Repeat(NamedTuple):
    """Two texts that read the same: their numbers, from 1, and both in ASCII, where they differ."""

    first: int
    again: int
    texts: str


def first_repeat(texts: Iterable[str]) -> Repeat | None:
    """The first text that reads as an earlier one: under NFKC, which is what NFC is too, and with any blanks.

    NFKC makes one of letters with their accents apart (NFD), of full width, ligatures and superscripts
    (Unicode Standard Annex 15).
    """
    seen: dict[str, tuple[int, str]] = {}
    for number, text in enumerate(texts, start=1):
        earlier, written = seen.setdefault(read(text), (number, text))
        if earlier != number:
            return Repeat(earlier, number, f"{written!a} and {text!a}")
    return None


def read(text: str) -> str:
    """What a text reads as, whatever its form and its blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).split())
