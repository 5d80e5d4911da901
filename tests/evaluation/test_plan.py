"""What is drawn beforehand: episodes, partners, swap targets, orders, random messages, and the rounds."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.channels.conditions import conditions, find_condition
from parley.envs.game import EpisodeConfig
from parley.envs.world import objects_world
from parley.evaluation.playing.plan import PlayConfig, make_plan, message_rng, rounds

WORLD = objects_world()
ORDERS = [[4, 2, 1, 0, 3], [1, 3, 2, 0, 4]]  # the first two of seed 0, as they were first drawn


def digest(plan):
    """Of the draws that every result of record rests on, as the platform's int64, little-endian."""
    candidates = np.stack([episode.candidates for episode in plan.episodes])
    targets = [episode.target for episode in plan.episodes]
    parts = (candidates, targets, plan.partners, plan.swap_targets)
    return hashlib.sha256(b"".join(np.asarray(part, dtype="<i8").tobytes() for part in parts)).hexdigest()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (PlayConfig(), "0482645bce734c308dee89e2b3259ce2b5c022b706486fece44cc892e93d271d"),
        (
            PlayConfig(episodes=50, seed=7, num_candidates=4, resample_probability=0.2),
            "46a4d27bf988da6fd98e25ba03c356a322c8085f6b33cc4c815472879991628a",
        ),
    ],
)
def test_the_episodes_of_a_seed_never_change(config, expected):
    """Taken at commit f82843c, whose results are of record."""
    assert digest(make_plan(WORLD, config)) == expected


def test_the_script_holds_test_episodes_another_candidate_and_a_derangement():
    plan = make_plan(WORLD, PlayConfig(episodes=200))
    assert all(WORLD.in_split(episode.candidates, "test").all() for episode in plan.episodes)
    targets = np.array([episode.target for episode in plan.episodes])
    assert (plan.swap_targets != targets).all()
    assert set(plan.swap_targets) == set(range(5))
    assert (plan.partners != np.arange(200)).all()
    assert sorted(plan.partners) == list(range(200))


def test_candidates_are_the_more_alike_the_less_is_drawn_anew():
    """An attribute is drawn anew in a candidate with this chance, so two candidates share the others."""
    differing = []
    for chance in (0.15, 0.5, 1.0):
        plan = make_plan(WORLD, PlayConfig(episodes=60, resample_probability=chance))
        candidates = np.stack([episode.candidates for episode in plan.episodes])
        differing.append((candidates[:, 1:] != candidates[:, :1]).mean())
    assert differing[0] + 0.1 < differing[1] < differing[2] - 0.1
    assert PlayConfig().make_game(objects_world()).config == EpisodeConfig(
        split="test", num_candidates=5, resample_probability=0.5
    )


def test_another_seed_is_another_script_and_the_same_seed_the_same():
    one, same, other = (make_plan(WORLD, PlayConfig(episodes=20, seed=seed)) for seed in (0, 0, 1))
    first = [episode.candidates.tolist() for episode in one.episodes]
    assert first == [episode.candidates.tolist() for episode in same.episodes]
    assert first != [episode.candidates.tolist() for episode in other.episodes]
    assert np.array_equal(one.orders, same.orders)
    assert not np.array_equal(one.orders, other.orders)
    assert one.orders[:2].tolist() == ORDERS


def test_reordered_shows_the_same_candidates_in_the_other_order():
    plan = make_plan(WORLD, PlayConfig(episodes=50))
    for row, plain in enumerate(plan.episodes):
        for condition in conditions():
            assert plan.episode(row, condition) is plain
        other = plan.episode(row, find_condition("reordered"))
        assert np.array_equal(other.candidates, plain.candidates[plan.orders[row]])
        assert np.array_equal(other.sender_view, plain.sender_view)
        assert sorted(plan.orders[row]) == list(range(5))


def test_orders_are_uniform_the_old_one_among_them():
    """chi-squared over the 6 orders of 3 candidates; 20.5 is exceeded with probability 0.001 at 5 df."""
    orders = make_plan(WORLD, PlayConfig(episodes=1200, num_candidates=3)).orders
    counts = Counter(map(tuple, orders.tolist()))
    assert len(counts) == 6
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 20.5


def test_what_chance_draws_depends_on_seed_episode_channel_and_condition_alone():
    def draw(seed, *where):
        return message_rng(PlayConfig(seed=seed, episodes_at_once=1 + seed), *where).integers(2**62)

    assert draw(0, 3, "latent", "random") == draw(0, 3, "latent", "random")
    places = [(0, 3, "latent", "random"), (1, 3, "latent", "random"), (0, 4, "latent", "random")]
    places += [(0, 3, "größe", "random"), (0, 3, "latent", "null"), (0, 259, "latent", "random")]
    assert len({draw(*place) for place in places}) == len(places)


SIZES = st.integers(1, 40)


@given(episodes=st.integers(2, 200), at_once=SIZES, look_every=st.one_of(st.none(), SIZES))
def test_rounds_play_every_episode_once_and_end_where_is_looked(episodes, at_once, look_every):
    played = rounds(PlayConfig(episodes=episodes, episodes_at_once=at_once), look_every)
    assert [row for rows in played for row in rows] == list(range(episodes))
    assert all(1 <= len(rows) <= at_once for rows in played)
    if look_every is None:
        assert len(played) == -(-episodes // at_once)
    else:
        ends = {rows.stop for rows in played}
        assert ends >= set(range(look_every, episodes, look_every))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"episodes": 1}, "episodes must be from 2 to"),
        ({"seed": -1}, "seed must be from 0 to"),
        ({"num_candidates": 1}, "num_candidates must be from 2 to 26, got 1"),
        ({"resample_probability": 0.0}, "resample_probability must be from 0.001 to 1, got 0.0"),
        ({"resample_probability": 1.1}, "resample_probability must be from 0.001 to 1, got 1.1"),
        ({"episodes_at_once": 0}, "episodes_at_once must be at least 1, got 0"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        PlayConfig(**settings)
