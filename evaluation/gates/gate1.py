"""Gate 1: does the message carry meaning? In words: GATE1.md."""

from __future__ import annotations

from collections.abc import Mapping

from parley.channels.conditions import find_condition
from parley.evaluation.aggregation.condition_data import ConditionOutcomes
from parley.evaluation.aggregation.run_data import ChannelOutcomes, RunOutcomes, pair
from parley.evaluation.gates.comparisons import Comparison
from parley.evaluation.gates.criterion import Criterion, Rule, apart, not_played, unknown
from parley.evaluation.gates.inference import Inference

ASKED = ("normal", "null", "random", "matched", "shuffle", "swap")
"""The conditions of which the rule asks what they expect: another one is a word here and nothing else."""


def controls() -> list[str]:
    """Those asked for that are expected at chance: normal must beat each of them."""
    return [name for name in ASKED if find_condition(name).expectation == "at_chance"]


def gate1(
    channel: ChannelOutcomes,
    outcomes: RunOutcomes,
    num_candidates: int | None,
    comparisons: Mapping[str, Comparison],
    inference: Inference,
) -> Rule:
    """Gate 1 for one channel.

    Args:
        channel: by condition.
        outcomes: the run, for silence.
        num_candidates: N, None if it is not known.
        comparisons: the channel's normal against its controls.
        inference: the arithmetic.

    Returns:
        Normal above the floor; silence and every control at chance; normal above silence by a margin, and
        above every control; swap consistency.
    """
    conditions, asked = channel.conditions, controls()
    return Rule(
        criteria=(
            above_floor(conditions.get("normal"), inference),
            at_chance("silence", outcomes.p0, num_candidates, inference),
            *(at_chance(name, conditions.get(name), num_candidates, inference) for name in asked),
            _beats_silence(conditions.get("normal"), outcomes.p0, inference),
            *(_beats(name, channel, comparisons.get(name), inference) for name in asked),
            _swap_consistency(conditions.get("swap"), inference),
        )
    )


def above_floor(normal: ConditionOutcomes | None, inference: Inference) -> Criterion:
    """CI_low(normal) is at least the floor."""
    name, floor = "normal_above_floor", inference.thresholds.min_ci_low
    if normal is None:
        return not_played(name, floor, "normal")
    subject = f"Normal succeeds in {normal.successes / normal.n:.1%} of {normal.n} episodes; its true rate"
    return _floor_criterion(name, normal.successes, normal.n, subject, inference)


def at_chance(
    condition: str, outcomes: ConditionOutcomes | None, num_candidates: int | None, inference: Inference
) -> Criterion:
    """A condition without information about the target is shown to succeed at chance, within the margin.

    Args:
        condition: its name, or silence.
        outcomes: its episodes, None if it was not played.
        num_candidates: N, None if it is not known.
        inference: the arithmetic.

    Returns:
        True if shown at chance and no more, False if it differs from chance, None if neither.
    """
    name, floor = f"{condition}_at_chance", inference.thresholds.min_ci_low
    if outcomes is None:
        return not_played(name, None, condition)
    if num_candidates is None:
        return unknown(name, None, "The records do not say among how many candidates the receiver picks.")
    chance = 1 / num_candidates
    if chance >= floor:
        reason = f"Chance is {chance:.1%}, not below the floor of {floor:.1%}: the gate cannot be asked."
        return unknown(name, None, reason)
    margin = inference.thresholds.margin(chance)
    passed = inference.stands_at(outcomes.successes, outcomes.n, chance, margin)
    near = f"shown to be within {100 * margin:.2g} points of chance, {chance:.1%}"
    said = {
        True: near,
        False: f"it differs from chance, {chance:.1%}",
        None: f"neither {near}, nor to have left it",
    }
    rate = outcomes.successes / outcomes.n
    reason = f"{condition.capitalize()} succeeds in {rate:.1%} of {outcomes.n} episodes: {said[passed]}."
    return Criterion(name=name, statistic=rate, threshold=chance, passed=passed, reason=reason)


def _beats_silence(
    normal: ConditionOutcomes | None, silence: ConditionOutcomes | None, inference: Inference
) -> Criterion:
    """Normal succeeds more often than silence by a margin: a little more is not enough."""
    name, asked = "normal_beats_silence", inference.thresholds.min_gain
    if normal is None or silence is None:
        return not_played(name, asked, "normal" if normal is None else "silence")
    pairs = pair(normal, silence)
    if not pairs.num_pairs:
        return unknown(name, asked, "Normal and silence share no episode.")
    found, passed = inference.difference(pairs), inference.gains(pairs, asked)
    reason = (
        f"On {pairs.num_pairs} shared episodes normal succeeds {100 * found.estimate:.1f} points more often "
        f"than silence; it may truly be as few as {100 * found.ci_low:.1f}, and {100 * asked:g} are asked."
    )
    if passed is None and not inference.sequential:
        reason = f"Too few episodes in which silence fails to tell: {reason[0].lower()}{reason[1:]}"
    return Criterion(name=name, statistic=found.ci_low, threshold=asked, passed=passed, reason=reason)


def _beats(
    control: str, channel: ChannelOutcomes, comparison: Comparison | None, inference: Inference
) -> Criterion:
    name, alpha = f"normal_beats_{control}", inference.thresholds.mcnemar_alpha
    missing = [condition for condition in ("normal", control) if condition not in channel.conditions]
    if missing:
        return not_played(name, alpha, missing[0])
    if comparison is None:
        return unknown(name, alpha, f"Normal and {control} share no episode.")
    corrected = comparison.corrected_p
    p, what = (comparison.p_value, "p") if corrected is None else (corrected, "corrected p")
    passed: bool | None = p < alpha and comparison.normal_is_higher
    if not passed and (inference.sequential or comparison.least_p >= alpha):
        passed = None
    reason = (
        f"Of {comparison.num_pairs} shared episodes {comparison.only_normal} succeed only under normal and "
        f"{comparison.only_control} only under {control} ({what} = {p:.2g}; "
        f"asked: more under normal, and p below {alpha:g})."
    )
    if passed is None and not inference.sequential:
        reason = f"Too few episodes in which {control} fails to tell: {reason[0].lower()}{reason[1:]}"
    return Criterion(name=name, statistic=p, threshold=alpha, passed=passed, reason=reason)


def _swap_consistency(swap: ConditionOutcomes | None, inference: Inference) -> Criterion:
    name, floor = "swap_consistency", inference.thresholds.min_ci_low
    if swap is None:
        return not_played(name, floor, "swap")
    n = int(swap.followable.sum())
    if not n:
        reason = "The records do not say what was picked under swap and what the message names."
        return unknown(name, floor, reason)
    subject = (
        f"Under swap the receiver picks what the message names in {swap.swap_consistent / n:.1%} of {n} "
        f"episodes; the true rate"
    )
    return _floor_criterion(name, swap.swap_consistent, n, subject, inference)


def _floor_criterion(name: str, successes: int, n: int, subject: str, inference: Inference) -> Criterion:
    """The lower end of an interval against the floor; the subject is the beginning of its sentence."""
    floor = inference.thresholds.min_ci_low
    measured = inference.interval(successes, n)
    low, asked = apart(measured.ci_low, floor)
    passed = inference.reaches(successes, n, floor)
    if passed is None and not inference.sequential:
        best = inference.interval(n, n).ci_low
        reason = (
            f"Too few episodes: even after {n} of {n} the true rate may be as low as {best:.1%}, "
            f"and {asked} is asked."
        )
    else:
        reason = f"{subject} may be as low as {low}, {'not below' if passed else 'below'} the {asked} asked."
    return Criterion(name=name, statistic=measured.ci_low, threshold=floor, passed=passed, reason=reason)
