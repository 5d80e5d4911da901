"""Validity of a channel: was the experiment the one that was meant? A run with a failed check never passes.

The checks are those of the failed experiment's own plan, as code over the records. Each says True, False,
or None where the records lack what it needs. In words: GATE1.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from scipy.stats import binom

from parley.evaluation.aggregation.run_data import ChannelOutcomes, shared
from parley.evaluation.gates.comparisons import Comparison
from parley.evaluation.gates.criterion import Criterion, Rule, answer, not_played, unknown
from parley.evaluation.gates.gate1 import above_floor, at_chance, controls
from parley.evaluation.gates.inference import Inference
from parley.evaluation.gates.run_validity import LEAST_P
from parley.evaluation.stated import Stated
from parley.evaluation.statistics import min_transmitted_bits

LEAST_VARIATION = 0.01
LEAST_DELIVERED = 0.9


def channel_checks(
    channel: ChannelOutcomes,
    num_candidates: int | None,
    comparisons: Mapping[str, Comparison],
    stated: Stated,
    inference: Inference,
) -> Rule:
    """The checks of one channel.

    Args:
        channel: by condition.
        num_candidates: N, None if it is not known.
        comparisons: its normal against its controls.
        stated: what the run says of itself.
        inference: the arithmetic.

    Returns:
        contract_kept, injection_active, controls_with_p0, shuffle_deranges, charged_honestly and
        swap_craters.
    """
    return Rule(
        criteria=(
            _contract_kept(channel, stated),
            _injection_active(channel),
            _controls_with_p0(channel, num_candidates, inference),
            _shuffle_deranges(channel, inference),
            _charged_honestly(channel, num_candidates, inference),
            _swap_craters(channel, num_candidates, comparisons.get("swap"), inference),
        )
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


def _contract_kept(channel: ChannelOutcomes, stated: Stated) -> Criterion:
    """The channel kept every promise of its contract, before its run and while it played."""
    name = "contract_kept"
    if stated.breaches is None:
        return unknown(name, None, "The run does not say whether the contract was asked for.")
    if channel.name in stated.breaches:
        return answer(
            name, False, f"The contract was broken, {stated.breaches[channel.name].removesuffix('.')}."
        )
    return answer(name, True, "Every promise of the contract was kept.")


def _controls_with_p0(
    channel: ChannelOutcomes, num_candidates: int | None, inference: Inference
) -> Criterion:
    """No control differs from chance."""
    name = "controls_with_p0"
    found = [at_chance(item, channel.conditions.get(item), num_candidates, inference) for item in controls()]
    left = [criterion for criterion in found if criterion.passed is False]
    if left:
        return answer(name, False, left[0].reason)
    for criterion in found:
        if criterion.statistic is None:
            return unknown(name, criterion.threshold, criterion.reason)
    return answer(name, True, "No control differs from chance.")


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
    own = int((normal == shuffle).sum())
    by_chance = sum((count / len(normal)) ** 2 for count in sent.values())
    often = own / len(normal) > by_chance + 1 - LEAST_DELIVERED
    kept = often and binom.sf(own - 1, len(normal), by_chance) < LEAST_P
    passed = share >= LEAST_DELIVERED and not kept
    reason = (
        f"Of the messages delivered under shuffle {share:.1%} were sent under normal, and "
        f"{own / len(normal):.1%} of episodes got a message equal to their own ({by_chance:.1%} by chance)."
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
        return answer(name, False, f"{overdrawn} text messages are longer than the bits they are charged.")
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
        return answer(name, True, "Normal does not stand above the floor: there is nothing to crater.")
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
