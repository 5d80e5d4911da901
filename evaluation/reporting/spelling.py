"""Strings and messages from models and files, spelled so that a reader sees all and nothing acts."""

from __future__ import annotations

import json
from typing import Any

MOST_LETTERS = 300
MOST_CODES = 32
FIRST_NUMBERS = 3
NOTHING = "–"


def visible(text: str) -> str:
    r"""Text in which what does not print, or would turn the writing, is an escape such as \n or \u202e.

    Args:
        text: any, also with lone surrogates, which could not be written to a file.
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def spell_message(message: Any) -> str:
    """A message as people read it: text in quotes, codes as numbers, of vectors how many and how they begin.

    Args:
        message: as a record holds it, JSON.

    Returns:
        One line, never longer than a few hundred letters; an en dash for None.
    """
    if message is None:
        return NOTHING
    if isinstance(message, str):
        return f"“{_cut(visible(message))}”"
    if _is_number(message):
        return f"code {message}" if isinstance(message, int) else f"number {_short(message)}"
    if isinstance(message, list) and message:
        if all(isinstance(code, int) and not isinstance(code, bool) for code in message):
            return _codes(message)
        if all(map(_is_number, message)):
            return f"1 vector of {_count(len(message), 'number')}, first {_first(message)}"
        if _is_matrix(message):
            width = _count(len(message[0]), "number")
            return f"{_count(len(message), 'vector')} of {width}, first {_first(message[0])}"
    return _cut(visible(json.dumps(message, ensure_ascii=False)))


def _codes(codes: list[int]) -> str:
    shown = " ".join(map(str, codes[:MOST_CODES]))
    more = f" … ({len(codes)} codes)" if len(codes) > MOST_CODES else ""
    return f"{'code' if len(codes) == 1 else 'codes'} {shown}{more}"


def _first(numbers: list[float]) -> str:
    more = " …" if len(numbers) > FIRST_NUMBERS else ""
    return ", ".join(map(_short, numbers[:FIRST_NUMBERS])) + more


def _is_matrix(message: list[Any]) -> bool:
    rows = all(isinstance(row, list) and row and all(map(_is_number, row)) for row in message)
    return rows and len({len(row) for row in message}) == 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(number: float) -> str:
    return f"{number:.3g}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}… ({len(text)} letters)"
