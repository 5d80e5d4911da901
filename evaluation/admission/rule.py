"""The rule of admission, fixed before any result; in words: docs/players.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from parley.agents.player import Calibration
from parley.evaluation.admission.grid import Question
from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.gates.inference import Inference
from parley.evaluation.statistics import Proportion


@dataclass(frozen=True, kw_only=True)
class SenderTrial:
    """How often a sender's words were the exact description.

    Args:
        shots: solved examples that it was shown.
        exact: referents that it described exactly.
        n: referents that it described.
    """

    shots: int
    exact: int
    n: int


@dataclass(frozen=True, kw_only=True)
class Cell:
    """How a receiver played when asked in one way.

    Args:
        shots: solved examples that it was shown.
        readout: how its choice was read.
        wording: how it was asked.
        calibration: what was subtracted from the scores.
        n: episodes under each condition.
        successes: of them with the sender's message about the target.
        swap_consistent: those in which it picked the candidate that the message about another one named.
        exact_successes: successes with the exact description of the target.
    """

    shots: int
    readout: str
    wording: str
    calibration: Calibration
    n: int
    successes: int
    swap_consistent: int
    exact_successes: int

    @property
    def measured(self) -> tuple[Proportion, Proportion]:
        """Success and swap consistency, with the intervals of Gate 1."""
        arithmetic = gate_arithmetic()
        return (
            arithmetic.interval(self.successes, self.n),
            arithmetic.interval(self.swap_consistent, self.n),
        )

    @property
    def score(self) -> float:
        """By which cells are compared: the lower of the two intervals' lower ends."""
        return min(proportion.ci_low for proportion in self.measured)

    @property
    def fit(self) -> bool:
        """Whether both true rates are shown to be above the floor of Gate 1."""
        return self.score > floor()

    @property
    def question(self) -> Question:
        """How the receiver was asked."""
        return Question(shots=self.shots, readout=self.readout, wording=self.wording)

    def as_json(self) -> dict[str, Any]:
        """The counts with the score, as a profile keeps them."""
        return {**asdict(self), "score": self.score}


def read_cell(row: Mapping[str, Any]) -> Cell:
    """A cell as a profile keeps it."""
    return Cell(**{name: value for name, value in row.items() if name != "score"})


def gate_arithmetic() -> Inference:
    """That of Gate 1, with its own constants."""
    return Inference(thresholds=Thresholds())


def floor() -> float:
    """What success and swap consistency must be shown to be above."""
    return gate_arithmetic().thresholds.min_ci_low


def best_sender(trials: Sequence[SenderTrial]) -> SenderTrial:
    """The one with the largest share of exact descriptions; of equal ones that with the fewest shots."""
    return max(trials, key=lambda trial: (trial.exact / trial.n, -trial.shots))


def best_cell(cells: Sequence[Cell]) -> Cell:
    """The one with the highest score; of equal ones that with the fewest shots, then the first.

    Args:
        cells: in the order of the grid.
    """
    return max(cells, key=lambda cell: (cell.score, -cell.shots))
