"""How numbers and verdicts are spelled, in every table and picture alike."""

from collections.abc import Mapping
from typing import Any

NOT_PLAYED = "–"
LEAST_P = 1e-4
_GATES = {True: "pass", False: "fail", None: "inconclusive"}
_ANSWERS = {True: "yes", False: "no", None: "undetermined"}
_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def percent(share: float | None) -> str:
    """A share of 1 in percent with one decimal, such as 92.0%; an en dash if it is unknown."""
    return NOT_PLAYED if share is None else f"{100 * share:.1f}%"


def interval(proportion: Mapping[str, Any]) -> str:
    """An interval in percent without its sign, such as [81.2, 96.8]."""
    return f"[{100 * proportion['ci_low']:.1f}, {100 * proportion['ci_high']:.1f}]"


def span(proportion: Mapping[str, Any]) -> str:
    """An interval in whole percent where room is scarce, such as 81–97."""
    return f"{100 * proportion['ci_low']:.0f}–{100 * proportion['ci_high']:.0f}"


def rate(proportion: Mapping[str, Any]) -> str:
    """A rate with its counts, such as 92.0% (46/50)."""
    return f"{percent(proportion['rate'])} ({proportion['successes']}/{proportion['n']})"


def success(proportion: Mapping[str, Any] | None) -> str:
    """A rate with counts and interval, such as 92.0% (46/50) [81.2, 96.8]; an en dash if it is unknown."""
    return NOT_PLAYED if proportion is None else f"{rate(proportion)} {interval(proportion)}"


def estimate(information: Mapping[str, Any] | None) -> str:
    """Transmitted bits with their interval, such as 2.11 [1.98, 2.22]; an en dash if they are unknown."""
    if information is None or information["bits"] is None:
        return NOT_PLAYED
    ends = [digits(information[end], 2) for end in ("ci_low", "ci_high")]
    return f"{digits(information['bits'], 2)} [{', '.join(ends)}]"


def points(difference: float) -> str:
    """A difference of two shares in percentage points with its sign, such as +77.5."""
    return f"{100 * difference:+.1f}"


def points_interval(difference: Mapping[str, Any]) -> str:
    """The interval of such a difference, such as [+72.9, +81.2]."""
    return f"[{points(difference['ci_low'])}, {points(difference['ci_high'])}]"


def p_value(p: float | None) -> str:
    """A p-value with two significant digits, such as 0.012; below 0.0001 no more than that it is."""
    if p is None:
        return NOT_PLAYED
    return "<0.0001" if p < LEAST_P else f"{p:.2g}"


def number(value: float | None) -> str:
    """A number with at most four significant digits; an en dash if it is unknown."""
    return NOT_PLAYED if value is None else f"{value:.4g}"


def digits(value: float | None, after_point: int) -> str:
    """A number with a fixed number of digits after the point; an en dash if it is unknown."""
    return NOT_PLAYED if value is None else f"{value:.{after_point}f}"


def bits(value: float | None) -> str:
    """Bits a message with at most one decimal; an en dash if they are unknown."""
    return NOT_PLAYED if value is None else f"{value:.1f}".removesuffix(".0")


def seconds(value: float | None) -> str:
    """Wall time with its unit, such as 1.5 s or 12 ms; an en dash if it is unknown."""
    if value is None:
        return NOT_PLAYED
    return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"


def operations(value: float | None) -> str:
    """A number of operations with its prefix, such as 7.63 G; an en dash if it is unknown."""
    if value is None:
        return NOT_PLAYED
    for size, prefix in _PREFIXES:
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g}"


def slot(place: int, codes_per_slot: int) -> str:
    """What a code of a message stands for, such as 3, or where a slot has several codes: 2, stage 1.

    Args:
        place: of the code in its message, from 0.
        codes_per_slot: how many neighbours stand for one slot.
    """
    number, stage = divmod(place, codes_per_slot)
    return f"{number + 1}, stage {stage + 1}" if codes_per_slot > 1 else str(number + 1)


def answer(passed: bool | None) -> str:
    """What a criterion says: yes, no, undetermined."""
    return _ANSWERS[passed]


def verdict(passed: bool | None, fit: bool | None) -> str:
    """What a rule says: pass, fail, inconclusive; and unfit if it does not pass and the pair cannot play."""
    return "unfit" if fit is False and not passed else _GATES[passed]


def gate(channel: Mapping[str, Any], fit: bool | None) -> str:
    """What Gate 1 says of a channel in one word: its role where it is not judged.

    A judged channel with a failed check of validity is invalid, whatever its figures say.
    """
    if channel["role"] != "judged":
        return str(channel["role"])
    return "invalid" if channel["validity"]["passed"] is False else verdict(channel["gate1"]["passed"], fit)


def outcome(results: Mapping[str, Any]) -> str:
    """The verdict and what stands beside it, such as pass, unsealed."""
    return ", ".join([results["verdict"], *results["qualifiers"]])


def gates(numbers: list[int]) -> str:
    """The gates that decide, such as Gate 1 or Gates 1, 2 and 3."""
    if len(numbers) == 1:
        return f"Gate {numbers[0]}"
    return f"Gates {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def intervals(results: Mapping[str, Any]) -> str:
    """What the intervals of success are, such as 95% Wilson intervals."""
    confidence = f"{results['thresholds']['confidence']:.0%}"
    return f"{confidence} confidence sequences" if results["sequential"] else f"{confidence} Wilson intervals"
