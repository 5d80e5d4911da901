"""From the criteria of every channel to one verdict, and to one sentence that needs no statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from parley.evaluation.aggregation.condition_data import ConditionOutcomes
from parley.evaluation.aggregation.run_data import ChannelOutcomes, RunOutcomes
from parley.evaluation.gates.comparisons import Comparison
from parley.evaluation.gates.criterion import Criterion, Rule
from parley.evaluation.gates.fitness import Fitness, unfit_sentence
from parley.evaluation.gates.gate1 import controls

Verdict = Literal["pass", "fail", "inconclusive", "invalid", "unfit"]
EXIT_CODES: dict[str, int] = {"pass": 0, "fail": 1, "inconclusive": 4, "invalid": 5, "unfit": 4}
GATES = (1, 2, 3)


class Judged(NamedTuple):
    """A channel beside all that is said of it."""

    channel: ChannelOutcomes
    gate1: Rule
    gate2: Rule
    gate3: Rule
    original_rule: Rule
    checks: Rule
    comparisons: Mapping[str, Comparison]

    def said(self, gates: Sequence[int]) -> tuple[Criterion, ...]:
        """The criteria of the first two gates as far as they are asked."""
        asked = [rule for gate, rule in ((1, self.gate1), (2, self.gate2)) if gate in gates]
        return tuple(criterion for rule in asked for criterion in rule.criteria)

    def passed(self, gates: Sequence[int]) -> bool | None:
        """What those criteria say together."""
        return Rule(criteria=self.said(gates)).passed

    def faults(self, gates: Sequence[int]) -> tuple[Criterion, ...]:
        """Checks that failed, a broken contract first, and costs that are not reported if Gate 3 is asked."""
        rules = [self.checks, *([self.gate3] if 3 in gates else [])]
        return tuple(item for rule in rules for item in rule.criteria if item.passed is False)


def overall_verdict(
    judged: Mapping[str, Judged],
    checks: Rule,
    gates: Sequence[int],
    fit: bool | None = None,
    reserved: Sequence[str] = (),
) -> Verdict:
    """The verdict on a run; only judged channels decide.

    Args:
        judged: the judged channels by name.
        checks: of the whole run.
        gates: those that decide, of 1, 2 and 3.
        fit: whether the pair can play at all, None if that is not known.
        reserved: why the records cannot pass, whatever they say.

    Returns:
        "invalid" if a check fails, else "fail" if a judged channel fails, else "inconclusive" if one is
        undetermined, there is none or something is reserved, else "pass"; "unfit" in the place of "fail" and
        "inconclusive" where the pair cannot play.
    """
    if judged and (checks.passed is False or any(entry.faults(gates) for entry in judged.values())):
        return "invalid"
    said = {entry.passed(gates) for entry in judged.values()}
    if said == {True}:
        return "inconclusive" if reserved else "pass"
    if fit is False:
        return "unfit"
    return "fail" if False in said else "inconclusive"


def plain_sentence(
    judged: Mapping[str, Judged],
    checks: Rule,
    gates: Sequence[int],
    p0: ConditionOutcomes | None,
    same: Mapping[str, float],
    fitness: Fitness,
    reserved: Sequence[str] = (),
) -> str:
    """The verdict in one or two sentences for a reader who knows no statistics.

    Args:
        judged: the judged channels by name.
        checks: of the whole run.
        gates: those that decide.
        p0: silence, None if it was not played.
        same: channels whose conditions are indistinguishable, with the smallest p.
        fitness: of the pair.
        reserved: why the records cannot pass, whatever they say.

    Returns:
        Sentences of which the first starts with the verdict and a colon.
    """
    verdict = overall_verdict(judged, checks, gates, fitness.fit, reserved)
    if verdict == "unfit":
        open_ = [name for name, entry in judged.items() if not entry.passed(gates)]
        return unfit_sentence(fitness, _list(open_) if open_ else "any channel")
    if not judged:
        return "Inconclusive: no channel that is judged was played."
    if verdict == "invalid":
        return (
            f"Invalid: the figures do not show what they were meant to show: {_fault(judged, checks, gates)}."
        )
    if verdict == "pass":
        return _pass_sentence(judged, p0, gates)
    if verdict == "fail":
        failed = _reasons(judged, gates, passed=False)
        sentence = f"Fail: it is not shown that {_names(failed)} {_carry(failed)} meaning: {_join(failed)}."
        return " ".join([sentence, *(_same(judged[name], p) for name, p in same.items() if name in failed)])
    unsure = _reasons(judged, gates, passed=None)
    if not unsure:
        return f"Inconclusive: {_names(judged)} would pass, but these records cannot: {_clause(reserved[0])}."
    return (
        f"Inconclusive: nothing failed, but whether {_names(unsure)} {_carry(unsure)} meaning is "
        f"undetermined: {_join(unsure)}."
    )


def qualified(sentence: str, qualifiers: Sequence[str]) -> str:
    """A verdict's sentence with what stands beside it: Pass, unsealed: ..."""
    verdict, colon, rest = sentence.partition(": ")
    return f"{', '.join([verdict, *qualifiers])}{colon}{rest}"


def notes(outcomes: RunOutcomes) -> list[str]:
    """What a reader must know beside the verdict.

    Args:
        outcomes: the run.

    Returns:
        Sentences: channels that are untrained, and conditions that did not play the same episodes.
    """
    untrained = [name for name, channel in outcomes.channels.items() if channel.role == "untrained"]
    said = [f"{_list(untrained)} are untrained: they neither pass nor fail."] if untrained else []
    if len(untrained) == 1:
        said = [f"{untrained[0]} is untrained: it neither passes nor fails."]
    played = [item for channel in outcomes.channels.values() for item in channel.conditions.values()]
    if not played:
        return said
    widest = max(played, key=_size)
    others = {
        name: [
            c
            for c, outcomes in channel.conditions.items()
            if not np.array_equal(outcomes.episode_ids, widest.episode_ids)
        ]
        for name, channel in outcomes.channels.items()
    }
    named = "; ".join(f"{name}: {', '.join(conditions)}" for name, conditions in others.items() if conditions)
    if named:
        said.append(
            f"Not every condition played the same episodes, and rates may differ for that reason alone. "
            f"Other than the {widest.n} episodes of the longest: {named}."
        )
    return said


def _size(outcomes: ConditionOutcomes) -> int:
    return outcomes.n


def _pass_sentence(judged: Mapping[str, Judged], p0: ConditionOutcomes | None, gates: Sequence[int]) -> str:
    conditions = [entry.channel.conditions for entry in judged.values()]
    if 1 not in gates or p0 is None:
        return f"Pass: {_names(judged)} {'meets' if len(judged) == 1 else 'meet'} what was asked."
    shares = _list([f"{outcomes['normal'].successes / outcomes['normal'].n:.1%}" for outcomes in conditions])
    swap_consistent = _list(
        [f"{outcomes['swap'].swap_consistent / outcomes['swap'].n:.1%}" for outcomes in conditions]
    )
    return (
        f"Pass: {_names(judged)} {_carry(judged)} meaning: with the message the receiver finds the target "
        f"in {shares} of episodes, without any in {p0.successes / p0.n:.1%}, and with a message about "
        f"another candidate it picks that one in {swap_consistent}."
    )


def _fault(judged: Mapping[str, Judged], checks: Rule, gates: Sequence[int]) -> str:
    """The first fault, of the run or of a channel, without its capital and full stop.

    A broken contract comes first: what else is wrong may be its consequence.
    """
    broken = {name: entry.checks.criteria[0] for name, entry in judged.items()}
    said = [f"{name}: {_clause(item.reason)}" for name, item in broken.items() if item.passed is False]
    if said:
        return "; ".join(said)
    of_run = [item for item in checks.criteria if item.passed is False]
    if of_run:
        return _clause(of_run[0].reason)
    faults = {name: entry.faults(gates) for name, entry in judged.items()}
    return "; ".join(f"{name}: {_clause(found[0].reason)}" for name, found in faults.items() if found)


def _same(judged: Judged, p: float) -> str:
    played = [name for name in ("normal", *controls()) if name in judged.channel.conditions]
    return (
        f"The {_count(len(played))} conditions {_list(played)} of {judged.channel.name} are "
        f"indistinguishable (smallest corrected p = {p:.2g})."
    )


def _reasons(judged: Mapping[str, Judged], gates: Sequence[int], *, passed: bool | None) -> dict[str, str]:
    """The first reason of each channel of which `passed` is said, without its capital and full stop."""
    return {
        name: next(_clause(item.reason) for item in entry.said(gates) if item.passed is passed)
        for name, entry in judged.items()
        if entry.passed(gates) is passed
    }


def _clause(reason: str) -> str:
    return reason[0].lower() + reason[1:].removesuffix(".")


def _join(reasons: Mapping[str, str]) -> str:
    if len(reasons) == 1:
        return next(iter(reasons.values()))
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())


def _names(channels: Mapping[str, object]) -> str:
    return _list(list(channels))


def _carry(channels: Mapping[str, object]) -> str:
    return "carries" if len(channels) == 1 else "carry"


def _count(number: int) -> str:
    return {2: "two", 3: "three", 4: "four"}.get(number, str(number))


def _list(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
