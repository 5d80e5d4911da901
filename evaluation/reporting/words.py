"""What the criteria and conditions are called where people read them, and how their numbers are spelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from parley.evaluation.reporting import cells

Unit = Literal["share", "points", "p", "number", "seconds"]


class Title(NamedTuple):
    """A criterion in words, and what its statistic and threshold are numbers of."""

    words: str
    unit: Unit = "number"


TITLES = {
    "normal_above_floor": Title("Normal stands above the floor", "share"),
    "silence_at_chance": Title("Silence stands at chance", "share"),
    "null_at_chance": Title("Null stands at chance", "share"),
    "random_at_chance": Title("Random stands at chance", "share"),
    "shuffle_at_chance": Title("Shuffle stands at chance", "share"),
    "normal_beats_null": Title("Normal beats null", "p"),
    "normal_beats_random": Title("Normal beats random", "p"),
    "normal_beats_shuffle": Title("Normal beats shuffle", "p"),
    "swap_consistency": Title("The swapped message is followed", "share"),
    "null_at_p0": Title("Null stays at P0", "points"),
    "random_at_p0": Title("Random stays at P0", "points"),
    "shuffle_at_p0": Title("Shuffle stays at P0", "points"),
    "swap_below_p0": Title("Swap craters below P0", "share"),
    "shuffle_below_p0": Title("Shuffle craters below P0", "share"),
    "retains_text": Title("Half of the text channel's success is kept", "share"),
    "reports_success": Title("Success is reported", "share"),
    "reports_bits": Title("Bits are reported"),
    "reports_tokens": Title("Tokens are reported"),
    "reports_seconds": Title("Seconds are reported", "seconds"),
    "environment_loaded": Title("The episodes are the ones meant"),
    "no_text_leak": Title("Nothing leaks past the message", "share"),
    "injection_active": Title("The message reaches the receiver"),
    "controls_with_p0": Title("Null and random have not left chance"),
    "shuffle_deranges": Title("Shuffle delivers others' messages", "share"),
    "charged_honestly": Title("No message says more than it is charged"),
    "swap_craters": Title("Success falls under swap", "share"),
}

CONDITIONS = {
    "normal": "its own message",
    "null": "true zeros",
    "random": "drawn at random",
    "shuffle": "plain: another episode's",
    "swap": "adversarial: another candidate's",
}


def title(name: str) -> str:
    """A criterion in words; one that is not known here by its name."""
    return TITLES[name].words if name in TITLES else name.replace("_", " ").capitalize()


def figure(criterion: Mapping[str, Any], key: str) -> str:
    """The statistic or the threshold of a criterion with its unit; an en dash if it is unknown."""
    value, name = criterion[key], criterion["name"]
    if value is None:
        return cells.NOT_PLAYED
    unit = TITLES[name].unit if name in TITLES else "number"
    spelled = {
        "share": cells.percent,
        "points": cells.points,
        "p": cells.p_value,
        "number": cells.number,
        "seconds": cells.seconds,
    }
    return spelled[unit](value)
