"""The content of results.json: a pure function of the records and of what is said about their origin.

Every key is described in docs/results_schema.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from parley.channels.conditions import conditions, find_condition
from parley.evaluation.aggregation.communication_matters import conditioned, cross_fitted
from parley.evaluation.aggregation.condition_data import ConditionOutcomes
from parley.evaluation.aggregation.run_data import ChannelOutcomes, RunOutcomes, gather
from parley.evaluation.aggregation.transmitted_bits import transmitted_bits
from parley.evaluation.gates.comparisons import Comparison, indistinguishable
from parley.evaluation.gates.criterion import Rule, Thresholds
from parley.evaluation.gates.fitness import Fitness, fitness_notes, is_settled, pair_fitness
from parley.evaluation.gates.gate1 import ASKED, controls
from parley.evaluation.gates.inference import Inference
from parley.evaluation.gates.judged import judge_channels
from parley.evaluation.gates.run_validity import run_checks
from parley.evaluation.gates.verdict import (
    GATES,
    Judged,
    notes,
    overall_verdict,
    plain_sentence,
    qualified,
)
from parley.evaluation.records import EpisodeRecord
from parley.evaluation.stated import Stated, find_num_candidates, find_stated, reservations
from parley.evaluation.statistics import Proportion
from parley.evaluation.trust import taken_on_trust

SCHEMA_VERSION = 5
RULE_VERSION = 3
NOT_SMALL = 0.05
Results = dict[str, Any]


def build_results(
    records: Iterable[EpisodeRecord] | RunOutcomes,
    provenance: Mapping[str, Any],
    thresholds: Thresholds | None = None,
    diagnostics: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    gates: Sequence[int] = (1,),
    sequential: bool = False,
) -> Results:
    """Judge recorded episodes.

    Args:
        records: at least one, in any order, read once; or what was gathered of them.
        provenance: seeds, versions, hashes and the like, kept under the key `provenance`; `num_candidates` in
            it gives the chance line where the records do not, and `episodes`, if a number, is how many each
            condition was to play.
        thresholds: the constants of the gates, by default the frozen ones.
        diagnostics: by channel, what was measured on the channel itself; kept under the key `diagnostics`
            beside what the records say.
        gates: those that decide the verdict, of 1, 2 and 3.
        sequential: whether n was left open, so that every interval is to be valid at every n.

    Returns:
        The content of results.json, strict JSON: what is unknown or undefined is None.

    Raises:
        ValueError: if the records contradict each other or the provenance, a gate is unknown, or a
            channel that is diagnosed has no records.
    """
    if not gates or not set(gates) <= set(GATES):
        raise ValueError(f"gates must be some of {', '.join(map(str, GATES))}, got {list(gates)}")
    inference = Inference(thresholds=thresholds or Thresholds(), sequential=sequential)
    stated = find_stated(provenance)
    outcomes = records if isinstance(records, RunOutcomes) else gather(records)
    outcomes = outcomes.with_channels(stated.breaches or ())
    measured = _measured(diagnostics or {}, outcomes)
    num_candidates = find_num_candidates(outcomes, provenance)
    checks = run_checks(outcomes, num_candidates, stated, inference)
    everyone = judge_channels(outcomes, num_candidates, inference, stated)
    fitness = pair_fitness(outcomes, provenance, inference)
    judged = {name: everyone[name] for name in outcomes.judged}
    return {
        "schema_version": SCHEMA_VERSION,
        **_verdict(judged, checks, gates, outcomes, fitness, inference, stated),
        "num_candidates": num_candidates,
        "chance": None if num_candidates is None else 1 / num_candidates,
        "p0": _rate(outcomes.p0, inference),
        "ceiling": _rate(outcomes.ceiling, inference),
        "fitness": {
            "fit": fitness.fit,
            "shown_by": fitness.shown_by,
            "success": _proportion(fitness.success),
            "swap_consistency": _proportion(fitness.swap_consistency),
        },
        "conditions": _shown(outcomes),
        "validity": _rule(checks),
        "channels": {name: _channel(entry, num_candidates, inference) for name, entry in everyone.items()},
        "communication_matters": {
            name: _subsets(outcomes, channel, inference) for name, channel in outcomes.channels.items()
        },
        "diagnostics": {
            name: {"nll": {key: channel.conditions[key].mean_nll for key in _played(channel)}}
            | measured.get(name, {})
            for name, channel in outcomes.channels.items()
        },
        "thresholds": asdict(inference.thresholds),
        "provenance": _strict(provenance),
    }


def _verdict(
    judged: Mapping[str, Judged],
    checks: Rule,
    gates: Sequence[int],
    outcomes: RunOutcomes,
    fitness: Fitness,
    inference: Inference,
    stated: Stated,
) -> Results:
    """What is said of the run: the verdict, whether it is settled, and the sentences."""
    reserved = reservations(stated, outcomes, inference.sequential)
    same = {name: p for name in judged if (p := _alike(outcomes.channels[name], inference)) is not None}
    verdict = overall_verdict(judged, checks, gates, fitness.fit, reserved)
    passed = {name: entry.passed(gates) for name, entry in judged.items()}
    met = [name for name in judged if passed[name]]
    return {
        "verdict": verdict,
        "gates": sorted(set(gates)),
        "sequential": inference.sequential,
        "settled": is_settled(passed.values(), fitness),
        "sentence": qualified(
            plain_sentence(judged, checks, gates, outcomes.p0, same, fitness, reserved), stated.qualifiers
        ),
        "qualifiers": stated.qualifiers,
        "notes": [*reserved, *notes(outcomes), *fitness_notes(fitness, verdict, met)],
        "taken_on_trust": taken_on_trust(stated, outcomes),
    }


def _channel(judged: Judged, num_candidates: int | None, inference: Inference) -> Results:
    channel = judged.channel
    normal = channel.conditions.get("normal")
    transmitted = transmitted_bits(normal, num_candidates, inference.thresholds.confidence)
    asked = channel.role not in ("untrained", "baseline")
    return {
        "role": channel.role,
        "bits": normal.mean_bits if normal else None,
        "tokens": normal.mean_tokens if normal else None,
        "seconds": normal.mean_seconds if normal else None,
        "conditions": {name: _rate(channel.conditions[name], inference) for name in _played(channel)},
        "validity": _rule(judged.checks, asked=asked),
        "gate1": {
            "version": RULE_VERSION,
            **_rule(judged.gate1, asked=asked),
            "original_rule": _rule(judged.original_rule, asked=asked),
        },
        "gate2": _rule(judged.gate2, asked=asked),
        "gate3": _rule(judged.gate3, asked=asked),
        "swap_consistency": _swap_consistency(channel.conditions.get("swap"), inference),
        "differences": {name: _difference(found) for name, found in judged.comparisons.items()},
        "information": None if transmitted is None else _strict(asdict(transmitted)),
    }


def _rule(rule: Rule, *, asked: bool = True) -> Results:
    """A rule's answer and its criteria; of an untrained channel, and of the baseline, nothing is said."""
    return {
        "passed": rule.passed if asked else None,
        "criteria": [asdict(item) for item in rule.criteria],
    }


def _difference(comparison: Comparison) -> Results:
    return {
        "n": comparison.num_pairs,
        "only_normal": comparison.only_normal,
        "only_control": comparison.only_control,
        "difference": comparison.difference.estimate,
        "ci_low": comparison.difference.ci_low,
        "ci_high": comparison.difference.ci_high,
        "p": comparison.p_value,
        "corrected_p": comparison.corrected_p,
    }


def _subsets(outcomes: RunOutcomes, channel: ChannelOutcomes, inference: Inference) -> Results:
    confidence = inference.thresholds.confidence
    fitted = cross_fitted(outcomes, channel, confidence)
    return {
        "conditioned": _proportion(conditioned(outcomes, channel, confidence)),
        "cross_fitted": _proportion(fitted.normal if fitted else None),
        "cross_fitted_silence": _proportion(fitted.silence if fitted else None),
    }


def _played(channel: ChannelOutcomes) -> list[str]:
    return [name for name in channel.conditions if not find_condition(name).reorders]


def _shown(outcomes: RunOutcomes) -> dict[str, str]:
    """What the receiver gets under each condition that is asked for or was played, in the order of tables."""
    played = {name for channel in outcomes.channels.values() for name in channel.conditions}
    return {item.name: item.delivers for item in conditions() if item.name in played.union(ASKED)}


def _alike(channel: ChannelOutcomes, inference: Inference) -> float | None:
    """The smallest p between two conditions of a channel, if it is not small."""
    p = indistinguishable(channel, controls(), inference)
    return p if p is not None and p >= NOT_SMALL else None


def _rate(outcomes: ConditionOutcomes | None, inference: Inference) -> Results | None:
    return None if outcomes is None else _proportion(inference.interval(outcomes.successes, outcomes.n))


def _swap_consistency(swap: ConditionOutcomes | None, inference: Inference) -> Results | None:
    if swap is None or not swap.followable.any():
        return None
    return _proportion(inference.interval(swap.swap_consistent, int(swap.followable.sum())))


def _proportion(proportion: Proportion | None) -> Results | None:
    if proportion is None:
        return None
    return {name: getattr(proportion, name) for name in ("n", "successes", "rate", "ci_low", "ci_high")}


def _measured(diagnostics: Mapping[str, Mapping[str, Any]], outcomes: RunOutcomes) -> dict[str, Results]:
    unknown = diagnostics.keys() - outcomes.channels.keys()
    if unknown:
        raise ValueError(
            f"diagnostics must be of channels that were played, {', '.join(outcomes.channels)}, "
            f"got {', '.join(sorted(unknown))}"
        )
    return {name: _strict(found) for name, found in diagnostics.items()}


def _strict(value: Any) -> Any:
    """The same value with NaN and infinity, which JSON does not know, as None."""
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
