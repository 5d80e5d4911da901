"""A channel as it is put to the test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from parley.channels.base import Channel, Role
from parley.channels.conditions import Condition, conditions, find_condition


class Entry(NamedTuple):
    """A channel as it is put to the test, what it is played for, and under what."""

    channel: Channel
    role: Role = "judged"
    conditions: Sequence[str] | None = None  # None for all that there are


def conditions_of(entry: Entry) -> list[Condition]:
    """Those it is put to, in the order of play."""
    if entry.conditions is not None:
        return [find_condition(name) for name in entry.conditions]
    return conditions(baseline=entry.role == "baseline")
