"""Validity of the whole run: are the episodes the ones meant, and is the target hidden without a message?

Each check says True, False, or None where the records lack what it needs. In words: GATE1.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import chisquare

from parley.evaluation.aggregation.condition_data import UNKNOWN, ConditionOutcomes
from parley.evaluation.aggregation.run_data import RunOutcomes, shared
from parley.evaluation.gates.criterion import Criterion, Rule, answer, not_played, unknown
from parley.evaluation.gates.inference import Inference
from parley.evaluation.stated import Stated
from parley.evaluation.statistics import above_p

LEAST_P = 1e-6
"""Of targets that are spread over the positions, and of repeated episodes that happen to agree."""
Arms = Mapping[str, ConditionOutcomes]


def run_checks(
    outcomes: RunOutcomes, num_candidates: int | None, stated: Stated, inference: Inference
) -> Rule:
    """The checks of the whole run.

    Args:
        outcomes: the run.
        num_candidates: N, None if it is not known.
        stated: what it says of itself; channels that broke their contract have no part in these checks.
        inference: the arithmetic.

    Returns:
        environment_loaded, no_text_leak and episodes_differ.
    """
    arms = {f"{channel}, {name}": played for (channel, name), played in outcomes.arms(stated.breaches or ())}
    return Rule(
        criteria=(
            _environment_loaded(arms, num_candidates, stated.planned, inference.sequential),
            _no_text_leak(outcomes.p0, num_candidates, inference),
            _episodes_differ(outcomes.p0, num_candidates),
        )
    )


def _environment_loaded(
    arms: Arms, num_candidates: int | None, planned: int | None, sequential: bool
) -> Criterion:
    """Same episodes, same targets, as many as planned, targets spread out."""
    name = "environment_loaded"
    if not arms:
        return unknown(name, None, "Nothing was played.")
    longest = max(arms, key=lambda key: arms[key].n)
    cut = planned is not None and _is_beginning(arms, planned, sequential)
    for key, played in arms.items():
        fault = _fault(played, arms[longest], longest, None if sequential else planned, cut)
        if fault:
            return answer(name, False, f"{key}: {fault}.")
    target = arms[longest].target
    if (target == UNKNOWN).any():
        return unknown(name, None, f"The records of {longest} do not say which candidate was the target.")
    if num_candidates is not None:
        counts = np.bincount(target, minlength=num_candidates)
        p = float(chisquare(counts).pvalue)
        if p < LEAST_P:
            reason = f"Targets are not spread over the positions: {counts.tolist()} (p = {p:.2g})."
            return answer(name, False, reason)
    if cut:
        fewest = min(played.n for played in arms.values())
        reason = (
            f"The run was cut: {fewest} to {arms[longest].n} of {planned} episodes a condition are there."
        )
        return unknown(name, None, reason)
    return answer(name, True, f"Every condition played the same {arms[longest].n} episodes.")


def _is_beginning(arms: Arms, planned: int, sequential: bool) -> bool:
    """Whether every condition has the first episodes of the plan, and some not all that others have."""
    counts = {played.n for played in arms.values()}
    first = all(np.array_equal(played.episode_ids, np.arange(played.n)) for played in arms.values())
    whole = len(counts) == 1 and (sequential or counts == {planned})
    return first and not whole and max(counts) <= planned


def _fault(
    outcomes: ConditionOutcomes, longest: ConditionOutcomes, its_name: str, asked: int | None, cut: bool
) -> str | None:
    if asked is not None and outcomes.n != asked and not cut:
        return f"{outcomes.n} episodes were played and {asked} were asked for"
    if not cut and not np.array_equal(outcomes.episode_ids, longest.episode_ids):
        return f"not the episodes of {its_name}"
    left, right = shared(outcomes, longest)
    first, second = outcomes.target[left], longest.target[right]
    known = (first != UNKNOWN) & (second != UNKNOWN)
    if (first != second)[known].any():
        return f"targets differ from those of {its_name} in {int((first != second)[known].sum())} episodes"
    return None


def _episodes_differ(silence: ConditionOutcomes | None, num_candidates: int | None) -> Criterion:
    """No episode stands under many numbers: where candidates return, the target is drawn anew.

    Whatever the world, an episode that shows the candidates of an earlier one has its target with probability
    1/N, independently of all others: so the agreement of the repeated ones is exactly binomial.
    """
    name = "episodes_differ"
    if silence is None:
        return not_played(name, None, "silence")
    if silence.views is None or num_candidates is None or (silence.target == UNKNOWN).any():
        return unknown(name, None, "The records of silence do not say what the receiver saw in each episode.")
    _, first, group = np.unique(silence.views, return_index=True, return_inverse=True)
    repeated = np.arange(silence.n) != first[group]
    agree = int((silence.target == silence.target[first[group]])[repeated].sum())
    count = int(repeated.sum())
    p = above_p(agree, count, 1 / num_candidates) if count else 1.0
    copied = "Episodes are copies, or the target follows from the candidates: of" if p < LEAST_P else "Of"
    reason = (
        f"{copied} {silence.n} episodes {count} show what an earlier one showed, and in {agree} of these the "
        f"target is the same too, where chance would give {count / num_candidates:.0f} (p = {p:.2g})."
    )
    return Criterion(name=name, statistic=p, threshold=LEAST_P, passed=p >= LEAST_P, reason=reason)


def _no_text_leak(
    silence: ConditionOutcomes | None, num_candidates: int | None, inference: Inference
) -> Criterion:
    """Without a message the target cannot be known: success above chance is impossible by construction."""
    name = "no_text_leak"
    if silence is None:
        return not_played(name, None, "silence")
    if num_candidates is None:
        return unknown(name, None, "The records do not say among how many candidates the receiver picks.")
    chance, rate = 1 / num_candidates, silence.successes / silence.n
    leaks = inference.is_above(silence.successes, silence.n, chance)
    what = "more often than chance allows" if leaks else "no more often than chance allows"
    reason = f"Without a message the receiver finds the target in {rate:.1%} of {silence.n} episodes, {what}."
    return Criterion(name=name, statistic=rate, threshold=chance, passed=not leaks, reason=reason)
