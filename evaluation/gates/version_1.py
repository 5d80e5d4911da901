"""Gate 1, version 1, and the rule of the failed experiment: reported beside version 2, they decide nothing.

A criterion says None where it cannot be told: a condition is missing, or the episodes are so few that
even the most favourable outcome could not pass. In words: GATE1.md.
"""

from __future__ import annotations

from parley.evaluation.aggregation.run_data import ChannelOutcomes, ConditionOutcomes, Pairs, pair
from parley.evaluation.gates.criterion import Criterion, Rule, Thresholds, apart, not_played, unknown
from parley.evaluation.statistics import PairedTest, Proportion, mcnemar_exact, wilson

CONTROLS_AT_P0 = ("null", "random", "shuffle")


def version_1(channel: ChannelOutcomes, p0: ConditionOutcomes | None, thresholds: Thresholds) -> Rule:
    """Version 1 of Gate 1 for one channel.

    Args:
        channel: the channel's arms.
        p0: silence on the same episodes, None if it was not played.
        thresholds: the constants.

    Returns:
        Six criteria: normal above the floor, three controls at P0, normal above shuffle, swap below P0.
    """
    silence = _interval(p0, thresholds)
    conditions = channel.conditions
    return Rule(
        criteria=(
            _normal_above_floor(conditions.get("normal"), thresholds),
            *(
                _control_at_p0(name, _interval(conditions.get(name), thresholds), silence)
                for name in CONTROLS_AT_P0
            ),
            _normal_beats_shuffle(conditions.get("normal"), conditions.get("shuffle"), thresholds),
            _below_p0("swap", conditions.get("swap"), silence, thresholds),
        )
    )


def original_rule(channel: ChannelOutcomes, p0: ConditionOutcomes | None, thresholds: Thresholds) -> Rule:
    """The rule of the failed experiment, word for word, for information: it decides nothing here.

    CI_low(normal) >= .30; CI_high(shuffle) < CI_low(P0). A plain shuffle goes to exactly 1/N and never below,
    so that a channel that carries meaning is expected to fail the second half.

    Args:
        channel: the channel's arms.
        p0: silence on the same episodes, None if it was not played.
        thresholds: the constants.

    Returns:
        Its two criteria.
    """
    silence = _interval(p0, thresholds)
    return Rule(
        criteria=(
            _normal_above_floor(channel.conditions.get("normal"), thresholds),
            _below_p0("shuffle", channel.conditions.get("shuffle"), silence, thresholds),
        )
    )


def _normal_above_floor(normal: ConditionOutcomes | None, thresholds: Thresholds) -> Criterion:
    name, floor = "normal_above_floor", thresholds.min_ci_low
    if normal is None:
        return not_played(name, floor, "normal")
    measured = _wilson(normal, thresholds)
    low, asked = apart(measured.ci_low, floor)
    best = wilson(normal.n, normal.n, confidence=thresholds.confidence).ci_low
    if best < floor:
        passed = None
        reason = (
            f"Too few episodes: even after {normal.n} successes of {normal.n} normal's true rate may be "
            f"as low as {best:.1%}, and {asked} is asked."
        )
    else:
        passed = measured.ci_low >= floor
        reason = (
            f"Normal succeeds in {measured.rate:.1%} of {normal.n} episodes; its true rate may be as low as "
            f"{low}, {'not below' if passed else 'below'} the {asked} asked."
        )
    return Criterion(name=name, statistic=measured.ci_low, threshold=floor, passed=passed, reason=reason)


def _control_at_p0(condition: str, control: Proportion | None, silence: Proportion | None) -> Criterion:
    name = f"{condition}_at_p0"
    if control is None or silence is None:
        return not_played(name, 0.0, condition if control is None else "silence")
    gap = control.gap(silence)
    where = "overlaps" if gap <= 0 else "lies above" if control.rate > silence.rate else "lies below"
    reason = f"The interval of {condition}, {_span(control)}, {where} that of silence, {_span(silence)}."
    return Criterion(name=name, statistic=gap, threshold=0.0, passed=gap <= 0, reason=reason)


def _normal_beats_shuffle(
    normal: ConditionOutcomes | None, shuffle: ConditionOutcomes | None, thresholds: Thresholds
) -> Criterion:
    name, alpha = "normal_beats_shuffle", thresholds.mcnemar_alpha
    if normal is None or shuffle is None:
        return not_played(name, alpha, "normal" if normal is None else "shuffle")
    pairs = pair(normal, shuffle)
    if not len(pairs.first):
        reason = "Normal and shuffle share no episode."
        return unknown(name, alpha, reason)
    test = _mcnemar(pairs)
    most = int((~pairs.second).sum())
    best = mcnemar_exact(only_first=most, only_second=0, num_pairs=test.num_pairs).p_value
    if best >= alpha:
        passed = None
        reason = (
            f"Shuffle fails in only {most} of {test.num_pairs} shared episodes: even a normal that wins them "
            f"all would give p = {best:.2g}, and below {alpha:g} is asked."
        )
    else:
        passed = test.p_value < alpha and test.only_first > test.only_second
        reason = (
            f"Of {test.num_pairs} shared episodes {test.only_first} succeed only under normal and "
            f"{test.only_second} only under shuffle (p = {test.p_value:.2g}; "
            f"asked: more under normal, and p below {alpha:g})."
        )
    return Criterion(name=name, statistic=test.p_value, threshold=alpha, passed=passed, reason=reason)


def _below_p0(
    condition: str, outcomes: ConditionOutcomes | None, silence: Proportion | None, thresholds: Thresholds
) -> Criterion:
    name = f"{condition}_below_p0"
    if outcomes is None or silence is None:
        return not_played(
            name, None if silence is None else silence.ci_low, condition if outcomes is None else "silence"
        )
    measured = _wilson(outcomes, thresholds)
    high, low = apart(measured.ci_high, silence.ci_low)
    best = wilson(0, outcomes.n, confidence=thresholds.confidence).ci_high
    if best >= silence.ci_low:
        passed = None
        reason = (
            f"Too few episodes: even after 0 successes of {outcomes.n} the true rate under {condition} may be "
            f"as high as {best:.1%}, not below {low}, the least it may be in silence."
        )
    else:
        passed = measured.ci_high < silence.ci_low
        reason = (
            f"Under {condition} the true rate may be as high as {high}, {'below' if passed else 'not below'} "
            f"{low}, the least it may be in silence."
        )
    return Criterion(
        name=name, statistic=measured.ci_high, threshold=silence.ci_low, passed=passed, reason=reason
    )


def _wilson(outcomes: ConditionOutcomes, thresholds: Thresholds) -> Proportion:
    return wilson(outcomes.successes, outcomes.n, confidence=thresholds.confidence)


def _interval(outcomes: ConditionOutcomes | None, thresholds: Thresholds) -> Proportion | None:
    return None if outcomes is None else _wilson(outcomes, thresholds)


def _mcnemar(pairs: Pairs) -> PairedTest:
    return mcnemar_exact(
        only_first=pairs.only_first,
        only_second=pairs.only_second,
        num_pairs=len(pairs.first),
    )


def _span(proportion: Proportion) -> str:
    return f"{proportion.ci_low:.1%} to {proportion.ci_high:.1%}"
