"""How the candidates of an episode are drawn from the whole world, in exact numbers.

Give every referent x an exponential clock of rate p(x), the chance that one variant of the base is x.
Variants drawn one by one are the clocks as they ring, repeats dropped are clocks that rang before: the
N candidates are the first N clocks to ring. All integrals here are over the time of a ring.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

from parley.envs.world import Referents, World

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_STEP = 0.1  # of log time; the integrands are analytic in it, so the trapezoid's error is below 1e-12


@dataclass(frozen=True, kw_only=True)
class CandidateLaw:
    """The law of N distinct candidates out of all referents, the base uniform among them.

    Referents fall into 2^A patterns by the attributes in which they differ from another one: pattern 0
    is the referent itself, and the first attribute is the highest binary digit.

    Args:
        num_values: the number of values of each attribute, A of them, each at least 2.
        num_candidates: N, from 2 to the number of referents.
        resample_probability: chance in (0, 1] that an attribute of the base is drawn anew.

    Raises:
        ValueError: if N or the probability is out of its range.
    """

    num_values: tuple[int, ...]
    num_candidates: int
    resample_probability: float

    def __post_init__(self) -> None:
        if not 2 <= self.num_candidates <= self.size:
            raise ValueError(
                f"num_candidates must be from 2 to {self.size}, the number of referents, "
                f"got {self.num_candidates}"
            )
        if not 0 < self.resample_probability <= 1:
            raise ValueError(f"resample_probability must be in (0, 1], got {self.resample_probability}")

    @classmethod
    def of(cls, world: World, num_candidates: int, resample_probability: float) -> CandidateLaw:
        """The law in a world."""
        return cls(
            num_values=tuple(world.num_values.tolist()),
            num_candidates=num_candidates,
            resample_probability=resample_probability,
        )

    @property
    def size(self) -> int:
        """The number of referents."""
        return math.prod(self.num_values)

    @cached_property
    def referents(self) -> Referents:
        """(size, A) all referents, in the order of their index in the world."""
        return np.stack(np.unravel_index(np.arange(self.size), self.num_values), axis=-1)

    @cached_property
    def pattern_sizes(self) -> Integers:
        """(2^A,) how many referents have each pattern relative to a given one."""
        return reduce(np.kron, [np.array([1, v - 1]) for v in self.num_values])

    @cached_property
    def rates(self) -> Floats:
        """(2^A,) the chance that a variant is one given referent of each pattern relative to the base."""
        p = self.resample_probability
        return reduce(np.kron, [np.array([1 - p + p / v, p / v]) for v in self.num_values])

    @cached_property
    def variant(self) -> Floats:
        """(2^A,) the law of the pattern between the base and a variant that is not the base."""
        law = self.rates * self.pattern_sizes
        law[0] = 0
        return np.asarray(law / law.sum())

    @cached_property
    def pair(self) -> Floats:
        """(2^A,) the law of the pattern between two of the candidates, averaged over all pairs.

        For x and y of given patterns relative to the base: both are candidates if at the later one's ring
        at most N - 2 other clocks have rung. The pairs are then counted by the pattern between x and y.
        """
        tables = [
            np.array([[[1, 0], [0, v - 1]], [[0, v - 1], [v - 1, (v - 1) * (v - 2)]]])
            for v in self.num_values
        ]
        num_pairs = reduce(np.kron, tables).astype(np.float64)  # (of x, of y, between them)
        num_pairs[:, :, 0] = 0  # x is y
        law = np.zeros(len(self.rates))
        for i, j in zip(*np.triu_indices(len(self.rates)), strict=True):
            if num_pairs[i, j].any():
                law += num_pairs[i, j] * self._both_drawn(int(i), int(j)) * (1 if i == j else 2)
        return np.asarray(law / law.sum())

    def hit_limit(self, rate: float, *, with_base: bool = False) -> float:
        """The highest chance that a cell of referents holds a candidate, given the base.

        The cell's first ring is exponential with the sum of its rates, and independent of the referents
        outside: it is hit unless N clocks outside ring first. Among all ways to fill the outside it is the
        heaviest referents that make the N-th ring there latest, for the more unequal exponential rates of
        the same sum are, the later is every order statistic (F. Proschan and J. Sethuraman, Journal of
        Multivariate Analysis 6 (1976) 608-616). So the outside is filled from the heaviest down.

        Args:
            rate: chance that one variant lies in the cell, 0 to 1.
            with_base: whether the base lies in the cell, and so not outside.

        Returns:
            A chance from 0 to 1, concave in `rate`.
        """
        order = np.argsort(-self.rates, kind="stable")
        clocks, left = [], 1 - rate
        for pattern in order[1:] if with_base else order:
            each, available = float(self.rates[pattern]), int(self.pattern_sizes[pattern])
            whole = min(available, int(left / each + 1e-9))
            clocks.append((each, whole))
            left -= whole * each
            if whole < available:
                clocks.append((max(left, 0.0), 1))
                break
        outside_waits = self._at_most(self.num_candidates - 1, clocks)
        first_ring = rate * self._times * np.exp(-rate * self._times)  # density of its logarithm
        return float(_STEP * (first_ring * outside_waits).sum())

    @cached_property
    def _times(self) -> Floats:
        """(T,) times, evenly spaced in their logarithm, from before any ring to after the last."""
        return np.asarray(np.exp(np.arange(-36.0, math.log(60 / self.rates.min()), _STEP)))

    def _both_drawn(self, i: int, j: int) -> float:
        """The chance that two given referents, of patterns i and j relative to the base, are candidates."""
        sizes = self.pattern_sizes.copy()
        sizes[i] -= 1
        sizes[j] -= 1
        others = list(zip(self.rates.tolist(), sizes.tolist(), strict=True))
        a, b = self.rates[i] * self._times, self.rates[j] * self._times
        later_ring = a * np.exp(-a) * -np.expm1(-b) + b * np.exp(-b) * -np.expm1(-a)
        return float(_STEP * (later_ring * self._at_most(self.num_candidates - 2, others)).sum())

    def _at_most(self, count: int, clocks: list[tuple[float, int]]) -> Floats:
        """(T,) the chance that at most `count` clocks, given as (rate, how many), have rung by each time."""
        exactly = np.zeros((count + 1, len(self._times)))
        exactly[0] = 1
        for rate, how_many in clocks:
            rung, silent = -np.expm1(-rate * self._times), np.exp(-rate * self._times)
            before, exactly = exactly, np.zeros_like(exactly)
            for k in range(min(count, how_many) + 1):
                binomial = math.comb(how_many, k) * rung**k * silent ** (how_many - k)
                exactly[k:] += binomial * before[: count + 1 - k]
        return np.asarray(exactly.sum(axis=0))
