"""What is measured on the channels of a run beside the episodes."""

from __future__ import annotations

import logging
from typing import Any

from gymnasium.spaces import MultiDiscrete

from parley.agents.pair import Pair
from parley.evaluation.diagnostics.atlas import atlas_file, draw_atlas, panels_of
from parley.evaluation.diagnostics.diagnose import diagnose, diagnosed_referents, speak_of
from parley.evaluation.diagnostics.flops import counted_episodes, receiver_flops
from parley.evaluation.playing.entry import Entry
from parley.evaluation.playing.plan import PlayConfig
from parley.evaluation.sealing.breach import Breach, printable

logger = logging.getLogger("parley")


def measure(
    pair: Pair, entries: dict[str, Entry], config: PlayConfig, breaches: dict[str, Breach]
) -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
    """Diagnose the channels, and count what each costs the receiver.

    Args:
        pair: who speaks and listens.
        entries: the channels, by name.
        config: which episodes are played.
        breaches: those who broke a promise are not measured; who breaks one now is added.

    Returns:
        What was measured, by channel, and pictures by file name.
    """
    diagnostics: dict[str, dict[str, Any]] = {}
    pictures: dict[str, bytes] = {}
    for name, entry in entries.items():
        if name in breaches:
            continue
        try:
            found, drawn = examine(pair, {name: entry})
            flops = count_flops(pair, {name: entry}, config)[name]
        except Breach as breach:
            breaches[name] = breach
            continue
        except Exception as error:  # it explains a verdict and does not decide it: no run is lost for it
            logger.warning("%s is not diagnosed: %s: %s", name, type(error).__name__, printable(str(error)))
            continue
        diagnostics[name] = found.get(name, {}) | {"receiver_flops": flops}
        pictures |= drawn
    return diagnostics, pictures


def count_flops(pair: Pair, entries: dict[str, Entry], config: PlayConfig) -> dict[str, float]:
    """What an episode over each channel costs the receiver, by name."""
    episodes = counted_episodes(pair.world, config)
    return {name: receiver_flops(pair, entry.channel, episodes) for name, entry in entries.items()}


def examine(pair: Pair, entries: dict[str, Entry]) -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
    """Diagnose the channels, and draw the atlas of each trained one that sends codes.

    Args:
        pair: who speaks and listens.
        entries: the channels, by name.

    Returns:
        What was measured, by channel, and pictures by file name.
    """
    referents = diagnosed_referents(pair.world)
    diagnostics, pictures = {}, {}
    for name, (channel, role, _) in entries.items():
        if role == "baseline" or channel.sees_scene:  # what speaks about episodes has no word for referents
            continue
        diagnostics[name] = diagnose(pair, channel, referents)
        learned = channel.trainable and role != "untrained"
        if not learned or not isinstance(channel.message_space, MultiDiscrete):
            continue
        spoken = speak_of(pair, channel, referents)
        assert spoken.codes is not None, "a message of a MultiDiscrete is codes"
        file = diagnostics[name]["atlas"] = atlas_file(name)
        panels = panels_of(spoken.codes, referents, pair.world, spoken.codes_per_slot)
        title = f"{name}: what its codes stand for"
        pictures[file] = draw_atlas(panels, spoken.codebook_size, title)
    return diagnostics, pictures
