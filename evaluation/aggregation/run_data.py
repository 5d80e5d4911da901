"""Records gathered into compact arrays: some 60 bytes an episode, whatever a record holds.

Everything downstream reads RunOutcomes. Conditions are sorted by episode and channels by name, so that the
order in which records arrive cannot change a result.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from parley.channels.base import Role
from parley.channels.conditions import conditions as all_conditions
from parley.channels.conditions import find_condition
from parley.evaluation.aggregation.condition_data import ConditionAggregator, ConditionOutcomes
from parley.evaluation.records import EpisodeRecord, read_records

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class PairCounts:
    """Of the episodes that two conditions both played, those in which both, one or neither succeeds."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def num_pairs(self) -> int:
        """All of them."""
        return self.both + self.only_first + self.only_second + self.neither


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelOutcomes:
    """One channel of a run.

    Args:
        name: of the channel.
        role: judged, or what else it was played for.
        conditions: what came of it, by condition.
    """

    name: str
    role: Role = "judged"
    conditions: dict[str, ConditionOutcomes]


@dataclass(frozen=True, kw_only=True, eq=False)
class RunOutcomes:
    """All channels of a run: the ceiling first, the baseline last, the others by name.

    Args:
        channels: by name.
        num_candidates: N, as the records say; None if none does.
    """

    channels: dict[str, ChannelOutcomes]
    num_candidates: int | None

    @property
    def p0(self) -> ConditionOutcomes | None:
        """The baseline, measured: the episodes without any message. None if they were not played."""
        return self._of("baseline", reordered=False)

    @property
    def reordered(self) -> ConditionOutcomes | None:
        """The baseline on the same episodes with their candidates in another order; None if not played."""
        return self._of("baseline", reordered=True)

    @property
    def ceiling(self) -> ConditionOutcomes | None:
        """The sender's own words under normal, None if they were not played."""
        return self._of("ceiling", reordered=False)

    @property
    def judged(self) -> dict[str, ChannelOutcomes]:
        """The channels that alone decide a verdict."""
        return {name: channel for name, channel in self.channels.items() if channel.role == "judged"}

    def arms(self, without: Container[str] = ()) -> Iterator[tuple[tuple[str, str], ConditionOutcomes]]:
        """What was played in the usual order, by channel and condition, without some channels."""
        for name, channel in self.channels.items():
            for condition, outcomes in channel.conditions.items():
                if name not in without and not find_condition(condition).reorders:
                    yield (name, condition), outcomes

    def with_channels(self, names: Iterable[str]) -> RunOutcomes:
        """The same run, with these channels beside those that have records; they are judged, on none."""
        absent = {
            name: ChannelOutcomes(name=name, conditions={}) for name in names if name not in self.channels
        }
        return replace(self, channels={**self.channels, **absent}) if absent else self

    def _of(self, role: Role, *, reordered: bool) -> ConditionOutcomes | None:
        for channel in self.channels.values():
            for name, outcomes in channel.conditions.items():
                condition = find_condition(name)
                if channel.role == role and condition.for_baseline and condition.reorders is reordered:
                    return outcomes
        return None


class RunAggregator:
    """A run while records still arrive; it can be closed as often as wanted, and goes on."""

    def __init__(self) -> None:
        self._conditions: dict[str, dict[str, ConditionAggregator]] = {}
        self._roles: dict[str, Role] = {}
        self._num_candidates: int | None = None

    def add(self, record: EpisodeRecord) -> None:
        """Count one record, which is then let go.

        Raises:
            ValueError: if the records of a channel disagree on its role, or any two on N.
        """
        role = self._roles.setdefault(record.channel, record.role)
        if role != record.role:
            raise ValueError(
                f"role must be the same in all records of channel {record.channel!r}, "
                f"got {role} and {record.role} (episode_id {record.episode_id})"
            )
        self._num_candidates = _same_candidates(record, self._num_candidates)
        conditions = self._conditions.setdefault(record.channel, {})
        if record.condition not in conditions:
            conditions[record.condition] = ConditionAggregator()
        conditions[record.condition].add(record)

    def close(self) -> RunOutcomes:
        """What was counted so far.

        Raises:
            ValueError: if there is no record, or an episode twice for the same channel and condition.
        """
        if not self._conditions:
            raise ValueError("records: at least 1 episode is needed, got 0")
        known = dict.fromkeys(c.name for c in [*all_conditions(), *all_conditions(baseline=True)])
        channels = {
            name: ChannelOutcomes(
                name=name,
                role=self._roles[name],
                conditions={
                    condition: played[condition].close(f"channel {name!r}, condition {condition!r}")
                    for condition in known
                    if condition in played
                },
            )
            for name, played in sorted(self._conditions.items(), key=self._place)
        }
        return RunOutcomes(channels=channels, num_candidates=self._num_candidates)

    def _place(self, item: tuple[str, object]) -> tuple[bool, bool, str]:
        role = self._roles[item[0]]
        return role == "baseline", role != "ceiling", item[0]


def gather(records: Iterable[EpisodeRecord]) -> RunOutcomes:
    """Gather records, in any order, into RunOutcomes; each record is let go once it is read.

    Args:
        records: at least one.

    Returns:
        The run; the same for every order of the records.

    Raises:
        ValueError: if there is no record, if an episode is recorded twice for the same channel and condition,
            or if the records of a channel disagree on its role, or any two on the number of candidates.
    """
    outcomes = RunAggregator()
    for record in records:
        outcomes.add(record)
    return outcomes.close()


def gather_file(path: str | Path) -> RunOutcomes:
    """Gather an episodes file.

    Args:
        path: the JSON-lines file.

    Returns:
        The run.

    Raises:
        ValueError: naming file, line and what is wrong, also where a line contradicts an earlier one.
        OSError: if the file cannot be read.
    """
    outcomes = RunAggregator()
    for number, record in enumerate(read_records(path), start=1):  # one record a line
        try:
            outcomes.add(record)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return outcomes.close()


def shared(
    first: ConditionOutcomes, second: ConditionOutcomes
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where the episodes that were played under both stand in each, in the same order."""
    if np.array_equal(first.episode_ids, second.episode_ids):
        everywhere = np.arange(first.n)
        return everywhere, everywhere
    _, left, right = np.intersect1d(
        first.episode_ids, second.episode_ids, assume_unique=True, return_indices=True
    )
    return left, right


def count_pairs(first: BoolArray, second: BoolArray) -> PairCounts:
    """Count success under two conditions in the same episodes, in the same order."""
    return PairCounts(
        both=int((first & second).sum()),
        only_first=int((first & ~second).sum()),
        only_second=int((second & ~first).sum()),
        neither=int((~first & ~second).sum()),
    )


def pair(first: ConditionOutcomes, second: ConditionOutcomes) -> PairCounts:
    """Count success under two conditions on the episodes that both played; there may be none."""
    left, right = shared(first, second)
    return count_pairs(first.success[left], second.success[right])


def _same_candidates(record: EpisodeRecord, num_candidates: int | None) -> int | None:
    said = record.size
    if said is None or num_candidates is None:
        return num_candidates if said is None else said
    if said != num_candidates:
        raise ValueError(
            f"candidates must be as many in all records, got {num_candidates} and "
            f"{said} (channel {record.channel!r}, episode_id {record.episode_id})"
        )
    return said
