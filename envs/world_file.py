"""Worlds from files: one referent a line, as a JSON object. What is malformed is named by its line.

A line is {"attributes": {"name": "value", ...}} or {"text": "..."}, the same kind and the same names in
the same order throughout; a "name" beside it is for people who read the file. See docs/worlds.md.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path
from typing import Any, NoReturn

from parley.envs.listed_world import ListedWorld
from parley.envs.unicode_forms import first_repeat

SUFFIX = ".jsonl"
HASH_DIGITS = 8
FREE_TEXT = "text"
_UNSEEN = {"Cc": "a control character", "Cs": "half a character", "Zl": "a line break", "Zp": "a line break"}


class _Number(str):
    """A number as it is written, told from a string."""

    __slots__ = ()


class _LineError(ValueError):
    """What is wrong with a line."""


def read_world(path: Path, name: str | None = None) -> ListedWorld:
    """A world of the referents that a file lists.

    Args:
        path: of the file.
        name: of the world; by default the file's stem and 8 digits of the SHA-256 of its content.

    Raises:
        ValueError: if the file is malformed, naming the line where there is one, or too short.
        OSError: if it cannot be read.
    """
    content = path.read_bytes()
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    if not lines:
        raise ValueError(f"{path} is empty: it must list referents, one a line")
    rows: list[dict[str, str]] = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_referent(line))
            _check_names(rows[0], rows[-1])
        except _LineError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    listed = [tuple(row.values()) for row in rows]
    if repeat := first_repeat([" ".join(values) for values in listed]):
        raise ValueError(
            f"{path}, line {repeat.again}: the referent reads the same as that of line {repeat.first}: "
            f"{repeat.texts}"
        )
    try:
        name = name or f"{path.stem}-{hashlib.sha256(content).hexdigest()[:HASH_DIGITS]}"
        return ListedWorld.of(name, tuple(rows[0]), listed)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _referent(line: bytes) -> dict[str, str]:
    """Attribute and value names of one line, with free text as an attribute of its own."""
    referent = _parse(line)
    if not isinstance(referent, dict):
        raise _LineError(f"must be a JSON object, got {_kind(referent)}")
    kinds = [kind for kind in ("attributes", FREE_TEXT) if kind in referent]
    if len(kinds) != 1:
        raise _LineError(f"must hold either attributes or text, got {_keys(referent)}")
    if unknown := referent.keys() - {*kinds, "name"}:
        raise _LineError(f"must hold {kinds[0]}, and a name at most, got also {', '.join(sorted(unknown))}")
    if "name" in referent:
        _check_string("name", referent["name"])
    if kinds == [FREE_TEXT]:
        return {FREE_TEXT: _check_string(FREE_TEXT, referent[FREE_TEXT])}
    attributes = referent["attributes"]
    if not isinstance(attributes, dict) or not attributes:
        raise _LineError(f"attributes must be an object of names and values, got {_kind(attributes)}")
    for attribute in attributes:
        _check_string("the name of an attribute", attribute)
    return {
        attribute: str(value) if isinstance(value, _Number) else _check_string(attribute, value)
        for attribute, value in attributes.items()
    }


def _parse(line: bytes) -> Any:
    if not line.strip():
        raise _LineError("is blank; every line must hold a referent")
    try:
        return json.loads(
            line.decode(),
            object_pairs_hook=_distinct_keys,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_no_number,
        )
    except _LineError:
        raise
    except UnicodeDecodeError as error:
        raise _LineError(f"is not UTF-8: {error.reason} at byte {error.start + 1}") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise _LineError(f"is not JSON: {error}") from error


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _LineError(f"holds {max(keys, key=keys.count)!r} twice")
    return found


def _no_number(constant: str) -> NoReturn:
    raise _LineError(f"is not JSON: {constant} is no number")


def _check_names(first: dict[str, str], this: dict[str, str]) -> None:
    """Refuse other attributes than those of the first line, or the same in another order."""
    if list(this) != list(first):
        raise _LineError(
            f"must have what line 1 has, in its order: {', '.join(first)}; got {', '.join(this)}"
        )


def _check_string(what: str, value: Any) -> str:
    """A string that can be read on one line."""
    if not isinstance(value, str) or isinstance(value, _Number):
        raise _LineError(f"{what} must be a string, got {_kind(value)}")
    if value != value.strip() or not value:
        raise _LineError(f"{what} must be a string without blanks at its ends, got {value!r}")
    for character in value:
        if unseen := _UNSEEN.get(unicodedata.category(character)):
            raise _LineError(f"{what} must be one line that can be printed, got {unseen} in {value!r}")
    return value


def _kind(value: Any) -> str:
    """What JSON calls a value."""
    if isinstance(value, _Number):
        return f"the number {value}"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f"the string {value!r}"
    return "an empty object" if value == {} else "an object" if isinstance(value, dict) else "a list"


def _keys(referent: dict[str, Any]) -> str:
    return ", ".join(referent) or "nothing"
