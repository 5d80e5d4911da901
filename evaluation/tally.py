"""Records gathered into compact arrays: some 26 bytes an episode, whatever a record holds.

Everything downstream reads a Tally. Arms are sorted by episode and channels by name, so that the order in
which records arrive cannot change a result.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evaluation.likelihood import target_nll
from evaluation.records import CONDITIONS, SILENCE, EpisodeRecord

BoolArray = npt.NDArray[np.bool_]
TEXT = "text"
REFERENCES = (TEXT, SILENCE)
"""Channels with nothing to train: the ceiling and the floor that others are read against."""
_UNKNOWN = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Arm:
    """The episodes of one channel under one condition, sorted by episode_id.

    Args:
        episode_ids: (n,) distinct.
        success: (n,) whether the receiver picked the target.
        mean_bits: bits charged per message, None if a record does not say.
        mean_nll: nats by which the target surprises the receiver, None if a record does not say.
        followed: picks of the candidate that the delivered message names.
        followable: episodes that say both what was picked and what the message names.
    """

    episode_ids: npt.NDArray[np.int64]
    success: BoolArray
    mean_bits: float | None
    mean_nll: float | None
    followed: int
    followable: int

    @property
    def n(self) -> int:
        """Number of episodes, at least 1."""
        return len(self.episode_ids)

    @property
    def successes(self) -> int:
        """Number of episodes in which the receiver picked the target."""
        return int(self.success.sum())


class Pairs(NamedTuple):
    """Success of two arms in the episodes that both played, in the same order."""

    first: BoolArray
    second: BoolArray


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelTally:
    """The arms of one channel by condition, and whether its codec was trained (None: nothing to train)."""

    name: str
    trained: bool | None
    arms: dict[str, Arm]

    @property
    def status(self) -> str:
        """Whether the channel is judged: "trained", "untrained" (not judged) or "reference" (not judged).

        A channel that does not say counts as trained, unless it is text or silence: no channel escapes the
        gate by leaving a field out. Silence is P0 itself and always a reference.
        """
        if self.name == SILENCE or (self.trained is None and self.name in REFERENCES):
            return "reference"
        return "untrained" if self.trained is False else "trained"


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """All channels of a run: text first, silence last, the others by name.

    Args:
        channels: by name.
        num_candidates: N, the length of the records' probabilities; None if no record has any.
    """

    channels: dict[str, ChannelTally]
    num_candidates: int | None

    @property
    def p0(self) -> Arm | None:
        """Silence, measured: the episodes without any message. None if they were not played."""
        silence = self.channels.get(SILENCE)
        return silence.arms.get("normal") if silence else None


def gather(records: Iterable[EpisodeRecord]) -> Tally:
    """Gather records, in any order, into a Tally; each record is let go once it is read.

    Args:
        records: at least one.

    Returns:
        The tally; the same for every order of the records.

    Raises:
        ValueError: if there is no record, if an episode is recorded twice for the same channel and condition,
            or if the records of a channel disagree on `trained`, or any two on the number of candidates.
    """
    arms: dict[str, dict[str, _OpenArm]] = {}
    trained: dict[str, bool | None] = {}
    num_candidates: int | None = None
    for record in records:
        _check_same_trained(record, trained.setdefault(record.channel, record.trained))
        num_candidates = _same_candidates(record, num_candidates)
        arms.setdefault(record.channel, {}).setdefault(record.condition, _OpenArm()).add(record)
    if not arms:
        raise ValueError("records: at least 1 episode is needed, got 0")
    channels = {
        name: ChannelTally(
            name=name,
            trained=trained[name],
            arms={
                condition: arms[name][condition].close(f"channel {name!r}, condition {condition!r}")
                for condition in CONDITIONS
                if condition in arms[name]
            },
        )
        for name in sorted(arms, key=_rank)
    }
    return Tally(channels=channels, num_candidates=num_candidates)


def pair(first: Arm, second: Arm) -> Pairs:
    """Line up two arms on the episodes that both played.

    Args:
        first: an arm.
        second: another arm.

    Returns:
        Two arrays of equal length: the number of shared episodes, which may be 0.
    """
    _, left, right = np.intersect1d(
        first.episode_ids, second.episode_ids, assume_unique=True, return_indices=True
    )
    return Pairs(first.success[left], second.success[right])


class _OpenArm:
    """An arm while records still arrive."""

    def __init__(self) -> None:
        self.episode_ids = array("q")
        self.success = array("b")
        self.bits = array("d")
        self.nll = array("d")
        self.follows = array("b")

    def add(self, record: EpisodeRecord) -> None:
        self.episode_ids.append(record.episode_id)
        self.success.append(record.success)
        self.bits.append(_number(record.bits))
        self.nll.append(_number(target_nll(record)))
        known = record.choice is not None and record.intended is not None
        self.follows.append(record.choice == record.intended if known else _UNKNOWN)

    def close(self, name: str) -> Arm:
        episode_ids = np.frombuffer(self.episode_ids, dtype=np.int64)
        order = np.argsort(episode_ids, kind="stable")
        episode_ids = episode_ids[order]
        twice = episode_ids[1:][episode_ids[1:] == episode_ids[:-1]]
        if len(twice):
            raise ValueError(f"records: episode_id {twice[0]} is there twice for {name}")
        follows = np.frombuffer(self.follows, dtype=np.int8)
        return Arm(
            episode_ids=episode_ids,
            success=np.frombuffer(self.success, dtype=np.int8)[order].astype(np.bool_),
            mean_bits=_mean(self.bits, order),
            mean_nll=_mean(self.nll, order),
            followed=int((follows == 1).sum()),
            followable=int((follows != _UNKNOWN).sum()),
        )


def _number(value: float | int | None) -> float:
    return float("nan") if value is None else value


def _mean(numbers: Sequence[float], order: npt.NDArray[np.int64]) -> float | None:
    mean = float(np.mean(np.asarray(numbers)[order]))
    return None if np.isnan(mean) else mean


def _check_same_trained(record: EpisodeRecord, first: bool | None) -> None:
    if record.trained is not first:
        raise ValueError(
            f"trained must be the same in all records of channel {record.channel!r}, "
            f"got {first} and {record.trained} (episode_id {record.episode_id})"
        )


def _same_candidates(record: EpisodeRecord, num_candidates: int | None) -> int | None:
    if record.probabilities is None:
        return num_candidates
    if num_candidates is not None and len(record.probabilities) != num_candidates:
        raise ValueError(
            f"probabilities must be as many in all records, got {num_candidates} and "
            f"{len(record.probabilities)} (channel {record.channel!r}, episode_id {record.episode_id})"
        )
    return len(record.probabilities)


def _rank(name: str) -> tuple[bool, bool, str]:
    return (name == SILENCE, name != TEXT, name)
