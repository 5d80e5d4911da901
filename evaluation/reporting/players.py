"""Who plays, how each player is asked, and what was tried before: as the run's provenance says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from parley.evaluation.reporting.spelling import visible
from parley.evaluation.results import Results
from parley.evaluation.statistics import wilson

FIRST_DIGITS = 12
_FITNESS = {True: "fit to play", False: "unfit to play", None: "not shown to be fit to play"}
_SHOWN_BY = {"text": ", as its text channel shows", "admission": ", as its admission shows", None: ""}


class Player(NamedTuple):
    """One of the two: its model, the first digits of its SHA-256, and how it is asked."""

    role: str
    model: str
    fingerprint: str
    asked: str


class Trial(NamedTuple):
    """What was tried on validation episodes, and how often it went well."""

    what: str
    rate: Mapping[str, Any]


class Cell(NamedTuple):
    """A way of asking that was tried with the text channel."""

    asked: str
    chosen: bool
    success: Mapping[str, Any]
    swap_consistency: Mapping[str, Any]


class Players(NamedTuple):
    """The section of a report: `picks` counts the receiver's picks by position, and may be empty."""

    players: list[Player]
    source: str
    fitness: str
    trials: list[Trial]
    picks: list[int]
    cells: list[Cell]


def players_of(results: Results) -> Players | None:
    """What a report says of the players; None of a run that does not record them.

    Args:
        results: as from build_results.
    """
    said = results["provenance"].get("players")
    if not said:
        return None
    models, fitness = results["provenance"].get("models", {}), results["fitness"]
    confidence = results["thresholds"]["confidence"]
    admission = said.get("admission") or {}
    return Players(
        players=[_player(role, models.get(role, {}), said[role]) for role in ("sender", "receiver")],
        source=_source(said.get("source", "")),
        fitness=f"{_FITNESS[fitness['fit']]}{_SHOWN_BY[fitness['shown_by']]}",
        trials=list(_trials(admission, confidence)),
        picks=list(admission.get("receiver", {}).get("picks", ())),
        cells=[_cell(cell, admission.get("chosen"), confidence) for cell in admission.get("cells", ())],
    )


def brief(players: Players) -> str:
    """The players in one sentence."""
    said = [f"{player.role} {player.model}, {player.asked}" for player in players.players]
    return f"Players: {'; '.join(said)}; profile: {players.source}."


def _player(role: str, model: Mapping[str, Any], settings: Mapping[str, Any]) -> Player:
    return Player(
        role=role,
        model=visible(str(model.get("name", "unknown"))),
        fingerprint=visible(str(model.get("sha256", "")))[:FIRST_DIGITS],
        asked=_asked(settings),
    )


def _asked(settings: Mapping[str, Any]) -> str:
    words = [f"{name} {settings[name]}" for name in ("readout", "wording", "calibration") if name in settings]
    return visible(", ".join([*words, _shots(settings["shots"])]))


def _shots(shots: int) -> str:
    return f"{shots or 'no'} solved example{'' if shots == 1 else 's'}"


def _source(source: str) -> str:
    """What nobody tried is said to be so, with what to do."""
    advice = "; run parley admit" if "never tried" in source else ""
    return visible(f"{source or 'unknown'}{advice}")


def _trials(admission: Mapping[str, Any], confidence: float) -> Iterator[Trial]:
    """Those that the record of an admission holds, in the order in which they are read."""
    chosen, receiver = admission.get("chosen") or {}, admission.get("receiver", {})
    counts: list[tuple[str, int | None, int | None]] = [
        ("text succeeds", chosen.get("successes"), chosen.get("n")),
        ("text is followed under swap", chosen.get("swap_consistent"), chosen.get("n")),
    ]
    counts += [
        (f"the sender's words are exact, {_shots(row['shots'])}", row["exact"], row["n"])
        for row in admission.get("sender", ())
    ]
    exact, cyclic = receiver.get("exact_success", {}), receiver.get("cyclic_consistency", {})
    counts += [
        ("the receiver finds what is described exactly", exact.get("successes"), exact.get("n")),
        ("it picks the same in every cyclic order", cyclic.get("same"), cyclic.get("n")),
    ]
    for what, successes, n in counts:
        if successes is not None and n:
            yield Trial(what, _rate(successes, n, confidence))


def _cell(cell: Mapping[str, Any], chosen: object, confidence: float) -> Cell:
    return Cell(
        asked=_asked(cell),
        chosen=cell == chosen,
        success=_rate(cell["successes"], cell["n"], confidence),
        swap_consistency=_rate(cell["swap_consistent"], cell["n"], confidence),
    )


def _rate(successes: int, n: int, confidence: float) -> Mapping[str, Any]:
    return asdict(wilson(successes, n, confidence=confidence))


def without_players(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What is left to be listed where the players have a section of their own."""
    return {key: value for key, value in provenance.items() if key != "players"}
