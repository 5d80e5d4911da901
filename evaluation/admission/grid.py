"""What is tried: numbers of solved examples, and for receivers every readout with its wordings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import get_args

from parley.agents.player import Calibration, ReceiverSettings
from parley.agents.readout import READOUTS

SENDER_SHOTS = (0, 1, 3, 4)
SHOTS = (0, 1, 3)
MOST_WORDINGS = 3


@dataclass(frozen=True, kw_only=True)
class Question:
    """One way to ask a receiver; the calibrations are read off the same answers.

    Args:
        shots: solved examples that it is shown first.
        readout: registered name.
        wording: one of the readout's.
    """

    shots: int
    readout: str
    wording: str

    def __str__(self) -> str:
        return f"{self.readout} {self.wording} with {self.shots} shots"

    @property
    def calibrations(self) -> tuple[Calibration, ...]:
        """Those that can be tried."""
        calibrates = READOUTS.find(self.readout).calibrates
        return get_args(Calibration) if calibrates else ("none",)

    @property
    def settings(self) -> ReceiverSettings:
        """Those under which every calibration can be read."""
        return self.calibrated(self.calibrations[-1])

    def calibrated(self, calibration: Calibration) -> ReceiverSettings:
        """A cell of the grid, as settings."""
        return ReceiverSettings(
            shots=self.shots, readout=self.readout, wording=self.wording, calibration=calibration
        )


def questions() -> list[Question]:
    """The grid, without the calibrations: by shots, then readout in alphabetical order, then wording."""
    return [
        Question(shots=shots, readout=readout, wording=wording)
        for shots in SHOTS
        for readout in READOUTS.names()
        for wording in islice(READOUTS.find(readout).wordings, MOST_WORDINGS)
    ]


def wording_texts() -> dict[str, list[str]]:
    """What each readout and wording of the grid says, by name: trials under other words are others."""
    asked = {(question.readout, question.wording) for question in questions()}
    return {
        f"{readout} {wording}": list(READOUTS.find(readout).wordings[wording])
        for readout, wording in sorted(asked)
    }
