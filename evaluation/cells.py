"""How numbers and verdicts are spelled, in every table and picture alike."""

from collections.abc import Mapping
from typing import Any

NOT_PLAYED = "–"
_GATES = {True: "pass", False: "fail", None: "inconclusive"}
_ANSWERS = {True: "yes", False: "no", None: "cannot tell"}


def percent(share: float) -> str:
    """A share of 1 in percent with one decimal, such as 92.0%."""
    return f"{100 * share:.1f}%"


def interval(proportion: Mapping[str, Any]) -> str:
    """An interval in percent without its sign, such as [81.2, 96.8]."""
    return f"[{100 * proportion['ci_low']:.1f}, {100 * proportion['ci_high']:.1f}]"


def span(proportion: Mapping[str, Any]) -> str:
    """An interval in percent where room is scarce, such as 81.2–96.8."""
    return f"{100 * proportion['ci_low']:.1f}–{100 * proportion['ci_high']:.1f}"


def rate(proportion: Mapping[str, Any]) -> str:
    """A rate with its counts, such as 92.0% (46/50)."""
    return f"{percent(proportion['rate'])} ({proportion['successes']}/{proportion['n']})"


def number(value: float | None) -> str:
    """A number with at most four significant digits; an en dash if it is unknown."""
    return NOT_PLAYED if value is None else f"{value:.4g}"


def digits(value: float | None, after_point: int) -> str:
    """A number with so many digits after the point; an en dash if it is unknown."""
    return NOT_PLAYED if value is None else f"{value:.{after_point}f}"


def bits(value: float | None) -> str:
    """Bits a message with at most one decimal; an en dash if they are unknown."""
    return NOT_PLAYED if value is None else f"{value:.1f}".removesuffix(".0")


def answer(passed: bool | None) -> str:
    """What a criterion says: yes, no, cannot tell."""
    return _ANSWERS[passed]


def gate(channel: Mapping[str, Any]) -> str:
    """What Gate 1 says of a channel in one word: its status where it is not judged."""
    return _GATES[channel["gate1"]["passed"]] if channel["status"] == "trained" else str(channel["status"])
