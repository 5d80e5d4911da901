"""What the criteria are called where people read them, and how their numbers are spelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from parley.evaluation.reporting import cells

Unit = Literal["share", "p", "number", "seconds"]


class Title(NamedTuple):
    """A criterion in words, and what its statistic and threshold are numbers of."""

    words: str
    unit: Unit = "number"


TITLES = {
    "normal_above_floor": Title("Normal stands above the floor", "share"),
    "normal_beats_silence": Title("Normal beats silence by a margin", "share"),
    "swap_consistency": Title("Swap consistency is above the floor", "share"),
    "shuffle_below_p0": Title("Shuffle craters below P0", "share"),
    "retains_text": Title("Half of the text channel's success is kept", "share"),
    "reports_success": Title("Success is reported", "share"),
    "reports_bits": Title("Bits are reported"),
    "reports_tokens": Title("Tokens are reported"),
    "reports_seconds": Title("Seconds are reported", "seconds"),
    "environment_loaded": Title("The episodes are the ones meant"),
    "no_text_leak": Title("Nothing leaks past the message", "share"),
    "episodes_differ": Title("No episode is a copy of another", "p"),
    "contract_kept": Title("The channel kept its contract"),
    "injection_active": Title("The message reaches the receiver"),
    "controls_with_p0": Title("The controls do not differ from chance"),
    "shuffle_deranges": Title("Shuffle delivers others' messages", "share"),
    "charged_honestly": Title("No message says more than it is charged"),
    "swap_craters": Title("Success falls under swap", "share"),
}


def title(name: str) -> str:
    """A criterion in words."""
    return _title(name).words


def figure(criterion: Mapping[str, Any], key: str) -> str:
    """The statistic or the threshold of a criterion with its unit; an en dash if it is unknown."""
    value, name = criterion[key], criterion["name"]
    if value is None:
        return cells.NOT_PLAYED
    spelled = {
        "share": cells.percent,
        "p": cells.p_value,
        "number": cells.number,
        "seconds": cells.seconds,
    }
    return spelled[_title(name).unit](value)


def _title(name: str) -> Title:
    """What the rule asks of every control is spelled alike for all."""
    if name in TITLES:
        return TITLES[name]
    if name.endswith("_at_chance"):
        return Title(f"{name.removesuffix('_at_chance').capitalize()} stands at chance", "share")
    if name.startswith("normal_beats_"):
        return Title(f"Normal beats {name.removeprefix('normal_beats_')}", "p")
    return Title(name.replace("_", " ").capitalize())
