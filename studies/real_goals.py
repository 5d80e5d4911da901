"""What was asked of the main runs before they were made, and whether it came true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

from studies.real_plan import MAIN

CODECS = ("latent_vq", "latent")
Row = Mapping[str, Any]
Answer = Literal["met", "missed", "open"]


class Finding(NamedTuple):
    """Of one run: what was measured, in words, and whether it is what was asked."""

    words: str
    met: bool


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is asked of every main run.

    Args:
        asks: the goal in words.
        measure: reads it off a run's row.
    """

    asks: str
    measure: Callable[[Row], Finding]

    def answer(self, rows: Sequence[Row]) -> Answer:
        """Met if every seed has met it, missed if one has not; open while one is not run."""
        found = [self.measure(row).met for row in rows]
        if False in found:
            return "missed"
        return "met" if len(found) == len(MAIN) else "open"

    def measured(self, rows: Sequence[Row]) -> str:
        """What was measured, run by run."""
        return "; ".join(f"{row['trial']}: {self.measure(row).words}" for row in rows) or "not run"


def _at_least(channel: str, floor: float, row: Row) -> Finding:
    rate = row["channels"][channel]["conditions"]["normal"]["rate"]
    return Finding(f"{100 * rate:.1f}", rate >= floor)


def _near_text(channel: str, margin: float, row: Row) -> Finding:
    played = row["channels"]
    text, rate = (played[name]["conditions"]["normal"]["rate"] for name in ("text", channel))
    # rates have 5 decimals: a hair beyond the margin is arithmetic of floats
    return Finding(f"{100 * (rate - text):+.1f}", text - rate <= margin + 1e-9)


def _controls(row: Row) -> Finding:
    """Shown to be at chance by the gate's own criteria; what is undetermined is not shown."""
    left = sorted(
        f"{channel} {name}"
        for channel in ("text", *CODECS)
        for name, passed in row["channels"][channel]["at_chance"].items()
        if passed is not True
    )
    return Finding(f"not shown: {', '.join(left)}" if left else "all", not left)


def _gates(row: Row) -> Finding:
    said = {name: row["channels"][name]["gate1"] for name in CODECS}
    words = ", ".join(f"{name} {gate}" for name, gate in said.items())
    return Finding(words, set(said.values()) == {"pass"})


GOALS = (
    Goal(asks="text at least 90%", measure=partial(_at_least, "text", 0.9)),
    *(Goal(asks=f"{name} at least 85%", measure=partial(_at_least, name, 0.85)) for name in CODECS),
    *(
        Goal(asks=f"{name} within 3 points of text", measure=partial(_near_text, name, 0.03))
        for name in CODECS
    ),
    Goal(asks="every control shown to be at chance", measure=_controls),
    Goal(asks="Gate 1 passes with every seed", measure=_gates),
)
