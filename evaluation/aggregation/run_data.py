"""Records gathered into compact arrays: some 60 bytes an episode, whatever a record holds.

Everything downstream reads RunOutcomes. Arms are sorted by episode and channels by name, so that the order in
which records arrive cannot change a result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from parley.evaluation.aggregation.condition_data import UNKNOWN, ConditionAggregator, ConditionOutcomes
from parley.evaluation.records import CONDITIONS, REORDERED, SILENCE, EpisodeRecord

__all__ = [
    "UNKNOWN",
    "ChannelOutcomes",
    "ConditionOutcomes",
    "Pairs",
    "RunAggregator",
    "RunOutcomes",
    "gather",
    "pair",
]

BoolArray = npt.NDArray[np.bool_]
TEXT = "text"
REFERENCES = (TEXT, SILENCE)
"""Channels with nothing to train: the ceiling and the floor that others are read against."""


class Pairs(NamedTuple):
    """Success of two arms in the episodes that both played, in the same order."""

    first: BoolArray
    second: BoolArray

    @property
    def both(self) -> int:
        """Episodes in which both succeed."""
        return int((self.first & self.second).sum())

    @property
    def only_first(self) -> int:
        """Episodes in which only the first succeeds."""
        return int((self.first & ~self.second).sum())

    @property
    def only_second(self) -> int:
        """Episodes in which only the second succeeds."""
        return int((self.second & ~self.first).sum())

    @property
    def neither(self) -> int:
        """Episodes in which both fail."""
        return int((~self.first & ~self.second).sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelOutcomes:
    """The arms of one channel by condition.

    Args:
        name: of the channel.
        trained: whether its codec was trained; None where there is nothing to train.
        reference: whether it is played to compare with, and decides nothing.
        arms: by condition.
    """

    name: str
    trained: bool | None
    reference: bool = False
    conditions: dict[str, ConditionOutcomes]

    @property
    def status(self) -> str:
        """Whether the channel is judged: "trained", "untrained" (not judged) or "reference" (not judged).

        A channel that does not say counts as trained, unless it is text or silence: no channel escapes the
        gate by leaving a field out. Silence is P0 itself and always a reference.
        """
        if self.name == SILENCE or (self.trained is None and self.name in REFERENCES):
            return "reference"
        if self.trained is False:
            return "untrained"
        return "reference" if self.reference else "trained"


@dataclass(frozen=True, kw_only=True, eq=False)
class RunOutcomes:
    """All channels of a run: text first, silence last, the others by name.

    Args:
        channels: by name.
        num_candidates: N, as the records say; None if none does.
    """

    channels: dict[str, ChannelOutcomes]
    num_candidates: int | None

    @property
    def p0(self) -> ConditionOutcomes | None:
        """Silence, measured: the episodes without any message. None if they were not played."""
        return self._of(SILENCE, "normal")

    @property
    def reordered(self) -> ConditionOutcomes | None:
        """Silence on the same episodes with their candidates in another order; None if not played."""
        return self._of(SILENCE, REORDERED)

    @property
    def text(self) -> ConditionOutcomes | None:
        """The text channel's normal arm, None if it was not played."""
        return self._of(TEXT, "normal")

    @property
    def judged(self) -> dict[str, ChannelOutcomes]:
        """The trained channels, which alone decide a verdict."""
        return {name: channel for name, channel in self.channels.items() if channel.status == "trained"}

    def _of(self, channel: str, condition: str) -> ConditionOutcomes | None:
        found = self.channels.get(channel)
        return found.conditions.get(condition) if found else None


class RunAggregator:
    """A tally while records still arrive; it can be closed as often as wanted, and goes on."""

    def __init__(self) -> None:
        self._arms: dict[str, dict[str, ConditionAggregator]] = {}
        self._standing: dict[str, tuple[bool | None, bool]] = {}
        self._num_candidates: int | None = None

    def add(self, record: EpisodeRecord) -> None:
        """Count one record, which is then let go.

        Raises:
            ValueError: if the records of a channel disagree on `trained` or `reference`, or any two on N.
        """
        standing = (record.trained, record.reference)
        first = self._standing.setdefault(record.channel, standing)
        for name, one, other in zip(("trained", "reference"), first, standing, strict=True):
            if one is not other:
                raise ValueError(
                    f"{name} must be the same in all records of channel {record.channel!r}, "
                    f"got {one} and {other} (episode_id {record.episode_id})"
                )
        self._num_candidates = _same_candidates(record, self._num_candidates)
        conditions = self._arms.setdefault(record.channel, {})
        if record.condition not in conditions:
            conditions[record.condition] = ConditionAggregator()
        conditions[record.condition].add(record)

    def close(self) -> RunOutcomes:
        """What was counted so far.

        Raises:
            ValueError: if there is no record, or an episode twice for the same channel and condition.
        """
        if not self._arms:
            raise ValueError("records: at least 1 episode is needed, got 0")
        channels = {
            name: ChannelOutcomes(
                name=name,
                trained=self._standing[name][0],
                reference=self._standing[name][1],
                conditions={
                    condition: conditions[condition].close(f"channel {name!r}, condition {condition!r}")
                    for condition in (*CONDITIONS, REORDERED)
                    if condition in conditions
                },
            )
            for name, conditions in sorted(self._arms.items(), key=lambda item: _rank(item[0]))
        }
        return RunOutcomes(channels=channels, num_candidates=self._num_candidates)


def gather(records: Iterable[EpisodeRecord]) -> RunOutcomes:
    """Gather records, in any order, into RunOutcomes; each record is let go once it is read.

    Args:
        records: at least one.

    Returns:
        The tally; the same for every order of the records.

    Raises:
        ValueError: if there is no record, if an episode is recorded twice for the same channel and condition,
            or if the records of a channel disagree on `trained` or `reference`, or any two on the number of
            candidates.
    """
    outcomes = RunAggregator()
    for record in records:
        outcomes.add(record)
    return outcomes.close()


def shared(
    first: ConditionOutcomes, second: ConditionOutcomes
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where the episodes that both arms played stand in each, in the same order."""
    if np.array_equal(first.episode_ids, second.episode_ids):
        everywhere = np.arange(first.n)
        return everywhere, everywhere
    _, left, right = np.intersect1d(
        first.episode_ids, second.episode_ids, assume_unique=True, return_indices=True
    )
    return left, right


def pair(first: ConditionOutcomes, second: ConditionOutcomes) -> Pairs:
    """Line up the success of two arms on the episodes that both played; there may be none."""
    left, right = shared(first, second)
    return Pairs(first.success[left], second.success[right])


def _same_candidates(record: EpisodeRecord, num_candidates: int | None) -> int | None:
    said = record.num_candidates or (len(record.probabilities) if record.probabilities else None)
    if said is None or num_candidates is None:
        return num_candidates if said is None else said
    if said != num_candidates:
        raise ValueError(
            f"probabilities must be as many in all records, got {num_candidates} and "
            f"{said} (channel {record.channel!r}, episode_id {record.episode_id})"
        )
    return said


def _rank(name: str) -> tuple[bool, bool, str]:
    return (name == SILENCE, name != TEXT, name)
