"""Validity: was the experiment the one that was meant? A run with a failed check never passes.

The checks are those of the failed experiment's own plan, as code over the records. Each says True, False,
or None where the records lack what it needs. In words: GATE1.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from scipy.stats import chisquare

from parley.channels.conditions import find_condition
from parley.evaluation.aggregation.condition_data import UNKNOWN, ConditionOutcomes
from parley.evaluation.aggregation.run_data import ChannelOutcomes, RunOutcomes, shared
from parley.evaluation.gates.comparisons import Comparison
from parley.evaluation.gates.criterion import Criterion, Rule, not_played, unknown
from parley.evaluation.gates.gate1 import above_floor, at_chance
from parley.evaluation.gates.inference import Inference
from parley.evaluation.statistics import min_transmitted_bits

LEAST_VARIATION = 0.01
LEAST_DELIVERED = 0.9
LEAST_TARGET_P = 1e-6
ROUNDING = 2e-6
"""Probabilities are recorded with 6 digits, so the pick may look this much less probable than another."""


def run_checks(
    outcomes: RunOutcomes, num_candidates: int | None, asked: int | None, inference: Inference
) -> Rule:
    """The checks of the whole run.

    Args:
        outcomes: the run.
        num_candidates: N, None if it is not known.
        asked: how many episodes a condition was to play, None if it is not known.
        inference: the arithmetic.

    Returns:
        environment_loaded and no_text_leak.
    """
    return Rule(
        criteria=(
            _environment_loaded(outcomes, num_candidates, asked),
            _no_text_leak(outcomes, num_candidates, inference),
        )
    )


def channel_checks(
    channel: ChannelOutcomes,
    num_candidates: int | None,
    comparisons: Mapping[str, Comparison],
    inference: Inference,
) -> Rule:
    """The checks of one channel.

    Args:
        channel: by condition.
        num_candidates: N, None if it is not known.
        comparisons: its normal against its controls.
        inference: the arithmetic.

    Returns:
        injection_active, controls_with_p0, shuffle_deranges, charged_honestly and swap_craters.
    """
    return Rule(
        criteria=(
            _injection_active(channel),
            _controls_with_p0(channel, num_candidates, inference),
            _shuffle_deranges(channel, inference),
            _charged_honestly(channel, num_candidates, inference),
            _swap_craters(channel, num_candidates, comparisons.get("swap"), inference),
        )
    )


def _environment_loaded(outcomes: RunOutcomes, num_candidates: int | None, asked: int | None) -> Criterion:
    """Same episodes, same targets, as many as asked, picks that are the most probable, targets spread out."""
    name = "environment_loaded"
    played = {
        f"{channel.name}, {condition}": condition_outcomes
        for channel in outcomes.channels.values()
        for condition, condition_outcomes in channel.conditions.items()
        if not find_condition(condition).reorders
    }
    longest = max(played, key=lambda key: played[key].n)
    for key, shown in played.items():
        fault = _fault(shown, played[longest], longest, asked)
        if fault:
            return _answer(name, False, f"{key}: {fault}.")
    target = played[longest].target
    if (target == UNKNOWN).any():
        return unknown(name, None, f"The records of {longest} do not say which candidate was the target.")
    if num_candidates is not None:
        counts = np.bincount(target, minlength=num_candidates)
        p = float(chisquare(counts).pvalue)
        if p < LEAST_TARGET_P:
            reason = f"Targets are not spread over the positions: {counts.tolist()} (p = {p:.2g})."
            return _answer(name, False, reason)
    if any(shown.probabilities is None for shown in played.values()):
        return unknown(
            name, None, "The records do not hold the receiver's probabilities: its picks cannot be checked."
        )
    reason = (
        f"Every condition played the same {played[longest].n} episodes, and every pick is the most probable."
    )
    return _answer(name, True, reason)


def _fault(
    outcomes: ConditionOutcomes, longest: ConditionOutcomes, its_name: str, asked: int | None
) -> str | None:
    if asked is not None and outcomes.n != asked:
        return f"{outcomes.n} episodes were played and {asked} were asked for"
    if not np.array_equal(outcomes.episode_ids, longest.episode_ids):
        return f"not the episodes of {its_name}"
    left, right = shared(outcomes, longest)
    first, second = outcomes.target[left], longest.target[right]
    known = (first != UNKNOWN) & (second != UNKNOWN)
    if (first != second)[known].any():
        return f"targets differ from those of {its_name} in {int((first != second)[known].sum())} episodes"
    if outcomes.probabilities is None or (outcomes.choice == UNKNOWN).any():
        return None
    picked = np.take_along_axis(outcomes.probabilities, outcomes.choice[:, None].astype(np.int64), axis=1)[
        :, 0
    ]
    missed = int((picked < outcomes.probabilities.max(axis=1) - ROUNDING).sum())
    return f"{missed} picks are not the most probable candidate" if missed else None


def _no_text_leak(outcomes: RunOutcomes, num_candidates: int | None, inference: Inference) -> Criterion:
    """Without a message the target cannot be known."""
    silence = at_chance("silence", outcomes.p0, num_candidates, inference)
    name = "no_text_leak"
    if silence.statistic is None or silence.threshold is None:
        return unknown(name, silence.threshold, silence.reason)
    leaks = silence.passed is False and silence.statistic > silence.threshold
    what = "more often than chance allows" if leaks else "no more often than chance allows"
    reason = f"Without a message the receiver finds the target in {silence.statistic:.1%}, {what}."
    return Criterion(
        name=name, statistic=silence.statistic, threshold=silence.threshold, passed=not leaks, reason=reason
    )


def _injection_active(channel: ChannelOutcomes) -> Criterion:
    """What is delivered changes what the receiver thinks."""
    name = "injection_active"
    for condition in ("normal", "null"):
        if condition not in channel.conditions:
            return not_played(name, LEAST_VARIATION, condition)
    normal, null = channel.conditions["normal"], channel.conditions["null"]
    left, right = shared(normal, null)
    if normal.probabilities is None or null.probabilities is None or not len(left):
        reason = "The records hold no probabilities of the same episodes under normal and under null."
        return unknown(name, LEAST_VARIATION, reason)
    difference = np.abs(normal.probabilities[left] - null.probabilities[right])
    variation = float(difference.sum(axis=1).mean() / 2)
    passed = variation >= LEAST_VARIATION
    reason = (
        f"Between normal and null the receiver's probabilities move by {variation:.3f} in the mean "
        f"(total variation); {LEAST_VARIATION:g} is the least for a message that arrives."
    )
    return Criterion(name=name, statistic=variation, threshold=LEAST_VARIATION, passed=passed, reason=reason)


def _controls_with_p0(
    channel: ChannelOutcomes, num_candidates: int | None, inference: Inference
) -> Criterion:
    """Null and random have not left chance."""
    name = "controls_with_p0"
    found = [
        at_chance(condition, channel.conditions.get(condition), num_candidates, inference)
        for condition in ("null", "random")
    ]
    for criterion in found:
        if criterion.statistic is None:
            return unknown(name, criterion.threshold, criterion.reason)
    left = [criterion for criterion in found if criterion.passed is False]
    reason = left[0].reason if left else "Neither null nor random has left chance."
    return _answer(name, not left, reason)


def _shuffle_deranges(channel: ChannelOutcomes, inference: Inference) -> Criterion:
    """Under shuffle the messages of normal are delivered, each in another episode."""
    name = "shuffle_deranges"
    for condition in ("normal", "shuffle"):
        if condition not in channel.conditions:
            return not_played(name, LEAST_DELIVERED, condition)
    normal, shuffle = (channel.conditions[condition].messages for condition in ("normal", "shuffle"))
    if normal is None or shuffle is None:
        return unknown(
            name, LEAST_DELIVERED, "The records do not hold messages that can be compared (text or codes)."
        )
    if inference.sequential or len(normal) != len(shuffle):
        reason = "Not all episodes were played, so the partners' messages need not be among those sent."
        return unknown(name, LEAST_DELIVERED, reason)
    sent, delivered = Counter(normal.tolist()), Counter(shuffle.tolist())
    share = (sent & delivered).total() / len(normal)
    own = float((normal == shuffle).mean())
    by_chance = sum((count / len(normal)) ** 2 for count in sent.values())
    passed = share >= LEAST_DELIVERED and own <= by_chance + 1 - LEAST_DELIVERED
    reason = (
        f"Of the messages delivered under shuffle {share:.1%} were sent under normal, and {own:.1%} of "
        f"episodes got a message equal to their own ({by_chance:.1%} would by chance)."
    )
    return Criterion(name=name, statistic=share, threshold=LEAST_DELIVERED, passed=passed, reason=reason)


def _charged_honestly(
    channel: ChannelOutcomes, num_candidates: int | None, inference: Inference
) -> Criterion:
    """No message is longer, and none demonstrably says more, than it is charged."""
    name, normal = "charged_honestly", channel.conditions.get("normal")
    if normal is None:
        return not_played(name, None, "normal")
    charged = normal.mean_bits
    if charged is None or num_candidates is None:
        return unknown(
            name, charged, "The records do not say the bits charged, or among how many candidates."
        )
    overdrawn = sum(outcomes.overdrawn for outcomes in channel.conditions.values())
    if overdrawn:
        return _answer(name, False, f"{overdrawn} text messages are longer than the bits they are charged.")
    confidence = inference.thresholds.confidence
    least = min_transmitted_bits(normal.successes, normal.n, num_candidates, confidence=confidence)
    passed = least <= charged
    reason = f"At least {least:.2f} bits a message were transmitted and {charged:.4g} were charged."
    return Criterion(name=name, statistic=least, threshold=charged, passed=passed, reason=reason)


def _swap_craters(
    channel: ChannelOutcomes, num_candidates: int | None, comparison: Comparison | None, inference: Inference
) -> Criterion:
    """What helps is what the message says: a normal above the floor does not help under swap."""
    name, swap = "swap_craters", channel.conditions.get("swap")
    chance = None if num_candidates is None else 1 / num_candidates
    above = above_floor(channel.conditions.get("normal"), inference)
    if above.passed is False:
        return _answer(name, True, "Normal does not stand above the floor: there is nothing to crater.")
    if swap is None:
        return not_played(name, chance, "swap")
    if above.passed is None or comparison is None or chance is None:
        return unknown(name, chance, above.reason if comparison else "Normal and swap share no episode.")
    measured = inference.interval(swap.successes, swap.n)
    falls = comparison.p_value < inference.thresholds.mcnemar_alpha and comparison.normal_is_higher
    helps = measured.ci_low > chance
    passed = False if helps else True if falls else None
    said = f"shown to be above chance, {chance:.1%}" if helps else "shown to be below normal"
    if passed is None:
        said = f"neither shown to be below normal nor above chance, {chance:.1%}"
    reason = f"Under swap success is {measured.rate:.1%}: {said}."
    return Criterion(name=name, statistic=measured.ci_low, threshold=chance, passed=passed, reason=reason)


def _answer(name: str, passed: bool, reason: str) -> Criterion:
    return Criterion(name=name, statistic=None, threshold=None, passed=passed, reason=reason)
