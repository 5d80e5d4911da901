"""How many episodes: the power of the criterion that Wilson's lower end reach a floor, in exact terms.

The chance to pass is a binomial tail. It is a sawtooth in n: one more episode sometimes asks for one more
success. So "the n that gives 95%" has two meanings, and each has a function here.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr
from scipy.stats import binom, norm

from parley.evaluation.statistics.proportions import check_between_0_and_1, check_counts

_BLOCK = 1 << 14  # values of n computed at once


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
    true_rate: float, power: float, floor: float = 0.3, confidence: float = 0.95, most: int = 1_000_000
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
    n = 0
    if gate_power(true_rate, most, floor, confidence) >= power:
        end = _surely_enough(true_rate, power, floor, confidence)
        while n == 0 and end > 0:  # backwards, to the last n that fails
            start = max(end - _BLOCK, 0)
            numbers = np.arange(start, end) + 1
            failing = numbers[_powers(numbers, true_rate, floor, confidence) < power]
            n, end = int(failing[-1]) if len(failing) else 0, start
        n += 1
    if not 1 <= n <= most:
        raise ValueError(
            f"power must be within reach of most = {most} episodes at true_rate = {true_rate}, got {power}"
        )
    return n


def fewest_episodes(
    true_rate: float, power: float, floor: float = 0.3, confidence: float = 0.95, most: int = 1_000_000
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
    for start in range(0, enough, _BLOCK):
        numbers = np.arange(start, min(start + _BLOCK, enough)) + 1
        passing = numbers[_powers(numbers, true_rate, floor, confidence) >= power]
        if len(passing):
            return int(passing[0])
    return enough


def _least(n: NDArray[np.int64], floor: float, confidence: float) -> NDArray[np.int64]:
    """Least successes for each n, more than n where none suffice."""
    z = float(norm.ppf((1 + confidence) / 2))
    least: NDArray[np.int64] = np.ceil(n * floor + z * np.sqrt(n * floor * (1 - floor))).astype(np.int64)
    return least


def _powers(n: NDArray[np.int64], true_rate: float, floor: float, confidence: float) -> NDArray[np.float64]:
    """The probability to pass for each n."""
    powers: NDArray[np.float64] = binom.sf(_least(n, floor, confidence) - 1, n, true_rate)
    return powers


def _surely_enough(true_rate: float, power: float, floor: float, confidence: float) -> int:
    """An n from which on the power is reached for certain, by Chernoff's bound.

    Less than the least successes is at most a share a(n) = floor + z sqrt(floor (1 - floor) / n), which falls
    with n. Once it is below the true rate p, the chance to miss is at most exp(-n KL(a(n) || p)), and that
    falls too.
    """
    spread = norm.ppf((1 + confidence) / 2) * math.sqrt(floor * (1 - floor))

    def enough(n: int) -> bool:
        share = floor + spread / math.sqrt(n)
        if share >= true_rate:
            return False
        divergence = rel_entr(share, true_rate) + rel_entr(1 - share, 1 - true_rate)
        return bool(n * divergence >= -math.log1p(-power))

    high = 1
    while not enough(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


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
