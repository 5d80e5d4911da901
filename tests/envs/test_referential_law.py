"""Candidates have one law, drawn as copies of the base until there are enough or by their weights."""

from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from parley.envs import referential
from parley.envs.game import EpisodeConfig
from parley.envs.listed_world import ListedWorld
from parley.envs.referential import MOST_COPIES, ReferentialEpisode, ReferentialGame
from parley.envs.world import Attribute, World, objects_world

N = 3
NUM_DRAWS = 4_000
SMALL = World(
    name="small",
    attributes=tuple(
        Attribute(name=name, values=tuple(values))
        for name, values in zip("xyz", ("ab", "ab", "abc"), strict=True)
    ),
    split_fractions=(0.5, 0.25, 0.25),
    split_seed=22,
)


def exact_law(probability: float) -> dict[frozenset[int], float]:
    """The chance of every set of candidates in the training split: draws in proportion, without repeats."""
    referents = SMALL.referents("train")
    law = {frozenset(rows): 0.0 for rows in combinations(range(len(referents)), N)}
    for base in referents:
        weights = np.exp(SMALL.log_weights(base, referents, probability))
        for rows in permutations(range(len(referents)), N):
            left = weights.sum() - np.cumsum([0.0, *weights[list(rows[:-1])]])
            law[frozenset(rows)] += float(np.prod(weights[list(rows)] / left)) / len(referents)
    return law


@pytest.mark.parametrize("many", [False, True], ids=["draw", "draw_many"])
@pytest.mark.parametrize("copies", [10**9, 1, 0], ids=["copies", "both", "weights"])
def test_the_law_is_the_same_however_candidates_are_drawn(
    copies: int, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(referential, "MOST_COPIES", copies)
    game, rng = ReferentialGame(SMALL, EpisodeConfig(num_candidates=N, resample_probability=0.3)), rng_of(0)
    drawn = game.draw_many(NUM_DRAWS, rng) if many else [game.draw(rng) for _ in range(NUM_DRAWS)]
    law = exact_law(0.3)
    counts = dict.fromkeys(law, 0)
    for episode in drawn:
        counts[frozenset(game._row[SMALL.index(episode.candidates)].tolist())] += 1
    expected = [NUM_DRAWS * chance for chance in law.values()]
    assert min(expected) > 5
    assert chisquare(list(counts.values()), expected).pvalue > 0.01
    places = np.bincount([episode.target for episode in drawn], minlength=N)
    assert chisquare(places).pvalue > 0.01


class Counting(np.random.Generator):
    """Counts the numbers that are drawn for copies and for weights."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.copied = self.weighted = 0

    def random(self, size: Any = None, *rest: Any, **options: Any) -> Any:  # type: ignore[override]
        self.copied += int(np.prod(size))
        return super().random(size, *rest, **options)

    def gumbel(self, *rest: Any, size: Any = None) -> Any:  # type: ignore[override]
        self.weighted += int(np.prod(size))
        return super().gumbel(*rest, size=size)


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("probability", [0.001, 1e-9])
def test_no_setting_draws_for_long(probability: float) -> None:
    """Copies alone would take 26 candidates thousands of times as many at .001, and never end at 1e-9."""
    world, count = objects_world(), 26
    config = EpisodeConfig(num_candidates=count, resample_probability=probability, split="test")
    game, rng = ReferentialGame(world, config), Counting(0)
    drawn: list[ReferentialEpisode] = [game.draw(rng) for _ in range(3)]
    assert rng.weighted == 3 * len(world.referents("test"))
    assert rng.copied <= 3 * (MOST_COPIES + 8 * count) * len(world.num_values)
    assert game.check(drawn + game.draw_many(2, rng))


def test_usual_settings_draw_copies_alone() -> None:
    game, rng = ReferentialGame(objects_world(), EpisodeConfig(split="test")), Counting(0)
    for _ in range(200):
        game.draw(rng)
    assert rng.copied
    assert not rng.weighted


class Picky(ListedWorld):
    """Confuses a referent with itself alone, or with weights that are no numbers."""

    weight = -np.inf

    def log_weights(self, base: Any, referents: Any, resample_probability: float) -> Any:
        return np.where((referents == base).all(axis=-1), 0.0, self.weight)


def test_weights_that_leave_too_few_candidates_are_refused() -> None:
    world = Picky.of("pairs", ("a", "b"), [(a, b) for a in "xyz" for b in "uvw"])
    game = ReferentialGame(world, EpisodeConfig(num_candidates=2))
    with pytest.raises(
        ValueError, match="num_candidates must be at most 1, the referents that world 'pairs' "
    ):
        game.draw(rng_of(0))


def test_weights_that_are_no_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Picky, "weight", np.nan)
    world = Picky.of("pairs", ("a", "b"), [(a, b) for a in "xyz" for b in "uvw"])
    game = ReferentialGame(world, EpisodeConfig(num_candidates=2))
    with pytest.raises(ValueError, match="log_weights of world 'pairs' must be below infinity, got "):
        game.draw(rng_of(0))
