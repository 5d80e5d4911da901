"""What Gate 1 makes of every channel of this study, read off its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from studies.cheats.base import Case

UNDECIDED = {True: "pass", False: "fail", None: "inconclusive"}


class Outcome(NamedTuple):
    """What a channel came to."""

    verdict: str
    promise: str = ""  # that it broke
    normal: float | None = None  # success, 0 to 1
    bits: float | None = None


def outcome_of(name: str, results: Mapping[str, Any]) -> Outcome:
    """What one channel of a run came to, by itself.

    Args:
        name: of the channel.
        results: content of results.json.
    """
    breach = results["provenance"]["breaches"].get(name)
    if breach is not None:
        return Outcome("invalid", breach.partition(":")[0])
    found = results["channels"].get(name)
    if found is None or found["role"] != "judged":
        return Outcome("left out")
    normal = found["conditions"]["normal"]["rate"]
    faults = [item["name"] for item in found["validity"]["criteria"] if item["passed"] is False]
    verdict = "invalid" if faults else UNDECIDED[found["gate1"]["passed"]]
    return Outcome(verdict, faults[0] if faults else "", normal, found["bits"])


def is_as_declared(case: Case, outcome: Outcome) -> bool:
    """Whether a channel came to what its decorator says."""
    if case.verdict == "no pass":
        return outcome.verdict in ("fail", "inconclusive")
    return (outcome.verdict, outcome.promise) == (case.verdict, case.promise)
