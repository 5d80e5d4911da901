"""One channel under one condition: growing while records arrive, then frozen and sorted by episode."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parley.evaluation.aggregation.nll import target_nll
from parley.evaluation.records import EpisodeRecord

UNKNOWN = -1
Indices = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class ConditionOutcomes:
    """The episodes of one channel under one condition, sorted by episode_id.

    Args:
        episode_ids: (n,) distinct.
        success: (n,) whether the receiver picked the target.
        choice: (n,) what it picked, UNKNOWN where a record does not say.
        target: (n,) what was right, or UNKNOWN.
        intended: (n,) what the delivered message names, or UNKNOWN.
        probabilities: (n, N) the receiver's, None if a record does not say.
        messages: (n,) a hash of each message, equal for equal messages in one process; None unless all are
            text or codes.
        views: (n,) a hash of what the receiver saw of the episode itself, the candidates in words or, where
            they are not there, its probabilities; of the baseline alone, None if a record holds neither.
        overdrawn: text messages of more bits in UTF-8 than they were charged.
        mean_bits: charged per message, None if a record does not say.
        mean_tokens: positions that a message takes in the receiver's input, None if a record does not say.
        mean_seconds: wall time per episode, None if a record does not say.
        mean_nll: mean negative log-likelihood of the target in nats, None if a record does not say.
    """

    episode_ids: npt.NDArray[np.int64]
    success: npt.NDArray[np.bool_]
    choice: Indices
    target: Indices
    intended: Indices
    probabilities: npt.NDArray[np.float32] | None
    messages: npt.NDArray[np.int64] | None
    views: npt.NDArray[np.int64] | None
    overdrawn: int
    mean_bits: float | None
    mean_tokens: float | None
    mean_seconds: float | None
    mean_nll: float | None

    @property
    def n(self) -> int:
        """Number of episodes, at least 1."""
        return len(self.episode_ids)

    @property
    def successes(self) -> int:
        """Number of episodes in which the receiver picked the target."""
        return int(self.success.sum())

    @property
    def followable(self) -> npt.NDArray[np.bool_]:
        """(n,) whether an episode says both what was picked and what the message names."""
        known: npt.NDArray[np.bool_] = (self.choice != UNKNOWN) & (self.intended != UNKNOWN)
        return known

    @property
    def swap_consistent(self) -> int:
        """Picks of the candidate that the delivered message names."""
        return int((self.followable & (self.choice == self.intended)).sum())


class ConditionAggregator:
    """One channel under one condition while records still arrive."""

    _INDICES = ("choice", "target", "intended")
    _NUMBERS = ("bits", "tokens", "seconds")

    def __init__(self) -> None:
        self._episode_ids = array("q")
        self._success = array("b")
        self._indices = {name: array("i") for name in self._INDICES}
        self._numbers = {name: array("d") for name in (*self._NUMBERS, "nll")}
        self._messages = array("q")
        self._views = array("q")
        self._overdrawn = 0
        self._probabilities = array("f")
        self._all_probabilities = True

    def add(self, record: EpisodeRecord) -> None:
        """Count one record."""
        self._episode_ids.append(record.episode_id)
        self._success.append(record.success)
        for name, indices in self._indices.items():
            index = getattr(record, name)
            indices.append(UNKNOWN if index is None else index)
        for name in self._NUMBERS:
            self._numbers[name].append(_number(getattr(record, name)))
        self._numbers["nll"].append(_number(target_nll(record)))
        self._add_message(record)
        seen = record.candidates or record.probabilities
        if record.role == "baseline" and seen is not None:
            self._views.append(hash(tuple(seen)))
        if record.probabilities is None:
            self._all_probabilities = False
        else:
            self._probabilities.extend(record.probabilities)

    def close(self, name: str) -> ConditionOutcomes:
        """What was counted so far.

        Raises:
            ValueError: if an episode is there twice, naming both.
        """
        episode_ids = np.array(self._episode_ids, dtype=np.int64)
        order = np.argsort(episode_ids, kind="stable")
        episode_ids = episode_ids[order]
        twice = episode_ids[1:][episode_ids[1:] == episode_ids[:-1]]
        if len(twice):
            raise ValueError(f"records: episode_id {twice[0]} is there twice for {name}")
        hashes: dict[str, Any] = {
            name: np.array(found, dtype=np.int64)[order] if len(found) == len(order) else None
            for name, found in (("messages", self._messages), ("views", self._views))
        }
        sorted_indices: dict[str, Any] = {
            name: np.array(indices, dtype=np.int32)[order] for name, indices in self._indices.items()
        }
        means: dict[str, Any] = {
            f"mean_{name}": _mean(numbers, order) for name, numbers in self._numbers.items()
        }
        return ConditionOutcomes(
            episode_ids=episode_ids,
            success=np.array(self._success, dtype=np.bool_)[order],
            overdrawn=self._overdrawn,
            probabilities=self._sorted_probabilities(order),
            **hashes,
            **sorted_indices,
            **means,
        )

    def _add_message(self, record: EpisodeRecord) -> None:
        message = record.message
        codes = isinstance(message, list) and all(isinstance(code, int) for code in message)
        if not (codes or isinstance(message, str)):
            return  # numbers of continuous messages differ in their last digits between batches
        self._messages.append(hash(repr(message)))
        if isinstance(message, str) and record.bits is not None:
            self._overdrawn += 8 * len(message.encode(errors="surrogatepass")) > record.bits

    def _sorted_probabilities(self, order: npt.NDArray[np.intp]) -> npt.NDArray[np.float32] | None:
        if not self._all_probabilities:
            return None
        return np.array(self._probabilities, dtype=np.float32).reshape(len(order), -1)[order]


def _number(value: float | int | None) -> float:
    return float("nan") if value is None else value


def _mean(numbers: array[float], order: npt.NDArray[np.intp]) -> float | None:
    mean = float(np.mean(np.array(numbers)[order]))
    return None if np.isnan(mean) else mean
