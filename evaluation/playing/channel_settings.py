"""Settings of channels that have nothing to learn, as a command line gives them: NAME.SETTING=VALUE."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any

from parley.channels.base import ChannelConfig
from parley.channels.registry import channel_class
from parley.plugins.names import unknown


def settings_of(given: Iterable[str], playing: Collection[str]) -> dict[str, ChannelConfig]:
    """The channels' configurations, by name.

    Args:
        given: such as `text_budget.budget=3`; several of one channel add up.
        playing: names of the channels that play.

    Raises:
        ValueError: if one is of another form or given twice, a channel or a setting is unknown, a channel has
            something to learn and so brings its settings in its checkpoint or does not play, or a value does
            not suit.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        name, setting, value = _parts(text)
        if name not in playing:
            raise ValueError(f"settings must be of channels that play, got {text!r} for {', '.join(playing)}")
        given_before = found.setdefault(name, {})
        if setting in given_before:
            raise ValueError(
                f"settings must give {name}.{setting} once, got {given_before[setting]!r} and {value!r}"
            )
        given_before[setting] = value
    return {name: _config(name, values) for name, values in found.items()}


def _parts(text: str) -> tuple[str, str, Any]:
    place, equals, value = text.partition("=")
    name, dot, setting = place.partition(".")
    if not (equals and dot and name and setting):
        raise ValueError(f"settings must be of the form NAME.SETTING=VALUE, got {text!r}")
    kind = channel_class(name)
    if kind.trainable:
        raise ValueError(
            f"settings must be of channels that have nothing to learn: those of {name!r} come with its "
            f"checkpoint, got {text!r}"
        )
    known = [each.name for each in fields(kind.Config)]
    if setting not in known:
        raise unknown(f"setting of channel {name!r}", setting, known)
    try:
        return name, setting, json.loads(value)
    except ValueError:
        return name, setting, value  # a word needs no quotes


def _config(name: str, values: Mapping[str, Any]) -> ChannelConfig:
    try:
        return channel_class(name).Config.from_json(values)
    except TypeError as error:
        raise ValueError(f"settings of channel {name!r} cannot be used: {error}") from error
