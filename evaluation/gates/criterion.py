"""What every gate is made of: the frozen constants, criteria that say yes, no or undetermined, and rules."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The constants of the gates, frozen before any result; GATE1.md says what each is for.

    Args:
        min_ci_low: the floor, least lower end of the interval of normal and of swap consistency.
        min_gain: the lower end of normal less silence must be at least this.
        confidence: nominal coverage of every interval.
        mcnemar_alpha: p-values of normal against a control must be below it.
        equivalence_alpha: level of each of the two one-sided tests that show a control at chance.
        chance_share: the margin within which a control is shown at chance, as a share of chance.
        most_margin: that margin is never more than this.
        differs_alpha: a control differs from chance if its two-sided p is below this, and the target is known
            without a message if the one-sided p of silence is.
        retention: least share of the text channel's success, for Gate 2.

    Raises:
        ValueError: if a threshold is not between 0 and 1.
    """

    min_ci_low: float = 0.30
    min_gain: float = 0.10
    confidence: float = 0.95
    mcnemar_alpha: float = 0.01
    equivalence_alpha: float = 0.05
    chance_share: float = 0.5
    most_margin: float = 0.09
    differs_alpha: float = 0.001
    retention: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < 1:
                raise ValueError(f"{field.name} must be between 0 and 1, got {value}")

    def margin(self, chance: float) -> float:
        """How far from chance a control may be and still be shown to stand there."""
        return min(self.chance_share * chance, self.most_margin)


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """What one criterion says.

    Args:
        name: the same in every run.
        statistic: the measured number, None if a condition is missing.
        threshold: what it is compared with, None if that had to be measured and was not.
        passed: True, False, or None for "undetermined".
        reason: one plain sentence.
    """

    name: str
    statistic: float | None
    threshold: float | None
    passed: bool | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Criteria and what follows from all of them: any False fails, else any None leaves it open."""

    criteria: tuple[Criterion, ...]

    @property
    def passed(self) -> bool | None:
        """True, False, or None for "undetermined"."""
        said = {criterion.passed for criterion in self.criteria}
        if False in said:
            return False
        return None if None in said else True


def unknown(name: str, threshold: float | None, reason: str) -> Criterion:
    """A criterion that is undetermined, and why."""
    return Criterion(name=name, statistic=None, threshold=threshold, passed=None, reason=reason)


def not_played(name: str, threshold: float | None, condition: str) -> Criterion:
    """A criterion that is undetermined because a condition, or silence, was not played."""
    what = "Silence (P0)" if condition == "silence" else f"Condition {condition}"
    return unknown(name, threshold, f"{what} was not played.")


def answer(name: str, passed: bool, reason: str) -> Criterion:
    """A criterion that says yes or no without a number."""
    return Criterion(name=name, statistic=None, threshold=None, passed=passed, reason=reason)


def apart(value: float, other: float) -> tuple[str, str]:
    """Two shares in percent, with as many decimals as it takes to see which is the larger."""
    for decimals in (1, 2, 3, 4, 6, 9):
        first, second = f"{value:.{decimals}%}", f"{other:.{decimals}%}"
        if first != second or value == other:
            break
    return first, second
