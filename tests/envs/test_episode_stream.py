"""Many episodes at a time follow the law of one at a time."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from parley.envs.elements import elements_world
from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialGame
from parley.envs.stream import MOST_AT_ONCE, EpisodeStream
from parley.envs.world import objects_world

SIZE = 3000


def alike(episodes):
    """How many attributes the first two candidates share, and where the target is: counted, 5 x N."""
    counts = np.zeros((5, 4), dtype=int)
    for episode in episodes:
        same = int((episode.candidates[0] == episode.candidates[1]).sum())
        counts[same, episode.target] += 1
    return counts


@pytest.mark.parametrize("split", ["train", "validation"])
def test_many_at_once_have_the_law_of_one_by_one(split):
    sampler = ReferentialGame(objects_world(), EpisodeConfig(num_candidates=4, split=split))
    one_by_one = [sampler.draw(rng) for rng in [np.random.default_rng(0)] for _ in range(SIZE)]
    at_once = sampler.draw_many(SIZE, np.random.default_rng(1))
    for count in (lambda counts: counts.sum(1), lambda counts: counts.sum(0)):
        table = np.stack([count(alike(one_by_one)), count(alike(at_once))])
        assert chi2_contingency(table[:, table.sum(0) > 20]).pvalue > 1e-3
    first = [[sampler._row[sampler.world.index(e.candidates[place])] for e in at_once] for place in (0, 3)]
    assert abs(np.mean(first[0]) - np.mean(first[1])) < 0.05 * len(sampler._referents), "no place is another"


@pytest.mark.parametrize("probability", [0.05, 0.5, 1.0])
def test_every_one_of_them_could_have_been_drawn(probability):
    config = EpisodeConfig(num_candidates=7, resample_probability=probability, split="test")
    sampler = ReferentialGame(objects_world(), config)
    for episode in sampler.draw_many(100, np.random.default_rng(0)):
        assert np.array_equal(sampler.check([episode])[0].candidates, episode.candidates)


def test_a_stream_begins_as_single_draws_do_and_never_repeats_a_block():
    sampler = ReferentialGame(objects_world(), EpisodeConfig())
    stream = EpisodeStream(sampler, np.random.default_rng(0))
    drawn = [stream.draw() for _ in range(3 * MOST_AT_ONCE)]
    assert np.array_equal(drawn[0].candidates, sampler.draw(np.random.default_rng(0)).candidates)
    assert len({episode.candidates.tobytes() for episode in drawn}) == len(drawn)
    again = EpisodeStream(sampler, np.random.default_rng(0))
    assert all(np.array_equal(e.candidates, again.draw().candidates) for e in drawn)


def test_listed_worlds_are_drawn_one_by_one():
    sampler = ReferentialGame(elements_world(), EpisodeConfig())
    rng = np.random.default_rng(0)
    one_by_one = [sampler.draw(rng).candidates for _ in range(5)]
    many = sampler.draw_many(5, np.random.default_rng(0))
    assert all(np.array_equal(a, b.candidates) for a, b in zip(one_by_one, many, strict=True))
