"""What a channel scores: all conditions of Gate 1, silence beside it, and its diagnostics, in brief."""

from __future__ import annotations

from typing import Any

from parley.agents.pair import Pair
from parley.channels.base import Channel
from parley.evaluation.diagnostics.diagnose import diagnose
from parley.evaluation.playing.entries import enter
from parley.evaluation.playing.play import Entry, PlayConfig, play
from parley.evaluation.results import build_results
from studies.read_runs import brief

Outcome = dict[str, Any]
SILENCE, TEXT = "silence", "text"


def measure(pair: Pair, channel: Channel, config: PlayConfig, *, with_text: bool = False) -> Outcome:
    """Play a channel under every condition; text beside it if asked for."""
    others = [name for name in (SILENCE, *([TEXT] if with_text else [])) if name != channel.name]
    entries = {channel.name: Entry(channel.to(pair.device).eval(), channel.role)}
    entries |= {name: enter(name, pair, None) for name in others}
    records = (record for batch in play(pair, entries, config) for record in batch)
    results = build_results(records, {"num_candidates": config.num_candidates})
    found = results["channels"][channel.name]
    text = results["channels"].get(TEXT)
    return {
        "channel": channel.name,
        "bits": found["bits"],
        "n": config.episodes,
        "evaluation_seed": config.seed,
        "num_candidates": config.num_candidates,
        "resample_probability": config.resample_probability,
        "conditions": {name: brief(row) for name, row in found["conditions"].items()},
        "swap_consistency": brief(found["swap_consistency"]),
        "gate1": found["gate1"]["passed"],
        "p0": brief(results["p0"]),
        "text": brief(text["conditions"]["normal"]) if text else None,
        "diagnostics": results["diagnostics"][channel.name]
        | diagnose(pair, channel, pair.world.referents("test")),
    }
