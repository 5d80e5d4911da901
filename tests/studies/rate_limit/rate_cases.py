"""Tiny worlds in which everything about codes can be counted: all orders of candidates, all partitions."""

import itertools
import math
from functools import cache

import numpy as np

from parley.envs.world import Attribute, World
from studies.rate_limit.candidate_law import CandidateLaw
from studies.rate_limit.codes import WholeWorld, sample_game

TINY = [
    ((2, 2), 2, 0.5),
    ((2, 2), 3, 0.5),
    ((2, 3), 2, 0.5),
    ((2, 3), 3, 0.3),
    ((2, 3), 4, 0.7),
    ((6,), 3, 1.0),
]
MAX_SIGMA = 5.0  # exceeded with probability 6e-7 under the null hypothesis


# every game with every number of messages, up to one more than there are referents
TINY_RATES = [(*game, m) for game in TINY for m in range(1, math.prod(game[0]) + 2)]


def tiny_world(num_values):
    """A world that may be too small to divide."""
    return WholeWorld(name="tiny", attributes=attributes(num_values))


def divided_world(num_values):
    """A world of which 40% are for tests."""
    return World(name="divided", attributes=attributes(num_values), split_fractions=(0.3, 0.3, 0.4))


def attributes(num_values):
    return tuple(
        Attribute(name=f"attribute {i}", values=tuple(f"value {k}" for k in range(v)))
        for i, v in enumerate(num_values)
    )


def law_of(num_values, num_candidates, resample_probability):
    return CandidateLaw(
        num_values=num_values, num_candidates=num_candidates, resample_probability=resample_probability
    )


@cache
def sets_of_candidates(num_values, num_candidates, resample_probability):
    """Each set of N referents with its probability: all orders in which distinct variants can come."""
    referents = list(itertools.product(*map(range, num_values)))
    chances = dict.fromkeys(itertools.combinations(range(len(referents)), num_candidates), 0.0)
    for base in referents:
        variant = [
            math.prod(
                resample_probability / v + (1 - resample_probability) * (x == b)
                for x, b, v in zip(referent, base, num_values, strict=True)
            )
            for referent in referents
        ]
        for order in itertools.permutations(range(len(referents)), num_candidates):
            chance, left = 1 / len(referents), 1.0
            for referent in order:
                chance *= variant[referent] / left
                left -= variant[referent]
            chances[tuple(sorted(order))] += chance
    return chances


def exact_success(cells, num_values, num_candidates, resample_probability):
    """E[D] / N of a code, over all sets of candidates."""
    chances = sets_of_candidates(num_values, num_candidates, resample_probability)
    return sum(p * len({cells[x] for x in drawn}) for drawn, p in chances.items()) / num_candidates


def partitions(size, num_messages):
    """All codes of at most M messages, cells numbered in the order of their first referent."""

    def extend(cells):
        if len(cells) == size:
            yield tuple(cells)
            return
        for cell in range(min(max(cells, default=-1) + 2, num_messages)):
            yield from extend([*cells, cell])

    return extend([])


@cache
def optimum(num_values, num_candidates, resample_probability, num_messages):
    all_codes = partitions(math.prod(num_values), num_messages)
    return max(exact_success(c, num_values, num_candidates, resample_probability) for c in all_codes)


@cache
def tiny_game(num_values, num_candidates, resample_probability, num_episodes=1_000):
    law = law_of(num_values, num_candidates, resample_probability)
    return sample_game(tiny_world(num_values), law, num_episodes, np.random.default_rng(1))


TINY_RATES = [(*game, m) for game in TINY for m in range(1, math.prod(game[0]) + 2)]
