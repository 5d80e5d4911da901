"""Recorded episodes as JSON lines, one object a line: a run can be judged again without any model.

Lines are read one at a time and let go, and written batch by batch, as they are played.
"""

from __future__ import annotations

import json
import os
import reprlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any, NoReturn

from parley.evaluation.records.record import CONDITIONS, LARGEST, EpisodeRecord, wrong

_FIELDS = tuple(field.name for field in fields(EpisodeRecord))
_REQUIRED = tuple(field.name for field in fields(EpisodeRecord) if field.default is MISSING)
_NUMBERS = frozenset({int, float})
_ANY = {str, int, float, bool, list, dict, NoneType}
_INDEX: tuple[set[type], str] = ({int, NoneType}, "the index of a candidate, at least 0")
_TYPES: dict[str, tuple[set[type], str]] = {
    "channel": ({str}, "a printable name"),
    "condition": ({str}, f"one of {', '.join(CONDITIONS)}"),
    "episode_id": ({int}, "an integer of 64 bits"),
    "success": ({bool}, "true or false"),
    "choice": _INDEX,
    "target": _INDEX,
    "intended": _INDEX,
    "bits": ({int, float, NoneType}, f"a number from 0 to {LARGEST}"),
    "tokens": ({int, NoneType}, f"an integer from 0 to {LARGEST}"),
    "seconds": ({int, float, NoneType}, f"a number from 0 to {LARGEST}"),
    "message": (_ANY, "JSON"),
    "probabilities": ({list, NoneType}, "a list of numbers"),
    "num_candidates": ({int, NoneType}, "an integer of at least 2"),
    "candidates": ({list, NoneType}, "a list of strings"),
    "trained": ({bool, NoneType}, "true, false or null"),
    "reference": ({bool}, "true or false"),
}
"""By field: the types that JSON may give it (a bool is no int), and what is wanted, in words."""
_WELL_TYPED = frozenset((name, kind) for name, (kinds, _) in _TYPES.items() for kind in kinds)


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
    if not _WELL_TYPED.issuperset(zip(entry, map(type, entry.values()), strict=True)):
        entry = _well_typed(entry)
    if missing := [name for name in _REQUIRED if name not in entry]:
        raise ValueError(f"missing {', '.join(missing)}; a record needs {', '.join(_REQUIRED)}")
    if entry.get("probabilities") and not _NUMBERS.issuperset(map(type, entry["probabilities"])):
        raise wrong("probabilities", "a list of numbers", entry["probabilities"])
    if entry.get("candidates") and set(map(type, entry["candidates"])) != {str}:
        raise wrong("candidates", "a list of strings", entry["candidates"])
    return EpisodeRecord(**entry)


class RecordWriter:
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

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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


def _well_typed(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields that a record knows; refuses values of the wrong JSON type."""
    known = {name: value for name, value in entry.items() if name in _TYPES}
    for name, value in known.items():
        kinds, wanted = _TYPES[name]
        if type(value) not in kinds:
            raise wrong(name, wanted, value)
    return known


def _as_line(record: EpisodeRecord) -> str:
    known = {name: value for name in _FIELDS if (value := getattr(record, name)) is not None}
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
