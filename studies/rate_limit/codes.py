"""Codes of a sender that does not see the candidates: found by search, or made of words.

A code is an array (size,) of message numbers, one for each referent of the world: a partition into cells.
It knows no split, so it covers the whole world, and is measured there.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialGame
from parley.envs.world import Referents, Split, World
from studies.rate_limit.bound import check_num_messages
from studies.rate_limit.candidate_law import CandidateLaw, Floats, Integers

Matrix = NDArray[np.float32]
_SUMS_TRIED = 32  # weighted sums looked at for each one that is improved
_PRODUCTS_MEASURED = 16  # factorisations that are played, those of the fewest expected collisions


class WholeWorld(World):
    """A world that is not divided: every split is all of it, so it may be too small to split."""

    def referents(self, split: Split) -> Referents:
        """All referents, (size, A), in the order of their index."""
        return np.stack(np.unravel_index(np.arange(self.size), self._shape), axis=-1)

    @classmethod
    def of(cls, world: World) -> WholeWorld:
        """The same attributes, undivided."""
        return cls(name=world.name, attributes=world.attributes)


@dataclass(frozen=True, kw_only=True)
class SampledGame:
    """The game on the whole world, with episodes as the referent numbers of their candidates.

    Args:
        law: how the candidates are drawn.
        choosing: (n, N) the episodes by which codes are chosen.
        fresh: (n, N) the episodes on which they are measured.
    """

    law: CandidateLaw
    choosing: Integers
    fresh: Integers

    @cached_property
    def meets(self) -> Matrix:
        """(size, size) the chance that a candidate's fellow is each referent; rows sum to 1, diagonal 0."""
        law, pattern = self.law, np.zeros((self.law.size, self.law.size), dtype=np.uint16)
        for column in law.referents.T:
            pattern = 2 * pattern + (column[:, None] != column)
        return np.asarray((law.pair / law.pattern_sizes).astype(np.float32)[pattern])

    def collisions(self, cells: Integers) -> float:
        """The chance that two candidates share a cell of a code (size,)."""
        members = np.split(np.argsort(cells), np.cumsum(np.bincount(cells))[:-1])
        return sum(float(self.meets[np.ix_(c, c)].sum(dtype=np.float64)) for c in members) / len(cells)

    def try_out(self, cells: Integers) -> float:
        """The success of a code (size,) in the choosing episodes."""
        return measure(cells, self.choosing, collisions=self.collisions(cells)).success

    def measure(self, cells: Integers) -> MeasuredCode:
        """A code (size,) with its success in the fresh episodes."""
        return measure(cells, self.fresh, collisions=self.collisions(cells))


class MeasuredCode(NamedTuple):
    """A code (size,), its success and the standard error of that mean."""

    cells: Integers
    success: float
    standard_error: float


class ProductCode(NamedTuple):
    """How many groups of values each attribute has, with the code that names the groups."""

    groups: tuple[int, ...]
    code: MeasuredCode


def sample_game(world: World, law: CandidateLaw, num_episodes: int, rng: np.random.Generator) -> SampledGame:
    """Draw the episodes in which codes are chosen and those in which they are measured."""
    whole = WholeWorld.of(world)
    choosing, fresh = (draw_candidates(whole, law, "train", num_episodes, rng) for _ in range(2))
    return SampledGame(law=law, choosing=choosing, fresh=fresh)


def draw_candidates(
    world: World, law: CandidateLaw, split: Split, num_episodes: int, rng: np.random.Generator
) -> Integers:
    """Referent numbers (n, N) of the candidates of n episodes, as ReferentialGame draws them.

    Raises:
        ValueError: if there are fewer than 2 episodes, for they have no standard error.
    """
    if num_episodes < 2:
        raise ValueError(f"num_episodes must be at least 2, got {num_episodes}")
    config = EpisodeConfig(
        num_candidates=law.num_candidates, resample_probability=law.resample_probability, split=split
    )
    sampler = ReferentialGame(world, config)
    return np.stack([world.index(sampler.draw(rng).candidates) for _ in range(num_episodes)])


def measure(cells: Integers, candidates: Integers, *, collisions: float | None = None) -> MeasuredCode:
    """The success of a code with the best receiver, over episodes.

    The target is uniform among the N candidates and the receiver sees its cell's number only. If it then
    picks candidate g(c) of each cell c that holds one, it is right for the targets g(c), one for each cell:
    with probability D / N for D distinct cells, and no receiver can be right for two targets of one cell.
    So success is the mean of D / N, and no target need be drawn.

    Args:
        cells: (size,) the code.
        candidates: (n, N) referent numbers, n at least 2.
        collisions: the chance that two candidates share a cell, where the law tells it. Then the episodes'
            own share of such pairs is a control variate: D / N is corrected by its regression on it
            (S. S. Lavenberg and P. D. Welch, Management Science 27 (1981) 322-335).

    Returns:
        The code with its success and the standard error; with a control variate at least 1 / (n N), what
        one episode with three candidates in a cell would change where none was seen.
    """
    (n, num_candidates), named = candidates.shape, np.sort(cells[candidates], axis=1)
    distinct = 1.0 + (np.diff(named, axis=1) != 0).sum(axis=1)
    rarest = 0.0
    if collisions is not None:
        same = (named[:, :, None] == named[:, None, :]).sum(axis=(1, 2)) - num_candidates
        off = same / (num_candidates * (num_candidates - 1)) - collisions
        if off.var() > 0:
            distinct -= off * np.cov(distinct, off)[0, 1] / off.var(ddof=1)
            rarest = 1 / n
    error = max(distinct.std(ddof=1) / math.sqrt(n), rarest) / num_candidates
    return MeasuredCode(cells, float(distinct.mean() / num_candidates), float(error))


def best_code(
    game: SampledGame, *, num_messages: int, rng: np.random.Generator, effort: int = 3
) -> MeasuredCode:
    """The best code of M messages that a search finds: what it succeeds at can be reached.

    Local search from random codes, from weighted sums of the value numbers modulo M (such sums are good
    error-detecting codes: neighbours get different messages) and from the best product code. A step moves
    one referent to the cell where it meets the fewest others in an episode. The code that does best in the
    choosing episodes is measured.

    Args:
        game: as from sample_game.
        num_messages: M, at least 1.
        rng: of the starts and of the order of steps.
        effort: starts of the first two kinds, each at least 1.

    Returns:
        The code and its success on fresh episodes.

    Raises:
        ValueError: if M or the effort is out of its range.
    """
    check_num_messages(num_messages)
    if effort < 1:
        raise ValueError(f"effort must be at least 1, got {effort}")
    law = game.law
    if num_messages == 1 or num_messages >= law.size:
        return game.measure(np.arange(law.size) % num_messages)
    starts = [product_code(game, num_messages=num_messages).code.cells]
    for _ in range(effort):
        starts.append(rng.integers(num_messages, size=law.size))
        sums = [_weighted_sum(law, num_messages, rng) for _ in range(_SUMS_TRIED)]
        starts.append(min(sums, key=game.collisions))
    found = [improve(game, cells, num_messages, rng) for cells in starts]
    return game.measure(max(found, key=game.try_out))


def product_code(game: SampledGame, *, num_messages: int) -> ProductCode:
    """The best code of M messages in which each attribute names a group of its values: whole words' best.

    Every factorisation m1 x m2 x ... <= M is considered, with groups as even as they can be, which is where
    their referents collide least. The most promising are played in the choosing episodes.

    Args:
        game: as from sample_game.
        num_messages: M, at least 1.

    Returns:
        The number of groups of each attribute, and the code with its success on fresh episodes.

    Raises:
        ValueError: if M is out of its range.
    """
    check_num_messages(num_messages)
    law = game.law
    all_groups = itertools.product(*(range(1, v + 1) for v in law.num_values))
    fitting = [groups for groups in all_groups if math.prod(groups) <= num_messages]
    promising = sorted(fitting, key=lambda groups: product_collisions(law, groups))[:_PRODUCTS_MEASURED]
    groups = max(promising, key=lambda g: game.try_out(product_cells(law, g)))
    return ProductCode(groups, game.measure(product_cells(law, groups)))


def word_code(game: SampledGame, num_words: int) -> ProductCode:
    """The best code that names j of the attributes exactly and says nothing of the others.

    Args:
        game: as from sample_game.
        num_words: j, from 0 to A; the code has as many messages as the named attributes have combinations.

    Returns:
        The number of values of each named attribute and 1 for the others, and the code with its success.

    Raises:
        ValueError: if there are not that many attributes.
    """
    num_values = game.law.num_values
    if not 0 <= num_words <= len(num_values):
        raise ValueError(f"num_words must be from 0 to {len(num_values)}, got {num_words}")
    named = itertools.combinations(range(len(num_values)), num_words)
    choices = [tuple(v if i in chosen else 1 for i, v in enumerate(num_values)) for chosen in named]
    groups = min(choices, key=lambda g: product_collisions(game.law, g))
    return ProductCode(groups, game.measure(product_cells(game.law, groups)))


def product_cells(law: CandidateLaw, groups: tuple[int, ...]) -> Integers:
    """(size,) the code that names a group of each attribute's values, groups as even as they can be."""
    merged = [
        law.referents[:, i] * m // v for i, (m, v) in enumerate(zip(groups, law.num_values, strict=True))
    ]
    return np.asarray(np.ravel_multi_index(merged, groups))


def product_collisions(law: CandidateLaw, groups: tuple[int, ...]) -> float:
    """The chance that two candidates share a cell of the code of product_cells, from the patterns alone."""
    sharing: Floats = np.ones(1)
    for m, v in zip(groups, law.num_values, strict=True):
        sizes = np.bincount(np.arange(v) * m // v)
        sharing = np.kron(sharing, [1, (sizes * (sizes - 1)).sum() / (v * (v - 1))])
    return float(law.pair @ sharing)


def _weighted_sum(law: CandidateLaw, num_messages: int, rng: np.random.Generator) -> Integers:
    weights = rng.integers(num_messages, size=len(law.num_values))
    return np.asarray(law.referents @ weights % num_messages)


def improve(game: SampledGame, cells: Integers, num_messages: int, rng: np.random.Generator) -> Integers:
    """A code (size,) of M messages whose collisions no move of one referent to another cell reduces.

    Args:
        game: as from sample_game.
        cells: (size,) where the moves start from; left as it is.
        num_messages: M, above all of `cells`.
        rng: of the order in which referents are moved.
    """
    cells, size, meets = cells.copy(), len(cells), game.meets
    met = np.zeros((size, num_messages), dtype=np.float32)  # what each referent meets in each cell
    for referent in range(size):
        met[:, cells[referent]] += meets[referent]
    moved = True
    while moved:
        moved = False
        for referent in rng.permutation(size):
            old, new = cells[referent], met[referent].argmin()
            if met[referent, old] - met[referent, new] > 1e-6:  # above single precision's rounding
                met[:, old] -= meets[referent]
                met[:, new] += meets[referent]
                cells[referent], moved = new, True
    return cells
