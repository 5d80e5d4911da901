"""The content of results.json: a pure function of the records and of what is said about their origin.

Every key is described in docs/results_schema.md.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from evaluation.criteria import Gate1Thresholds, Rule, gate1, original_rule
from evaluation.records import EpisodeRecord
from evaluation.statistics import Proportion, wilson
from evaluation.subset import communication_matters
from evaluation.tally import Arm, ChannelTally, Tally, gather
from evaluation.verdict import Judged, notes, overall_verdict, plain_sentence

SCHEMA_VERSION = 1
Results = dict[str, Any]


def build_results(
    records: Iterable[EpisodeRecord],
    provenance: Mapping[str, Any],
    thresholds: Gate1Thresholds | None = None,
    diagnostics: Mapping[str, Mapping[str, Any]] | None = None,
) -> Results:
    """Judge recorded episodes.

    Args:
        records: at least one, in any order; read once.
        provenance: seeds, versions, hashes and the like, kept under the key `provenance`; `num_candidates` in
            it gives the chance line where the records do not.
        thresholds: the constants of Gate 1, by default the frozen ones.
        diagnostics: by channel, what was measured on the channel itself; kept under the key `diagnostics`
            beside what the records say.

    Returns:
        The content of results.json, strict JSON: what is unknown or undefined is None.

    Raises:
        ValueError: if the records contradict each other or the provenance, or a channel that is diagnosed has
            no records.
    """
    thresholds = thresholds or Gate1Thresholds()
    tally = gather(records)
    measured = _measured(diagnostics or {}, tally)
    num_candidates = _num_candidates(tally, provenance)
    judged = {
        name: Judged(
            channel, gate1(channel, tally.p0, thresholds), original_rule(channel, tally.p0, thresholds)
        )
        for name, channel in tally.channels.items()
    }
    confidence = thresholds.confidence
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": overall_verdict(judged),
        "sentence": plain_sentence(judged, tally.p0),
        "notes": notes(tally),
        "num_candidates": num_candidates,
        "chance": None if num_candidates is None else 1 / num_candidates,
        "p0": _proportion(_rate(tally.p0, confidence)),
        "channels": {name: _channel(entry, confidence) for name, entry in judged.items()},
        "communication_matters": {
            name: _proportion(communication_matters(tally, channel, confidence))
            for name, channel in tally.channels.items()
        },
        "diagnostics": {
            name: {"nll": {condition: arm.mean_nll for condition, arm in channel.arms.items()}}
            | measured.get(name, {})
            for name, channel in tally.channels.items()
        },
        "thresholds": asdict(thresholds),
        "provenance": _strict(provenance),
    }


def _channel(judged: Judged, confidence: float) -> Results:
    channel = judged.channel
    normal = channel.arms.get("normal")
    return {
        "status": channel.status,
        "bits": normal.mean_bits if normal else None,
        "conditions": {name: _proportion(_rate(arm, confidence)) for name, arm in channel.arms.items()},
        "gate1": {
            "passed": _said(channel, judged.gate1),
            "criteria": [asdict(item) for item in judged.gate1.criteria],
            "original_rule": {
                "passed": _said(channel, judged.original_rule),
                "criteria": [asdict(item) for item in judged.original_rule.criteria],
            },
        },
        "swap_consistency": _proportion(_followed(channel.arms.get("swap"), confidence)),
    }


def _said(channel: ChannelTally, rule: Rule) -> bool | None:
    """What a rule says of a channel: nothing of an untrained one, nor of silence, which is P0 itself."""
    asked = channel.status != "untrained" and channel.name != "silence"
    return rule.passed if asked else None


def _rate(arm: Arm | None, confidence: float) -> Proportion | None:
    return None if arm is None else wilson(arm.successes, arm.n, confidence=confidence)


def _followed(swap: Arm | None, confidence: float) -> Proportion | None:
    if swap is None or not swap.followable:
        return None
    return wilson(swap.followed, swap.followable, confidence=confidence)


def _proportion(proportion: Proportion | None) -> Results | None:
    if proportion is None:
        return None
    return {name: getattr(proportion, name) for name in ("n", "successes", "rate", "ci_low", "ci_high")}


def _measured(diagnostics: Mapping[str, Mapping[str, Any]], tally: Tally) -> dict[str, Results]:
    unknown = diagnostics.keys() - tally.channels.keys()
    if unknown:
        raise ValueError(
            f"diagnostics must be of channels that were played, {', '.join(tally.channels)}, "
            f"got {', '.join(sorted(unknown))}"
        )
    return {name: _strict(found) for name, found in diagnostics.items()}


def _num_candidates(tally: Tally, provenance: Mapping[str, Any]) -> int | None:
    stated = provenance.get("num_candidates")
    if stated is None:
        return tally.num_candidates
    if not isinstance(stated, int) or isinstance(stated, bool) or stated < 2:
        raise ValueError(f"num_candidates must be an integer of at least 2, got {stated!r}")
    if tally.num_candidates not in (None, stated):
        raise ValueError(
            f"num_candidates must be {tally.num_candidates}, the number of the records' probabilities, "
            f"got {stated}"
        )
    return stated


def _strict(value: Any) -> Any:
    """The same value with NaN and infinity, which JSON does not know, as None."""
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
