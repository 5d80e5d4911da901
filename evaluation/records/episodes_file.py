"""Recorded episodes as JSON lines, one object a line: a run can be judged again without any model.

Lines are read one at a time and let go, and written batch by batch, as they are played.
"""

from __future__ import annotations

import json
import os
import reprlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from parley.evaluation.records.record import EpisodeRecord, wrong

_WORDS = {
    bool: "true or false", int: "an integer", float: "a number", str: "a string", list: "a list",
    NoneType: "null",
}  # fmt: skip


def _kinds(hint: Any) -> frozenset[type]:
    """The types that JSON may give to what is annotated so; a bool is no int."""
    if hint is Any:
        return frozenset({*_WORDS, dict})
    if get_origin(hint) in (Union, UnionType):
        return frozenset().union(*map(_kinds, get_args(hint)))
    if get_origin(hint) is Literal:
        return frozenset(map(type, get_args(hint)))
    return frozenset({list if get_origin(hint) is Sequence else hint})


def _elements(hint: Any) -> frozenset[type]:
    """The types of a list's elements; none for what is no list."""
    parts = [hint, *get_args(hint)]
    return frozenset().union(*(_kinds(get_args(part)[0]) for part in parts if get_origin(part) is Sequence))


_HINTS = get_type_hints(EpisodeRecord)
_TYPES = {name: _kinds(hint) for name, hint in _HINTS.items()}
_ELEMENTS = {name: kinds for name, hint in _HINTS.items() if (kinds := _elements(hint))}
_ALLOWED = {name: get_args(hint) for name, hint in _HINTS.items() if get_origin(hint) is Literal}
_REQUIRED = tuple(field.name for field in fields(EpisodeRecord) if field.default is MISSING)
_WELL_TYPED = frozenset((name, kind) for name, kinds in _TYPES.items() for kind in kinds)


def read_records(path: str | Path) -> Iterator[EpisodeRecord]:
    """Stream the records of a JSON-lines file; fields that a record does not know are left out.

    Args:
        path: the file, one JSON object a line, UTF-8.

    Yields:
        One record a line, in the order of the file.

    Raises:
        ValueError: naming file, line number and what is wrong: not JSON, a missing field, a wrong type, an
            unknown condition, an episode recorded twice for the same channel and condition, an empty file.
        OSError: if the file cannot be read.
    """
    seen: dict[tuple[str, str], set[int]] = defaultdict(set)
    number = 0
    with Path(path).open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = parse_record(line)
                _check_new(record, seen[record.channel, record.condition])
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
            yield record
    if number == 0:
        raise ValueError(f"{path}: the file is empty; at least one episode is needed")


def parse_record(line: bytes) -> EpisodeRecord:
    """Parse one line of an episodes file.

    Args:
        line: a JSON object in UTF-8.

    Returns:
        The record, without fields that EpisodeRecord does not know.

    Raises:
        ValueError: saying what is wrong with the line.
    """
    try:
        entry = _DECODER.decode(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        if not line.strip():
            raise ValueError("the line is blank; a JSON object is needed") from None
        raise ValueError(f"not JSON ({error}): {reprlib.repr(line)}") from error
    if type(entry) is not dict:
        raise wrong("record", "a JSON object", entry)
    if "role" not in entry:
        entry["role"] = _role_of_older(entry)
    if not _WELL_TYPED.issuperset(zip(entry, map(type, entry.values()), strict=True)):
        entry = _well_typed(entry)
    if missing := [name for name in _REQUIRED if name not in entry]:
        raise ValueError(f"missing {', '.join(missing)}; a record needs {', '.join(_REQUIRED)}")
    for name, kinds in _ELEMENTS.items():
        if entry.get(name) and not kinds.issuperset(map(type, entry[name])):
            raise wrong(name, f"a list of {_spelled(kinds).removeprefix('a ')}s", entry[name])
    for name, allowed in _ALLOWED.items():
        if entry[name] not in allowed:
            raise wrong(name, f"one of {', '.join(allowed)}", entry[name])
    return EpisodeRecord(**entry)


class RecordWriter(AbstractContextManager["RecordWriter"]):
    """Write records to a JSON-lines file as they are played; every batch is flushed to the file.

    Args:
        path: the file to write.
        append: write after what a file that exists holds, instead of writing it anew.

    Raises:
        OSError: if the file cannot be written.
    """

    def __init__(self, path: str | Path, *, append: bool = False) -> None:
        mode = "a" if append else "w"
        self._file = Path(path).open(mode, encoding="utf-8", newline="\n")  # noqa: SIM115 - closed by close

    def write(self, records: Iterable[EpisodeRecord]) -> None:
        """Write a batch of records, all of them or none.

        Args:
            records: the batch; fields that are None are left out.

        Raises:
            ValueError: if a message or a number is not JSON.
        """
        self._file.write("".join([_as_line(record) for record in records]))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def drop_cut_line(path: Path) -> None:
    """Cut a file after its last line feed: what follows was being written when its writer ended.

    Args:
        path: the file; one without any line feed becomes empty.

    Raises:
        OSError: if it cannot be written.
    """
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                file.truncate(start + found + 1)
                return
            end = start
        file.truncate(0)


def _role_of_older(entry: dict[str, Any]) -> str:
    """The role of a channel whose records do not say it, as those of before results schema 3.

    They say `trained` and `reference`, and of text and silence the name. What says nothing is judged: no
    channel escapes the gate by leaving a field out.
    """
    name, trained = entry.get("channel"), entry.get("trained")
    if name == "silence":
        return "baseline"
    if trained is False:
        return "untrained"
    if name == "text" and trained is None:
        return "ceiling"
    return "reference" if entry.get("reference") is True else "judged"


def _well_typed(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields that a record knows; refuses values of the wrong JSON type."""
    known = {name: value for name, value in entry.items() if name in _TYPES}
    for name, value in known.items():
        if type(value) not in _TYPES[name]:
            raise wrong(name, _spelled(_TYPES[name]), value)
    return known


def _spelled(kinds: frozenset[type]) -> str:
    """Types in words; every number includes the integers."""
    shown = kinds - {int} if float in kinds else kinds
    return " or ".join(word for kind, word in _WORDS.items() if kind in shown)


def _as_line(record: EpisodeRecord) -> str:
    known = {name: value for name in _TYPES if (value := getattr(record, name)) is not None}
    try:
        return _ENCODER.encode(known) + "\n"
    except (TypeError, ValueError) as error:
        where = f"{record.channel}, {record.condition}, episode {record.episode_id}"
        raise ValueError(f"the record of {where} is not JSON: {error}") from error


def _check_new(record: EpisodeRecord, seen: set[int]) -> None:
    if record.episode_id in seen:
        raise ValueError(
            f"episode_id {record.episode_id} is there twice for channel {record.channel!r}, "
            f"condition {record.condition!r}"
        )
    seen.add(record.episode_id)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


# json.loads and json.dumps would make one for every line
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(allow_nan=False)
