"""Gate 2, retention of the text channel's success, and Gate 3, that a run says what it cost."""

from __future__ import annotations

from parley.evaluation.aggregation.condition_data import ConditionOutcomes
from parley.evaluation.aggregation.run_data import ChannelOutcomes
from parley.evaluation.gates.criterion import Criterion, Rule, not_played
from parley.evaluation.gates.inference import Inference

REPORTED = ("success", "bits", "tokens", "seconds")


def gate2(channel: ChannelOutcomes, text: ConditionOutcomes | None, inference: Inference) -> Rule:
    """Gate 2: CI_low(normal) is at least half of the text channel's measured success.

    Args:
        channel: by condition.
        text: the ceiling under normal, None if it was not played.
        inference: the arithmetic.

    Returns:
        One criterion.
    """
    name, normal = "retains_text", channel.conditions.get("normal")
    if normal is None or text is None:
        missing = "normal" if normal is None else "text"
        reason = not_played(name, None, missing).reason.replace("Condition text", "The text channel")
        return Rule(
            criteria=(Criterion(name=name, statistic=None, threshold=None, passed=None, reason=reason),)
        )
    asked = inference.thresholds.retention * text.successes / text.n
    measured = inference.interval(normal.successes, normal.n)
    passed = inference.reaches(normal.successes, normal.n, asked)
    reason = (
        f"Normal succeeds in {measured.rate:.1%} and its true rate may be as low as {measured.ci_low:.1%}; "
        f"text succeeds in {text.successes / text.n:.1%}, and {asked:.1%} is asked."
    )
    return Rule(
        criteria=(
            Criterion(name=name, statistic=measured.ci_low, threshold=asked, passed=passed, reason=reason),
        )
    )


def gate3(channel: ChannelOutcomes) -> Rule:
    """Gate 3: every record of the normal condition says bits, tokens and seconds beside success.

    Args:
        channel: by condition.

    Returns:
        One criterion a figure; its statistic is the mean that is reported.
    """
    normal = channel.conditions.get("normal")
    if normal is None:
        return Rule(criteria=tuple(not_played(f"reports_{what}", None, "normal") for what in REPORTED))
    reported = {
        "success": normal.successes / normal.n,
        "bits": normal.mean_bits,
        "tokens": normal.mean_tokens,
        "seconds": normal.mean_seconds,
    }
    return Rule(criteria=tuple(_reports(what, mean) for what, mean in reported.items()))


def _reports(what: str, mean: float | None) -> Criterion:
    found = mean is not None
    reason = f"The mean of {what} is {mean:.4g}." if found else f"Not every record says its {what}."
    return Criterion(name=f"reports_{what}", statistic=mean, threshold=None, passed=found, reason=reason)
