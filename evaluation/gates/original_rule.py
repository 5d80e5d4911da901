"""The rule of the failed experiment, word for word: reported beside Gate 1, it decides nothing."""

from __future__ import annotations

from parley.evaluation.aggregation.condition_data import ConditionOutcomes
from parley.evaluation.aggregation.run_data import ChannelOutcomes
from parley.evaluation.gates.criterion import Criterion, Rule, Thresholds, apart, not_played
from parley.evaluation.gates.gate1 import above_floor
from parley.evaluation.gates.inference import Inference
from parley.evaluation.statistics import wilson


def original_rule(channel: ChannelOutcomes, p0: ConditionOutcomes | None, thresholds: Thresholds) -> Rule:
    """CI_low(normal) >= .30; CI_high(shuffle) < CI_low(P0).

    A plain shuffle goes to exactly 1/N and never below, so that a channel that carries meaning is expected to
    fail the second half.

    Args:
        channel: by condition.
        p0: silence on the same episodes, None if it was not played.
        thresholds: the constants; its intervals are Wilson's, with n fixed.

    Returns:
        Its two criteria.
    """
    fixed = Inference(thresholds=thresholds)
    return Rule(
        criteria=(
            above_floor(channel.conditions.get("normal"), fixed),
            _shuffle_below_p0(channel.conditions.get("shuffle"), p0, thresholds.confidence),
        )
    )


def _shuffle_below_p0(
    shuffle: ConditionOutcomes | None, p0: ConditionOutcomes | None, confidence: float
) -> Criterion:
    name = "shuffle_below_p0"
    silence = None if p0 is None else wilson(p0.successes, p0.n, confidence=confidence)
    if shuffle is None or silence is None:
        least = None if silence is None else silence.ci_low
        return not_played(name, least, "shuffle" if shuffle is None else "silence")
    measured = wilson(shuffle.successes, shuffle.n, confidence=confidence)
    high, low = apart(measured.ci_high, silence.ci_low)
    best = wilson(0, shuffle.n, confidence=confidence).ci_high
    passed = None if best >= silence.ci_low else measured.ci_high < silence.ci_low
    said = "below" if passed else "not below"
    reason = (
        f"Under shuffle the true rate may be as high as {high}, {said} {low}, the least it may be in silence."
    )
    if passed is None:
        reason = (
            f"Too few episodes: even after 0 successes of {shuffle.n} the true rate under shuffle may be as "
            f"high as {best:.1%}, not below {low}, the least it may be in silence."
        )
    return Criterion(
        name=name, statistic=measured.ci_high, threshold=silence.ci_low, passed=passed, reason=reason
    )
