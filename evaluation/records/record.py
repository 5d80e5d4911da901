"""One played episode, and what each of its fields may hold."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from parley.channels.base import Role
from parley.channels.conditions import find_condition

LARGEST = 2**53
_LARGEST_ID = 2**63
_ROUNDING = 2e-6  # probabilities are recorded with 6 digits, so a pick may look this much less probable
_SUM_WITHIN = 0.02  # and others may record them with 2


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeRecord:
    """One episode, played over one channel under one condition.

    Args:
        channel: name of the channel, printable.
        condition: name of the condition; where it reorders the candidates, indices count in the new order.
        episode_id: the episode; the same number is the same episode for every channel and condition.
        success: whether the receiver picked the target.
        role: of the channel in this run.
        choice: index of the candidate that the receiver picked.
        target: index of the target among the candidates.
        intended: index of the candidate that the delivered message names; under swap not the target.
        bits: bits charged for this message.
        tokens: positions of the receiver's input that the message takes: text tokens or prefix vectors.
        seconds: wall time of the models' work for this episode under this condition.
        message: what was delivered, as JSON.
        probabilities: the receiver's probability of each candidate.
        num_candidates: N.
        candidates: the N candidates in words, in the order in which the receiver saw them.

    Raises:
        ValueError: if a field is out of its range, or if the fields contradict each other.
    """

    channel: str
    condition: str
    episode_id: int
    success: bool
    role: Role = "judged"
    choice: int | None = None
    target: int | None = None
    intended: int | None = None
    bits: float | int | None = None
    tokens: int | None = None
    seconds: float | int | None = None
    message: Any = None
    probabilities: Sequence[float | int] | None = None
    num_candidates: int | None = None
    candidates: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not self.channel.isprintable() or not self.channel.strip():
            raise wrong("channel", "a printable name", self.channel)
        if not -_LARGEST_ID <= self.episode_id < _LARGEST_ID:
            raise wrong("episode_id", "an integer of 64 bits", self.episode_id)
        _check_number("bits", "a number", self.bits)
        _check_number("tokens", "an integer", self.tokens)
        _check_number("seconds", "a number", self.seconds)
        size = self._agreed_size()
        _check_candidate("choice", self.choice, size)
        _check_candidate("target", self.target, size)
        _check_candidate("intended", self.intended, size)
        self._check_agreement()

    @property
    def size(self) -> int | None:
        """N, as the fields say that tell it; None if none does."""
        listed = self.probabilities or self.candidates
        return self.num_candidates or (None if listed is None else len(listed))

    def _agreed_size(self) -> int | None:
        """N; refuses fields that disagree on it."""
        size = self.num_candidates
        if size is not None and size < 2:
            raise wrong("num_candidates", "an integer of at least 2", size)
        if self.probabilities is not None:
            _check_probabilities(self.probabilities)
            size = _same_size("probabilities", len(self.probabilities), size)
        if self.candidates is not None:
            if len(self.candidates) < 2:
                raise wrong("candidates", "a list of at least 2 strings", self.candidates)
            size = _same_size("candidates", len(self.candidates), size)
        return size

    def _check_agreement(self) -> None:
        condition = find_condition(self.condition)
        if not condition.for_channels and self.role != "baseline":
            raise ValueError(
                f"condition {self.condition} is of the baseline alone, got it of channel {self.channel!r}"
            )
        known = self.choice is not None and self.target is not None
        if known and self.success != (self.choice == self.target):
            said = str(self.success).lower()
            raise ValueError(f"success is {said}, but choice is {self.choice} and target {self.target}")
        self._check_choice()
        if self.intended is None:
            return
        if not condition.names_candidate:
            raise ValueError(
                f"intended must be null under {self.condition}, whose message names no candidate of the "
                f"episode, got {self.intended}"
            )
        if self.target is None:
            return
        if condition.expectation == "swap_consistency" and self.intended == self.target:
            raise ValueError(
                f"intended must differ from target under {self.condition}, got {self.intended} for both"
            )
        if condition.expectation == "above_floor" and self.intended != self.target:
            raise ValueError(
                f"intended must be the target under {self.condition}, got {self.intended} and {self.target}"
            )

    def _check_choice(self) -> None:
        if self.choice is None or self.probabilities is None:
            return
        picked, highest = self.probabilities[self.choice], max(self.probabilities)
        if picked < highest - _ROUNDING:
            raise ValueError(
                f"choice must be the most probable candidate, got {self.choice} of probability {picked:g} "
                f"where another has {highest:g}"
            )


def wrong(name: str, wanted: str, value: object) -> ValueError:
    """The error of a field that holds what it may not."""
    return ValueError(f"{name} must be {wanted}, got {reprlib.repr(value)}")


def _check_number(name: str, kind: str, value: float | int | None) -> None:
    if value is not None and not 0 <= value <= LARGEST:
        raise wrong(name, f"{kind} from 0 to {LARGEST}", value)


def _check_probabilities(probabilities: Sequence[float | int]) -> None:
    # NaN compares false, so it must not be left to min and max
    if len(probabilities) < 2 or not all([0 <= number <= 1 for number in probabilities]):  # noqa: C419 - faster
        raise wrong("probabilities", "a list of at least 2 numbers between 0 and 1", probabilities)
    if abs(sum(probabilities) - 1) > _SUM_WITHIN:
        raise ValueError(f"probabilities must sum to 1, got {sum(probabilities):g}")


def _same_size(name: str, found: int, size: int | None) -> int:
    if size is not None and found != size:
        raise ValueError(f"{name} must be {size}, the number of candidates, got {found}")
    return found


def _check_candidate(name: str, index: int | None, size: int | None) -> None:
    if index is None:
        return
    if index < 0:
        raise wrong(name, "the index of a candidate, at least 0", index)
    if size is not None and index >= size:
        raise wrong(name, f"less than {size}, the number of candidates", index)
