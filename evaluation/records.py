"""Records of played episodes: all that the evaluation reads.

A record is one channel, one condition, one episode. Records are kept as JSON lines (one object a line), so
that a run can be judged again without any model. Every record is checked when it is made.
"""

import difflib
import json
import reprlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

CONDITIONS = ("normal", "null", "random", "shuffle", "swap")
SILENCE = "silence"
"""The channel whose normal condition is P0: the same episodes without any message."""
_LARGEST_ID = 2**63
_LARGEST_BITS = 2**53


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeRecord:
    """One episode, played over one channel under one condition.

    Args:
        channel: name of the channel, printable.
        condition: one of CONDITIONS.
        episode_id: the episode; the same number is the same episode for every channel and condition.
        success: whether the receiver picked the target.
        choice: index of the candidate that the receiver picked.
        target: index of the target among the candidates.
        intended: index of the candidate that the delivered message names; under swap not the target.
        bits: bits charged for this message.
        message: what crossed, as JSON.
        probabilities: the receiver's probability of each candidate.
        trained: True for a trained codec, False for an untrained one, None where there is nothing to train.

    Raises:
        ValueError: if a field is out of its range, or if the fields contradict each other.
    """

    channel: str
    condition: str
    episode_id: int
    success: bool
    choice: int | None = None
    target: int | None = None
    intended: int | None = None
    bits: float | int | None = None
    message: Any = None
    probabilities: Sequence[float | int] | None = None
    trained: bool | None = None

    def __post_init__(self) -> None:
        if not self.channel.strip() or not self.channel.isprintable():
            raise _wrong("channel", "a printable name", self.channel)
        _check_condition(self.condition)
        if not -_LARGEST_ID <= self.episode_id < _LARGEST_ID:
            raise _wrong("episode_id", "an integer of 64 bits", self.episode_id)
        if self.bits is not None and not 0 <= self.bits <= _LARGEST_BITS:
            raise _wrong("bits", f"a number from 0 to {_LARGEST_BITS}", self.bits)
        if self.probabilities is not None:
            _check_probabilities(self.probabilities)
        for name in ("choice", "target", "intended"):
            _check_candidate(name, getattr(self, name), self.probabilities)
        self._check_agreement()

    def _check_agreement(self) -> None:
        known = self.choice is not None and self.target is not None
        if known and self.success != (self.choice == self.target):
            said = str(self.success).lower()
            raise ValueError(f"success is {said}, but choice is {self.choice} and target {self.target}")
        if self.condition == "swap" and self.intended is not None and self.intended == self.target:
            raise ValueError(f"intended must differ from target under swap, got {self.intended} for both")


_FIELDS = tuple(field.name for field in fields(EpisodeRecord))
_REQUIRED = tuple(field.name for field in fields(EpisodeRecord) if field.default is MISSING)
_INDEX = (int, "the index of a candidate, at least 0")
_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "channel": (str, "a printable name"),
    "condition": (str, f"one of {', '.join(CONDITIONS)}"),
    "episode_id": (int, "an integer of 64 bits"),
    "success": (bool, "true or false"),
    "choice": _INDEX,
    "target": _INDEX,
    "intended": _INDEX,
    "bits": ((int, float), f"a number from 0 to {_LARGEST_BITS}"),
    "probabilities": (list, "a list of numbers"),
    "trained": (bool, "true, false or null"),
}


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
    if not line.strip():
        raise ValueError("the line is blank; a JSON object is needed")
    try:
        entry = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error}): {reprlib.repr(line)}") from error
    if not isinstance(entry, dict):
        raise _wrong("record", "a JSON object", entry)
    missing = [name for name in _REQUIRED if name not in entry]
    if missing:
        raise ValueError(f"missing {', '.join(missing)}; a record needs {', '.join(_REQUIRED)}")
    _check_types(entry)
    return EpisodeRecord(**{name: entry[name] for name in _FIELDS if name in entry})


class RecordWriter:
    """Write records to a JSON-lines file as they are played; every batch is flushed to the file.

    Args:
        path: the file to write; one that exists is written anew.

    Raises:
        OSError: if the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._file = self._path.open("w", encoding="utf-8", newline="\n")

    def write(self, records: Iterable[EpisodeRecord]) -> None:
        """Write a batch of records.

        Args:
            records: the batch; fields that are None are left out.

        Raises:
            ValueError: if a message or a number is not JSON.
        """
        for record in records:
            entry = {name: getattr(record, name) for name in _FIELDS}
            known = {name: value for name, value in entry.items() if value is not None}
            try:
                line = json.dumps(known, allow_nan=False)
            except (TypeError, ValueError) as error:
                where = f"{record.channel}, {record.condition}, episode {record.episode_id}"
                raise ValueError(f"the record of {where} is not JSON: {error}") from error
            self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check_new(record: EpisodeRecord, seen: set[int]) -> None:
    if record.episode_id in seen:
        raise ValueError(
            f"episode_id {record.episode_id} is there twice for channel {record.channel!r}, "
            f"condition {record.condition!r}"
        )
    seen.add(record.episode_id)


def _check_types(entry: Mapping[str, object]) -> None:
    """Refuse values of the wrong JSON type; their ranges are the record's own affair."""
    for name, (kinds, wanted) in _TYPES.items():
        value = entry.get(name)
        if value is None and name not in _REQUIRED:
            continue
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise _wrong(name, wanted, value)
    for number in entry.get("probabilities") or ():  # type: ignore[attr-defined]
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise _wrong("probabilities", "a list of numbers", entry["probabilities"])


def _check_condition(condition: str) -> None:
    if condition in CONDITIONS:
        return
    message = f"condition must be one of {', '.join(CONDITIONS)}, got {reprlib.repr(condition)}"
    near = difflib.get_close_matches(condition.lower(), CONDITIONS, n=1)
    raise ValueError(message + (f"; did you mean {near[0]!r}?" if near else ""))


def _check_probabilities(probabilities: Sequence[float | int]) -> None:
    if len(probabilities) < 2 or not all(0 <= number <= 1 for number in probabilities):
        raise _wrong("probabilities", "a list of at least 2 numbers between 0 and 1", probabilities)


def _check_candidate(name: str, index: int | None, probabilities: Sequence[float | int] | None) -> None:
    if index is None:
        return
    if index < 0:
        raise _wrong(name, "the index of a candidate, at least 0", index)
    if probabilities is not None and index >= len(probabilities):
        raise _wrong(name, f"less than {len(probabilities)}, the number of probabilities", index)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _wrong(name: str, wanted: str, value: object) -> ValueError:
    return ValueError(f"{name} must be {wanted}, got {reprlib.repr(value)}")
