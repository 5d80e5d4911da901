"""How many episodes: the power of the criterion that Wilson's lower end reach a floor, in exact terms.

The chance to pass is a binomial tail. It is a sawtooth in n: one more episode sometimes asks for one more
success. So "the n that gives 95%" has two meanings, and each has a function here.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from parley.evaluation.statistics.proportions import check_between_0_and_1, check_counts


def least_successes(n: int, floor: float = 0.3, confidence: float = 0.95) -> int | None:
    """The smallest number of successes for which Wilson's lower end is at least the floor.

    The interval holds the rates that a score test does not reject, so its lower end is at least the floor f
    exactly if S >= n f + z sqrt(n f (1 - f)).

    Args:
        n: number of episodes, at least 1.
        floor: f, between 0 and 1.
        confidence: nominal coverage of the interval, between 0 and 1.

    Returns:
        A number from 1 to n; None if not even n successes suffice.

    Raises:
        ValueError: if an argument is out of its range.
    """
    check_counts(0, n)
    _check_rule(floor, confidence)
    least = int(_least(np.array([n]), floor, confidence)[0])
    return least if least <= n else None


def gate_power(true_rate: float, n: int, floor: float = 0.3, confidence: float = 0.95) -> float:
    """The probability that Wilson's lower end reaches the floor in n independent episodes.

    Args:
        true_rate: 0 to 1. At or below the floor the power is the probability to pass in error.
        n: number of episodes, at least 1.
        floor: between 0 and 1.
        confidence: nominal coverage of the interval, between 0 and 1.

    Returns:
        An exact binomial probability.

    Raises:
        ValueError: if an argument is out of its range.
    """
    check_counts(0, n)
    _check_rule(floor, confidence)
    if not 0 <= true_rate <= 1:
        raise ValueError(f"true_rate must be from 0 to 1, got {true_rate}")
    return float(_powers(np.array([n]), true_rate, floor, confidence)[0])


def episodes_needed(
    true_rate: float, power: float, floor: float = 0.3, confidence: float = 0.95, most: int = 100_000
) -> int:
    """The smallest n from which on the probability to pass never falls below the power.

    This is the safe meaning of "enough": a few episodes more cannot undo it.

    Args:
        true_rate: above the floor, at most 1.
        power: probability to pass that is asked for, between 0 and 1.
        floor: between 0 and 1.
        confidence: nominal coverage of the interval, between 0 and 1.
        most: the largest n that is of use, at least 1.

    Returns:
        A number from 1 to most.

    Raises:
        ValueError: if an argument is out of its range, if true_rate is not above the floor, where no n
            suffices, or if more than `most` episodes are needed.
    """
    _check_request(true_rate, power, floor, confidence, most)
    # beyond `most` too, for there the chance may dip once more
    failing = np.flatnonzero(_powers(np.arange(1, 2 * most + 1), true_rate, floor, confidence) < power)
    n = int(failing[-1]) + 2 if len(failing) else 1
    if n > most:
        raise ValueError(
            f"power must be within reach of most = {most} episodes at true_rate = {true_rate}, got {power}"
        )
    return n


def fewest_episodes(
    true_rate: float, power: float, floor: float = 0.3, confidence: float = 0.95, most: int = 100_000
) -> int:
    """The smallest n whose probability to pass is at least the power; a larger n may fall below it again.

    Args:
        true_rate: above the floor, at most 1.
        power: probability to pass that is asked for, between 0 and 1.
        floor: between 0 and 1.
        confidence: nominal coverage of the interval, between 0 and 1.
        most: the largest n that is of use, at least 1.

    Returns:
        A number from 1 to `episodes_needed`.

    Raises:
        ValueError: as `episodes_needed`.
    """
    enough = episodes_needed(true_rate, power, floor, confidence, most)
    return int(np.argmax(_powers(np.arange(1, enough + 1), true_rate, floor, confidence) >= power)) + 1


def _least(n: NDArray[np.int64], floor: float, confidence: float) -> NDArray[np.int64]:
    """Least successes for each n, more than n where none suffice."""
    z = float(norm.ppf((1 + confidence) / 2))
    least: NDArray[np.int64] = np.ceil(n * floor + z * np.sqrt(n * floor * (1 - floor))).astype(np.int64)
    return least


def _powers(n: NDArray[np.int64], true_rate: float, floor: float, confidence: float) -> NDArray[np.float64]:
    """The probability to pass for each n."""
    powers: NDArray[np.float64] = binom.sf(_least(n, floor, confidence) - 1, n, true_rate)
    return powers


def _check_rule(floor: float, confidence: float) -> None:
    check_between_0_and_1("floor", floor)
    check_between_0_and_1("confidence", confidence)


def _check_request(true_rate: float, power: float, floor: float, confidence: float, most: int) -> None:
    _check_rule(floor, confidence)
    check_between_0_and_1("power", power)
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    if not floor < true_rate <= 1:
        raise ValueError(
            f"true_rate must be above floor = {floor} and at most 1, got {true_rate}: "
            f"a rate that is not above the floor passes only by luck, with any number of episodes"
        )
