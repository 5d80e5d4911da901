"""Whether a pair can play at all: the floor of Gate 1, asked of the sender's own words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from parley.evaluation.aggregation.run_data import RunOutcomes
from parley.evaluation.gates.inference import Inference
from parley.evaluation.statistics import Proportion, wilson

Counts = tuple[int, int]
"""Successes, and out of how many."""


@dataclass(frozen=True, kw_only=True)
class Fitness:
    """What is known of a pair without any channel that is judged.

    Args:
        fit: whether text reached the floor under normal and under swap; None if that is not shown.
        shown_by: the text channel of the run, or the trials of `parley admit`; None if neither says it.
        success: of text under normal; None if it is not known.
        swap_consistency: of text under swap; None if it is not known.
        settled: whether more episodes could not change it.
        floor: what the lower ends of both intervals must reach.
    """

    fit: bool | None = None
    shown_by: Literal["text", "admission"] | None = None
    success: Proportion | None = None
    swap_consistency: Proportion | None = None
    settled: bool = True
    floor: float


def pair_fitness(outcomes: RunOutcomes, provenance: Mapping[str, Any], inference: Inference) -> Fitness:
    """Ask the text channel, and if it was not played, or too little, the admission.

    Args:
        outcomes: the run.
        provenance: of the run; `players.admission` may say whether the pair is fit.
        inference: the arithmetic.

    Returns:
        What is shown. Unlike a criterion, which says no only of what is shown to lie below the floor, a pair
        whose text has not reached the floor is unfit, unless no text of so few episodes could have.
    """
    played, floor = _text(outcomes), inference.thresholds.min_ci_low
    reached = [_reached(counts, inference) for counts in played]
    fit = False if False in reached else None if None in reached else True
    if fit is None and (admitted := _admitted(provenance, inference)):
        return admitted
    shown = {inference.reaches(*counts, floor) for counts in played if counts is not None}
    success, swap = (None if counts is None else inference.interval(*counts) for counts in played)
    return Fitness(
        fit=fit,
        shown_by=None if fit is None else "text",
        success=success,
        swap_consistency=swap,
        settled=False in shown or None not in shown,
        floor=floor,
    )


def is_settled(passed: Collection[bool | None], fitness: Fitness) -> bool:
    """Whether no further episode can change the verdict: what fails may still be the pair's fault."""
    if not passed or None in passed:
        return False
    return False not in passed or fitness.settled


def unfit_sentence(fitness: Fitness, channels: str) -> str:
    """The verdict on a run whose pair is unfit.

    Args:
        fitness: of the pair.
        channels: of which nothing can be said, as words.
    """
    return (
        f"Receiver unfit: {_figures(fitness)}, where each interval must begin at {fitness.floor:.1%} or "
        f"above, so nothing can be said of {channels}. Run parley admit to find prompts under which this "
        f"pair can play, or take other models."
    )


def fitness_notes(fitness: Fitness, verdict: str, passed: Sequence[str]) -> list[str]:
    """What a reader must know of the pair beside the verdict.

    Args:
        fitness: of the pair.
        verdict: on the run.
        passed: judged channels that met all that was asked.

    Returns:
        A sentence if a channel passed between an unfit pair, or if failing may be the pair's fault.
    """
    if verdict in ("fail", "inconclusive") and fitness.fit is None:
        return [
            "Whether this pair can play at all is not shown: that takes the text channel under normal and "
            "swap, in enough episodes, or parley admit."
        ]
    if verdict in ("pass", "unfit") and fitness.fit is False and passed:
        said = _figures(fitness)
        return [
            f"{said[0].upper()}{said[1:]}: the pair is unfit to play with words. That {' and '.join(passed)} "
            f"passed is evidence by itself."
        ]
    return []


def _text(outcomes: RunOutcomes) -> tuple[Counts | None, Counts | None]:
    """Of the text channel, successes under normal and picks of what the message names under swap."""
    for channel in outcomes.channels.values():
        if channel.role == "ceiling":
            normal, swap = channel.conditions.get("normal"), channel.conditions.get("swap")
            followable = 0 if swap is None else int(swap.followable.sum())
            return (
                None if normal is None else (normal.successes, normal.n),
                (swap.swap_consistent, followable) if swap is not None and followable else None,
            )
    return None, None


def _reached(counts: Counts | None, inference: Inference) -> bool | None:
    """Whether the lower end of the interval is at least the floor; None if no count of n could be."""
    if counts is None:
        return None
    floor, n = inference.thresholds.min_ci_low, counts[1]
    if inference.interval(*counts).ci_low >= floor:
        return True
    return None if inference.interval(n, n).ci_low < floor else False


def _admitted(provenance: Mapping[str, Any], inference: Inference) -> Fitness | None:
    """What the trials say by which the players' profile was chosen; None if there were none."""
    players = provenance.get("players") or {}
    admission = players.get("admission")
    if admission is None:
        return None
    chosen, confidence = admission["chosen"], inference.thresholds.confidence
    return Fitness(
        fit=bool(admission["fit"]),
        shown_by="admission",
        success=wilson(chosen["successes"], chosen["n"], confidence=confidence),
        swap_consistency=wilson(chosen["swap_consistent"], chosen["n"], confidence=confidence),
        floor=inference.thresholds.min_ci_low,
    )


def _figures(fitness: Fitness) -> str:
    """Success and swap consistency of text, as far as they are known, as a clause."""
    where = "" if fitness.shown_by == "text" else "on the validation episodes of the admission "
    measured = {"succeeded": fitness.success, "followed the swap": fitness.swap_consistency}
    said = [f"{what} in {_share(rate)}" for what, rate in measured.items() if rate is not None]
    return f"{where}text {' and '.join(said)}"


def _share(rate: Proportion) -> str:
    return f"{rate.rate:.1%} of {rate.n} episodes [{100 * rate.ci_low:.1f}, {100 * rate.ci_high:.1f}]"
