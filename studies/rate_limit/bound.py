"""The success that no code reaches at b bits, if its sender does not see the candidates.

A code names one of M = 2^b messages for each referent: a partition of the world into M cells. The receiver
succeeds with probability E[D] / N, where D is the number of distinct cells among the N candidates (see
evaluation/rate_codes.py). So every upper bound on E[D] over all partitions is a limit for all codes.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from scipy.optimize import linprog, minimize_scalar

from parley.envs.world import World
from studies.rate_limit.candidate_law import CandidateLaw, Floats

SLACK = 1e-6  # added to what is computed: far above the errors of quadrature, linear program and maximum


def upper_bound(
    world: World, *, num_candidates: int = 5, resample_probability: float = 0.5, num_messages: int
) -> float:
    """The success that no code of M messages exceeds in the game on the whole world.

    The candidates are drawn from all referents. A split is a random subset of them, and the bound is for
    codes that do not know it; but drawing from a split is another game. There the base itself is a
    candidate more often, so that a code which tells all neighbours apart gains: episodes of one split can
    score above this bound by about 0.01 around 3 bits, see `best_code_test` in rate_limit.json.

    Args:
        world: what the candidates are; only the numbers of values matter.
        num_candidates: N, from 2 to the number of referents.
        resample_probability: as in EpisodeConfig.
        num_messages: M, at least 1.

    Returns:
        A success from 1/N to 1.

    Raises:
        ValueError: if an argument is out of its range.
    """
    return success_bound(CandidateLaw.of(world, num_candidates, resample_probability), num_messages)


def success_bound(law: CandidateLaw, num_messages: int) -> float:
    """The smallest of three bounds: by counting, by pairs and by cells.

    Args:
        law: how the candidates are drawn.
        num_messages: M, at least 1.

    Returns:
        A success from 1/N to 1; exact if M is 1 or at least the number of referents.

    Raises:
        ValueError: if there is no message.
    """
    check_num_messages(num_messages)
    counting = min(law.num_candidates, num_messages) / law.num_candidates
    if num_messages == 1 or num_messages >= law.size:
        return counting
    return min(counting, bound_by_pairs(law, num_messages), bound_by_cells(law, num_messages))


def bound_by_pairs(law: CandidateLaw, num_messages: int) -> float:
    """A bound from the pairs of candidates that must share a cell.

    A cell with m candidates loses m - 1 = (2/m) m(m - 1)/2 of them, at least 2/N for each pair in it, so
    D <= N - (2/N) P for P colliding pairs, and E[P] = N(N - 1)/2 Pr[two candidates share a cell].
    """
    collision = fewest_collisions(law, law.pair, num_messages)
    return 1 - (1 - 1 / law.num_candidates) * collision + SLACK


def bound_by_cells(law: CandidateLaw, num_messages: int) -> float:
    """A bound from the chance that a cell is hit, as a concave function of the cell's weight.

    Given the base b, a cell c of weight q = Pr[a variant is in c] is hit with a chance of at most h(q),
    or h0(q) for the cell of b: `hit_limit`. Both are concave: move a little weight of the lightest referent
    x outside into the cell. The chance to miss falls by that of rings of this piece after which N others
    still precede the cell. The further this has gone, the fewer clocks outside follow, and once x is partly
    moved its other part may have rung before: each piece costs less than the one before.
    The weights sum to 1, so E[D | b] <= F(q0) = h0(q0) + (M - 1) h((1 - q0) / (M - 1)), also concave. By
    Jensen E[D] <= F(E[q0]), where E[q0] = p(b) + (1 - p(b)) Pr[base and another variant share a cell]: F's
    maximum over all that a partition allows.
    """
    base = float(law.rates[0])
    lowest = base + (1 - base) * fewest_collisions(law, law.variant, num_messages)

    def distinct_cells(own: float) -> float:
        others = law.hit_limit((1 - own) / (num_messages - 1))
        return law.hit_limit(own, with_base=True) + (num_messages - 1) * others

    if lowest >= 1 - SLACK:
        highest = distinct_cells(lowest)
    else:
        found = minimize_scalar(lambda own: -distinct_cells(own), bounds=(lowest, 1), method="bounded")
        highest = max(distinct_cells(lowest), -float(found.fun))
    return highest / law.num_candidates + SLACK


def fewest_collisions(law: CandidateLaw, pattern_law: Floats, num_messages: int) -> float:
    """The least chance, over all partitions into M cells, that two referents share a cell: a lower bound.

    A linear program over a(s), the mean number of referents of pattern s in a referent's cell. None is
    negative and a(0) is 1, the referent itself; their sum is that of the squared cell sizes over the number
    of referents, least when sizes are even; and no eigenspace of the scheme has a negative share of a cell.

    Source: P. Delsarte, "An algebraic approach to the association schemes of coding theory", Philips
    Research Reports Supplements 10 (1973), for the product of the schemes "equal or not" of each attribute.

    Args:
        law: the world's patterns.
        pattern_law: (2^A,) the law of the pattern between the two referents, 0 for pattern 0.
        num_messages: M, at least 1.

    Returns:
        A probability.
    """
    sizes, size = law.pattern_sizes, law.size
    eigenspaces = reduce(np.kron, [np.array([[1, 1], [1, -1 / (v - 1)]]) for v in law.num_values])
    small, larger = divmod(size, num_messages)
    cell_mates = ((num_messages - larger) * small**2 + larger * (small + 1) ** 2) / size
    solved = linprog(
        pattern_law / sizes,
        A_ub=np.vstack([-eigenspaces, -np.ones(len(sizes))]),
        b_ub=np.append(np.zeros(len(sizes)), -cell_mates),
        bounds=[(1, 1), *[(0, None)] * (len(sizes) - 1)],
    )
    assert solved.status == 0, solved.message  # every partition into even cells is feasible
    return max(float(solved.fun), 0.0)


def check_num_messages(num_messages: int) -> None:
    """Raise a ValueError unless there is a message."""
    if num_messages < 1:
        raise ValueError(f"num_messages must be at least 1, got {num_messages}")
