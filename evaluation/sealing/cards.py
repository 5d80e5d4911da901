"""What there is to be judged, found out in a process of its own: the judge imports no plug-in."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, get_args

from parley.channels.base import ModelInterface, Role
from parley.channels.registry import channel_class, channel_names, left_out
from parley.evaluation.playing.channel_settings import settings_of
from parley.evaluation.sealing.breach import keeps
from parley.evaluation.sealing.process import Answers, Process, Start

logger = logging.getLogger("parley")


class Card(NamedTuple):
    """A channel's class in plain values."""

    role: Role
    trainable: bool
    incompatibility: str | None  # why it cannot stand between these models


def read_cards(
    names: Sequence[str] | None, settings: Sequence[str], interface: ModelInterface, start: Start = "fork"
) -> dict[str, Card]:
    """The channels of some names, or all; what cannot be used is an error here.

    Args:
        names: of channels; None for every one.
        settings: of channels, as a command line gives them; they are checked.
        interface: what is known of the models.
        start: how the process begins.

    Raises:
        ValueError: if a name is unknown, or a setting does not suit.
        PluginError: if a plug-in of such a name is there and cannot be used.
        Breach: if a plug-in ends the process, or says of itself what it may not.
    """
    process = Process(partial(_serve_cards, replace(interface, models=None)), start)
    try:
        told = process.ask("cards", names, settings)
    finally:
        process.close()
    with keeps("facts"):
        found, unusable = json.loads(told)
        cards = {str(name): Card(*said) for name, said in found.items()}
        for name, card in cards.items():
            if card.role not in get_args(Role):
                raise ValueError(
                    f"role of {name!r} must be one of {', '.join(get_args(Role))}, got {card.role!r}"
                )
    for plugin in unusable:
        logger.warning("left out: %s", plugin)
    return cards


def _serve_cards(interface: ModelInterface, _: Callable[[], Any]) -> Answers:
    def cards(names: Sequence[str] | None, settings: Sequence[str]) -> bytes:
        listed = channel_names() if names is None else names
        settings_of(settings, listed)
        cards = {name: _card(name, interface) for name in listed}
        return json.dumps([cards, list(map(str, left_out()))]).encode()

    return {"cards": cards}


def _card(name: str, interface: ModelInterface) -> Card:
    kind = channel_class(name)
    return Card(kind.role, bool(kind.trainable), kind.incompatibility(interface))
