"""What there is to be judged, found out in processes of their own: the judge imports no plug-in of others.

The project's own channels are read where they are; of any other its own process tells, so that none can say
something about another.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, get_args

from parley.channels.base import ModelInterface, Role
from parley.channels.registry import CHANNELS, channel_class, channel_names, left_out, own_channels
from parley.evaluation.playing.channel_settings import settings_of
from parley.evaluation.sealing.breach import Breach, keeps, printable
from parley.evaluation.sealing.process import Answers, Process, Start
from parley.plugins.registry import NAME, PluginError

logger = logging.getLogger("parley")


class Card(NamedTuple):
    """A channel's class in plain values."""

    role: Role
    trainable: bool
    incompatibility: str | None  # why it cannot stand between these models
    breach: Breach | None = None  # of a class that tells nothing of itself


def read_cards(
    names: Sequence[str] | None, settings: Sequence[str], interface: ModelInterface, start: Start = "fork"
) -> dict[str, Card]:
    """The channels of some names, or all; what cannot be used is an error here.

    Args:
        names: of channels; None for every one.
        settings: of channels, as a command line gives them; they are checked.
        interface: what is known of the models.
        start: how processes begin.

    Raises:
        ValueError: if a name is unknown, or a setting does not suit.
        PluginError: if a plug-in of such a name is there and cannot be used, or ends the process.
    """
    own = own_channels(names)
    for name in own:
        settings_of([text for text in settings if text.partition(".")[0] == name], [name])
    strange = [text for text in settings if text.partition(".")[0] not in own]
    found, unusable = own, list[str]()
    if names is None or strange or not {*names} <= {*own} or CHANNELS.has_plugins():
        found, unusable = _list_all(names, strange, start)
    apart = replace(interface, models=None)
    others = sorted({*(found if names is None else names)} - {*own})
    cards = {name: _card(name, apart) for name in own}
    cards |= {name: _card_of_another(name, apart, start) for name in others}
    for plugin in unusable:
        logger.warning("left out: %s", plugin)
    return cards


def _list_all(
    names: Sequence[str] | None, settings: Sequence[str], start: Start
) -> tuple[list[str], list[str]]:
    """The names of all channels, as all plug-ins together tell them, and what plug-ins cannot be used.

    Raises:
        ValueError: if a setting is of a channel that does not play.
        PluginError: if a plug-in ends the process, and all were asked for.
    """
    process = Process(_serve_list, start)
    try:
        told = process.ask("list", names, settings)
        with keeps("facts"):
            found, unusable = json.loads(told)
            found = [name for name in found if NAME.fullmatch(name)]
            unusable = [printable(plugin) for plugin in unusable]
    except Breach as breach:
        if names is None:
            raise PluginError(f"plug-ins cannot be listed, because of one of them: {breach}") from breach
        found, unusable = [], [f"a plug-in that ends where all are listed: {breach}"]
    finally:
        process.close()
    return found, unusable


def _serve_list(_: Callable[[], Any]) -> Answers:
    def listed(names: Sequence[str] | None, settings: Sequence[str]) -> bytes:
        found = channel_names()
        settings_of(settings, found if names is None else names)
        return json.dumps([found, list(map(str, left_out()))]).encode()

    return {"list": listed}


def _card_of_another(name: str, interface: ModelInterface, start: Start) -> Card:
    process = Process(partial(_serve_card, interface), start)
    try:
        told = process.ask("card", name)
        with keeps("facts"):
            card = Card(*json.loads(told))
            if card.role not in get_args(Role) or type(card.trainable) is not bool:
                raise ValueError(f"role must be one of {', '.join(get_args(Role))}, got {card.role!r}")
            return card._replace(incompatibility=card.incompatibility and printable(card.incompatibility))
    except Breach as breach:
        return Card("judged", False, None, breach)
    finally:
        process.close()


def _serve_card(interface: ModelInterface, _: Callable[[], Any]) -> Answers:
    def card(name: str) -> bytes:
        return json.dumps(_card(name, interface)[:3]).encode()

    return {"card": card}


def _card(name: str, interface: ModelInterface) -> Card:
    kind = channel_class(name)
    return Card(kind.role, bool(kind.trainable), kind.incompatibility(interface))
