"""Candidates of a listed world: the law of the grid, restricted to the list, and nobody's to guess."""

import itertools
import re
from functools import cache

import numpy as np
import pytest
from listed_cases import BIRDS, NAMES, bird_world
from scipy.stats import chisquare

from parley.envs.game import EpisodeConfig
from parley.envs.listed_world import ListedWorld
from parley.envs.referential import ReferentialEpisode, ReferentialGame
from parley.envs.world import SPLITS, Attribute, World
from parley.envs.worlds import find_world

MAX_SIGMA = 4.0
LEAST_P = 1e-4
UNLISTED = np.array([0, 1, 0])

GRID = World(
    name="grid",
    attributes=tuple(Attribute(name=str(n), values=tuple("abcd"[:n])) for n in (2, 3, 4)),
    split_fractions=(0.4, 0.3, 0.3),
    split_seed=1,
)
ALL_LISTED = ListedWorld(
    name="listed",
    attributes=GRID.attributes,
    split_fractions=GRID.split_fractions,
    split_seed=GRID.split_seed,
    listed=tuple(GRID.words(referent) for referent in GRID.at(np.arange(GRID.size))),
)
SOME_LISTED = ListedWorld(
    name="some",
    attributes=GRID.attributes,
    split_seed=3,
    listed=ALL_LISTED.listed[::2],
)


def weight_by_hand(world, base, referent, p):
    """The chance that a copy of the base becomes the referent."""
    factors = [p / n + (1 - p) * (b == r) for n, b, r in zip(world.num_values, base, referent, strict=True)]
    return float(np.prod(factors))


def exact_law(world, split, num_candidates, p):
    """The chance of every set of rows, over all bases and all orders in which it can be drawn."""
    referents = world.referents(split)
    law = dict.fromkeys(itertools.combinations(range(len(referents)), num_candidates), 0.0)
    for base in referents:
        weights = np.array([weight_by_hand(world, base, referent, p) for referent in referents])
        for order in itertools.permutations(range(len(referents)), num_candidates):
            left = weights.sum() - np.concatenate([[0], np.cumsum(weights[list(order)])[:-1]])
            law[tuple(sorted(order))] += float(np.prod(weights[list(order)] / left)) / len(referents)
    assert sum(law.values()) == pytest.approx(1)
    return law


@pytest.mark.parametrize("p", [0.2, 0.6])
@pytest.mark.parametrize("world", [GRID, ALL_LISTED, SOME_LISTED], ids=lambda world: world.name)
def test_candidates_have_the_law_of_resampled_attributes(world, p):
    """Of the grid's rejection as of the list's weights: one law, written down here from its definition."""
    config = EpisodeConfig(num_candidates=3, resample_probability=p, split="train")
    sampler, rng, draws = ReferentialGame(world, config), np.random.default_rng(11), 4000
    law = exact_law(world, "train", 3, p)
    counts = dict.fromkeys(law, 0)
    for _ in range(draws):
        candidates = sampler.draw(rng).candidates
        counts[tuple(sorted(sampler._row[world.index(candidates)].tolist()))] += 1
    # sets too rare for the chi-square are counted together
    rare = [key for key, chance in law.items() if chance * draws < 5]
    kept = [key for key in law if key not in rare]
    seen = [*(counts[key] for key in kept), sum(counts[key] for key in rare)]
    expected = [*(law[key] * draws for key in kept), sum(law[key] for key in rare) * draws]
    if expected[-1] < 5:
        seen, expected = [*seen[:-2], sum(seen[-2:])], [*expected[:-2], sum(expected[-2:])]
    assert len(expected) > 10
    assert chisquare(seen, expected).pvalue > LEAST_P


@pytest.mark.parametrize("p", [0.2, 1.0])
def test_weights_are_the_chances_of_a_copy(p):
    everyone = GRID.at(np.arange(GRID.size))
    weights = np.exp(GRID.log_weights(everyone[5], everyone, p))
    assert weights.sum() == pytest.approx(1)
    assert weights.tolist() == pytest.approx([weight_by_hand(GRID, everyone[5], r, p) for r in everyone])


def test_a_world_may_say_itself_which_of_its_referents_are_confused():
    class Told(ListedWorld):
        def log_weights(self, base, referents, resample_probability):
            """The next ones on the list."""
            away = (self.index(referents) - int(self.index(base))) % self.size
            return -1000.0 * away

    world = Told(name="told", attributes=ALL_LISTED.attributes, listed=ALL_LISTED.listed)
    sampler = ReferentialGame(world, EpisodeConfig(num_candidates=3))
    rows = np.sort(sampler._row[world.index(sampler.draw(np.random.default_rng(0)).candidates)])
    neighbours = [sorted((start + np.arange(3)) % len(world.referents("train"))) for start in range(14)]
    assert rows.tolist() in np.array(neighbours).tolist()


@cache
def drawn(name, num_candidates):
    world = {"elements": lambda: find_world("elements"), "birds": bird_world}[name]()
    sampler = ReferentialGame(world, EpisodeConfig(num_candidates=num_candidates))
    rng = np.random.default_rng(5)
    candidates, targets = zip(*(sampler.draw(rng) for _ in range(8000)), strict=True)
    return world, np.stack(candidates), np.array(targets)


def distances(candidates):
    return (candidates[:, :, None] != candidates[:, None]).sum(axis=(2, 3))


MESSAGE_FREE_RECEIVERS = {
    "always first": lambda world, candidates: np.zeros(len(candidates), dtype=int),
    "always last": lambda world, candidates: np.full(len(candidates), candidates.shape[1] - 1),
    "most typical": lambda world, candidates: distances(candidates).argmin(axis=1),
    "odd one out": lambda world, candidates: distances(candidates).argmax(axis=1),
    "lowest index": lambda world, candidates: world.index(candidates).argmin(axis=1),
}


@pytest.mark.parametrize(("name", "num_candidates"), [("elements", 5), ("birds", 2), ("birds", 5)])
@pytest.mark.parametrize("receiver", MESSAGE_FREE_RECEIVERS)
def test_without_a_message_success_is_chance(receiver, name, num_candidates):
    world, candidates, targets = drawn(name, num_candidates)
    successes = (MESSAGE_FREE_RECEIVERS[receiver](world, candidates) == targets).sum()
    sigma = np.sqrt(len(targets) * (1 - 1 / num_candidates) / num_candidates)
    assert abs(successes - len(targets) / num_candidates) <= MAX_SIGMA * sigma


def test_the_order_of_candidates_tells_nothing():
    """The base is likely to be drawn first: the order of drawing would put the most typical first."""
    _, candidates, _ = drawn("elements", 5)
    score = distances(candidates)
    unique = (score == score.min(axis=1, keepdims=True)).sum(axis=1) == 1
    places = np.bincount(score[unique].argmin(axis=1), minlength=5)
    assert unique.sum() > 500
    assert chisquare(places).pvalue > LEAST_P


def test_elements_are_met_beside_their_like():
    world, candidates, _ = drawn("elements", 5)
    group = [attribute.name for attribute in world.attributes].index("group")
    one, other = candidates[:, 0, group], candidates[:, 1, group]
    train = world.referents("train")[:, group]
    by_chance = np.mean([np.delete(train, i) == value for i, value in enumerate(train)])
    assert (one == other).mean() > 2 * by_chance


@pytest.mark.parametrize("split", SPLITS)
def test_candidates_are_distinct_listed_and_in_the_split(split):
    world, rng = find_world("elements"), np.random.default_rng(0)
    for num_candidates in (2, len(world.referents(split))):
        sampler = ReferentialGame(world, EpisodeConfig(num_candidates=num_candidates, split=split))
        episode = sampler.draw(rng)
        assert world.in_split(episode.candidates, split).all()
        assert len(np.unique(episode.candidates, axis=0)) == num_candidates
        assert sampler.check([episode])[0].candidates.tolist() == episode.candidates.tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("split", SPLITS)
def test_an_episode_with_what_is_not_listed_is_refused(split, seed):
    """Index -1 is nobody's: the last referent's split is not asked in its place."""
    world = bird_world(split_seed=seed)
    sampler = ReferentialGame(world, EpisodeConfig(num_candidates=2, split=split))
    candidates = sampler.draw(np.random.default_rng(0)).candidates
    candidates[1] = UNLISTED
    with pytest.raises(ValueError, match=re.escape(f"must be in the {split} split, got [[0, 1, 0]]")):
        sampler.check([ReferentialEpisode(candidates, 0)])[0]


def test_more_candidates_than_the_split_has_are_refused():
    message = "num_candidates must be at most 2, the number of referents in the test split, got 5"
    with pytest.raises(ValueError, match=message):
        ReferentialGame(ListedWorld.of("birds", NAMES, BIRDS), EpisodeConfig(split="test"))


def test_the_first_episode_of_the_elements_is_the_one_of_record():
    """Computed once with numpy's PCG64; a change of file, split or sampler changes every stored result."""
    world = find_world("elements")
    episode = ReferentialGame(world, EpisodeConfig(split="test")).draw(np.random.default_rng(0))
    assert [world.words(candidate)[0] for candidate in episode.candidates] == [
        "rutherfordium",
        "bohrium",
        "praseodymium",
        "zinc",
        "curium",
    ]
    assert episode.target == 4
