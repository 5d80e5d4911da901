"""An admission from the first trial to the record: the sender first, then the receiver with its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

from parley.agents.sender import Sender
from parley.evaluation.admission.grid import SENDER_SHOTS, Question, questions
from parley.evaluation.admission.rule import SenderTrial, best_cell, best_sender, read_cell
from parley.evaluation.admission.trials import Advance, Trials
from parley.evaluation.admission.trials_file import TrialsFile


class Bar(Protocol):
    """Where progress is shown."""

    def begin(self, trial: str) -> None:
        """The next trial begins."""

    def advance(self, episodes: int) -> None:
        """So many episodes of it were played."""


def num_trials() -> int:
    """How many trials begin in an admission."""
    return len(SENDER_SHOTS) + len(questions()) + 1


def admit(trials: Trials, kept: TrialsFile, bar: Bar) -> dict[str, Any]:
    """Try the sender, then the receiver with the best sender's words, and look closer at the best cell.

    Args:
        trials: of the two models.
        kept: what was tried so far; each trial is added as it is finished.
        bar: where progress is shown.

    Returns:
        What a profile keeps of its admission.

    Raises:
        ValueError: if one of the two can be asked in no way of the grid.
    """
    left_out: dict[str, str] = {}

    def attempt(name: str, compute: Callable[[], Any]) -> list[Any]:
        """Its outcome alone, or nothing, and why."""
        bar.begin(name)
        outcome = kept.outcome(name, partial(_attempt, compute))
        if "left_out" in outcome:
            left_out[name] = outcome["left_out"]
        return [outcome["found"]] if "found" in outcome else []

    senders = [
        SenderTrial(**row)
        for shots in SENDER_SHOTS
        for row in attempt(f"sender with {shots} shots", partial(_speak, trials, shots))
    ]
    _check_some("sender", senders, left_out)
    sender = trials.sender(best_sender(senders).shots)
    cells = [
        read_cell(row)
        for question in questions()
        for rows in attempt(str(question), partial(_ask, trials, question, sender, bar.advance))
        for row in rows
    ]
    _check_some("receiver", cells, left_out)
    chosen = best_cell(cells)
    bar.begin("cyclic orders")
    closer = kept.outcome(
        "cyclic orders",
        partial(trials.examine, chosen.question, chosen.calibration, sender, bar.advance),
    )
    return {
        **_describe(trials),
        "fit": chosen.fit,
        "chosen": chosen.as_json(),
        "cells": [cell.as_json() for cell in cells],
        "left_out": left_out,
        "sender": [asdict(row) for row in senders],
        "receiver": {"exact_success": {"successes": chosen.exact_successes, "n": chosen.n}, **closer},
    }


def _describe(trials: Trials) -> dict[str, Any]:
    return {
        "episodes": trials.config.episodes,
        "seed": trials.config.seed,
        "game": trials.config.game,
        "world": trials.world.name,
        "num_candidates": trials.plan.game.num_choices,
        "resample_probability": trials.config.resample_probability,
    }


def _speak(trials: Trials, shots: int) -> dict[str, Any]:
    return asdict(trials.try_sender(trials.sender(shots)))


def _ask(trials: Trials, question: Question, sender: Sender, advance: Advance) -> list[dict[str, Any]]:
    return [cell.as_json() for cell in trials.try_receiver(question, sender, advance)]


def _attempt(compute: Callable[[], Any]) -> dict[str, Any]:
    """What was found, or why this model cannot be asked so."""
    try:
        return {"found": compute()}
    except ValueError as error:  # such as no token for a letter, or more examples than its context holds
        return {"left_out": str(error)}


def _check_some(role: str, found: Sequence[object], left_out: Mapping[str, str]) -> None:
    if not found:
        trial, reason = list(left_out.items())[-1]
        raise ValueError(f"the {role} can be asked in no way of the grid; {trial}: {reason}")
