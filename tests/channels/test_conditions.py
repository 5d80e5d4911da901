"""The conditions: what each breaks, and what it leaves whole."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple
from hypothesis import given
from hypothesis import strategies as st

from parley.channels.base import Channel, ModelInterface
from parley.channels.canonical import encode, log2_size, plain_space
from parley.channels.conditions import Condition, Told, conditions, find_condition
from parley.channels.conditions.matched import matched_message
from parley.channels.conditions.random import random_message
from parley.channels.conditions.shuffle import derangement
from parley.channels.registry import channel_class, channel_names
from parley.channels.testing import ENDS, synthetic_utterance


def made(name: str, interface: ModelInterface = ENDS) -> Channel:
    torch.manual_seed(0)
    kind = channel_class(name)
    return kind(kind.Config(), interface).eval()


class Drawn(NamedTuple):
    targets: np.ndarray = np.array([0, 1, 2, 3])
    partners: np.ndarray = np.array([2, 0, 3, 1])
    swap_targets: np.ndarray = np.array([4, 3, 0, 1])


def sent_by(channel: Channel) -> list[Any]:
    torch.manual_seed(1)
    return channel.send(synthetic_utterance(channel.interface, 6, channel.state_width))


def deliver(condition: Condition, channel: Channel, sent: list[Any], seed: int = 0) -> list[Any]:
    rng, space = np.random.default_rng(seed), plain_space(channel.message_space)
    samples = [[*sent[:row], *sent[row + 1 :]] for row in range(len(sent))]
    return [
        condition.deliver(message, space, rng, sample) for message, sample in zip(sent, samples, strict=True)
    ]


def equal(first: Any, second: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@given(st.integers(2, 200), st.integers(0, 2**32))
def test_shuffle_leaves_nothing_in_its_place(size: int, seed: int) -> None:
    partners = derangement(size, np.random.default_rng(seed))
    assert sorted(partners) == list(range(size))
    assert (partners != np.arange(size)).all()


def test_derangements_differ() -> None:
    rng = np.random.default_rng(0)
    drawn = {tuple(derangement(4, rng)) for _ in range(200)}
    assert len(drawn) == 6, "all six cycles of four"


@pytest.mark.parametrize("size", [0, 1])
def test_one_episode_cannot_be_deranged(size: int) -> None:
    with pytest.raises(ValueError, match=f"a derangement needs at least 2 episodes, got {size}"):
        derangement(size, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "episodes", "candidates"),
    [
        ("normal", [0, 1, 2, 3], [0, 1, 2, 3]),
        ("null", [0, 1, 2, 3], [0, 1, 2, 3]),
        ("random", [2, 0, 3, 1], [2, 0, 3, 1]),
        ("matched", [2, 0, 3, 1], [2, 0, 3, 1]),
        ("reordered", [0, 1, 2, 3], [0, 1, 2, 3]),
        ("shuffle", [2, 0, 3, 1], [2, 0, 3, 1]),
        ("swap", [0, 1, 2, 3], [4, 3, 0, 1]),
        ("repeat", [0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_whom_the_sender_is_told_of(name: str, episodes: list[int], candidates: list[int]) -> None:
    told = [find_condition(name).told(row, Drawn()) for row in range(4)]
    assert told == list(map(Told, episodes, candidates))


@pytest.mark.parametrize("name", channel_names())
def test_random_and_matched_alone_change_the_message(name: str, model_interface: ModelInterface) -> None:
    channel = made(name, model_interface)
    sent = sent_by(channel)
    for condition in conditions():
        messages = deliver(condition, channel, sent)
        if condition.name not in ("random", "matched"):
            assert equal(messages, sent), condition
        for message in messages:
            assert channel.message_space.contains(message)
            assert encode(plain_space(channel.message_space), message)
        assert len(messages) == 6


def test_null_alone_is_free_of_content_and_matched_alone_needs_a_sample() -> None:
    assert [condition.name for condition in conditions() if condition.content_free] == ["null"]
    assert [condition.name for condition in conditions() if condition.needs_sample] == ["matched"]


def test_random_codes_are_uniform_and_go_through_the_same_decoder() -> None:
    """Failure 23: random vectors had bypassed the codebook; a message is all that a condition changes."""
    channel = made("latent_vq")
    rng, space = np.random.default_rng(0), plain_space(channel.message_space)
    one = channel.message_space.sample()
    messages = [find_condition("random").deliver(one, space, rng, []) for _ in range(2000)]
    counts = np.bincount(np.concatenate(messages), minlength=64)
    # 8,000 codes over 64: 125 each; chi-square of 63 degrees of freedom is below 115 in all but 1e-4
    assert ((counts - 125) ** 2 / 125).sum() < 115
    assert not hasattr(find_condition("random"), "receive")


@pytest.mark.parametrize("space", [MultiDiscrete([64] * 4), MultiDiscrete([3, 7], start=[5, 1]), Discrete(9)])
def test_a_seed_draws_the_codes_that_it_always_drew(space: Any) -> None:
    space.seed(int(np.random.default_rng(5).integers(1 << 31)))
    assert np.array_equal(random_message(space, np.random.default_rng(5)), space.sample())


@pytest.mark.parametrize("name", ["normal", "null", "random", "matched", "swap", "reordered"])
def test_the_name_of_a_condition_is_no_channel_s_and_says_what_it_is(name: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' is a condition, under which every channel is played"):
        channel_class(name)
    with pytest.raises(ValueError, match="unknown channel 'nil'") as caught:
        channel_class("nil")
    assert "condition" not in str(caught.value)


@given(st.text("abc xyz.", max_size=30), st.integers(0, 2**32))
def test_random_text_is_as_long_as_another(like: str, seed: int) -> None:
    space = made("text").message_space
    drawn = random_message(space, np.random.default_rng(seed), like)
    assert type(drawn) is str
    assert len(drawn) == len(like)
    assert space.contains(drawn)
    if len(like) > 8:
        assert drawn != like


@given(st.integers(0, 2**32), st.floats(0.01, 20.0))
def test_random_vectors_have_the_norms_of_another_and_stay_in_the_box(seed: int, loudness: float) -> None:
    """Also where latents fill their box, so that clipping alone would make the noise weaker."""
    rng = np.random.default_rng(seed)
    space = Box(-1.0, 1.0, (4, 16), np.float32)
    like = np.tanh(rng.normal(0, loudness, (4, 16))).astype(np.float32)
    drawn = random_message(space, rng, like)
    assert space.contains(drawn)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=-1), np.linalg.norm(like, axis=-1), rtol=1e-3)
    assert abs(np.corrcoef(drawn.ravel(), like.ravel())[0, 1]) < 0.7


def test_a_zero_vector_has_a_zero_as_its_noise() -> None:
    space = Box(-1.0, 1.0, (2, 3), np.float32)
    assert not random_message(space, np.random.default_rng(0), np.zeros((2, 3), np.float32)).any()


SPACES = [
    Discrete(1),
    Discrete(5, start=-2),
    MultiDiscrete([[3, 4], [5, 6]], start=[[1, 2], [3, 4]]),
    MultiBinary([2, 3]),
    Box(-1, 1, (2, 3), np.float32),
    Box(-np.inf, np.inf, (3,), np.float64),
    Box(0.5, 1, (), np.float16),
    Box(-(2**63), 2**63 - 1, (2,), np.int64),
    Box(3, 5, (2,), np.uint8),
    Text(9, charset="ab\0 é☂", min_length=4),
    Text(3, charset="ab"),
    Dict({"b": Discrete(3), "a": Tuple([Text(3), Box(-1, 1, (2,))])}),
]


@pytest.mark.parametrize("given", SPACES, ids=str)
def test_every_space_has_random_and_matched_messages(given: Any) -> None:
    space, rng = plain_space(given), np.random.default_rng(0)
    plain = [random_message(space, rng) for _ in range(20)]
    for message in (
        *plain,
        *(random_message(space, rng, like) for like in plain),
        *(matched_message(space, rng, plain) for _ in range(20)),
        matched_message(space, rng, plain[:1]),
    ):
        assert space.contains(message)
        assert encode(space, message)
    if log2_size(space) > 1:
        assert len({encode(space, message) for message in plain}) > 2


def test_matched_codes_are_the_real_ones_slot_by_slot() -> None:
    """Two slots that always agree: each keeps its own distribution, and they come apart."""
    space, rng = MultiDiscrete([4, 4]), np.random.default_rng(0)
    sample = [np.array([code, code]) for code in [0] * 6 + [1] * 3 + [3]]
    drawn = np.stack([matched_message(space, rng, sample) for _ in range(3000)])
    for slot in range(2):
        assert np.bincount(drawn[:, slot], minlength=4) / 3000 == pytest.approx([0.6, 0.3, 0, 0.1], abs=0.03)
    assert (drawn[:, 0] == drawn[:, 1]).mean() == pytest.approx(0.46, abs=0.04)


def test_matched_vectors_have_the_real_mean_and_covariance() -> None:
    rng = np.random.default_rng(0)
    mix = np.array([[0.1, 0.05, 0], [0, 0.1, 0.1]], np.float32)
    sample = list((0.2 + rng.standard_normal((50, 2)) @ mix).astype(np.float32))
    space = Box(-1, 1, (3,), np.float32)
    drawn = np.stack([matched_message(space, rng, sample) for _ in range(4000)])
    assert drawn.mean(0) == pytest.approx(np.mean(sample, 0), abs=0.01)
    assert np.cov(drawn.T) == pytest.approx(np.cov(np.stack(sample).T), abs=0.002)


def test_matched_text_is_made_of_others_words() -> None:
    rng, space = np.random.default_rng(0), Text(20, charset="abcdefghij ")
    drawn = {matched_message(space, rng, ["a b", "c d", "e"]) for _ in range(300)}
    assert drawn == {"a", "c", "e"} | {f"{first} {second}" for first in "ace" for second in "bd"}
    cut = Text(3, charset="abcdefghij ", min_length=3)
    assert {len(matched_message(cut, rng, ["ab ", "a b"])) for _ in range(20)} == {3}


def test_matched_needs_another_message() -> None:
    with pytest.raises(ValueError, match="sample must hold at least 1 message of another episode, got 0"):
        find_condition("matched").deliver(0, Discrete(2), np.random.default_rng(0), [])


LOUDNESS = Box(-1, 1, (1, 1), np.float32), lambda place: np.full((1, 1), (place + 1) / 5, np.float32)
LENGTH = Text(5, charset="ab"), lambda place: "a" * (place + 1)


@pytest.mark.parametrize(("space", "spoken"), [LOUDNESS, LENGTH], ids=["norm", "length"])
def test_neither_norm_nor_length_tells_the_target_by_chance(space: Any, spoken: Any) -> None:
    """A receiver that reads nothing else picks every target under normal, and one in five under the rest."""
    size, rng = 200, np.random.default_rng(0)
    targets = rng.integers(5, size=size)
    draws = Drawn(targets, derangement(size, rng), (targets + 1) % 5)
    sent = [spoken(place) for place in targets]

    def success(name: str) -> float:
        condition = find_condition(name)
        right = 0
        for row in range(size):
            said = spoken(condition.told(row, draws).candidate)
            heard = condition.deliver(said, space, rng, [*sent[:row], *sent[row + 1 :]])
            read = len(heard) if isinstance(heard, str) else round(5 * float(np.abs(heard).sum()))
            right += read - 1 == targets[row]
        return right / size

    assert success("normal") == 1
    for name in ("random", "matched", "shuffle"):
        assert abs(success(name) - 0.2) < 0.12, name  # four standard errors


def test_random_is_repeatable_and_depends_on_the_seed() -> None:
    for name in ("text", "latent", "latent_fsq", "latent_vq", "symbols"):
        channel = made(name)
        sent = sent_by(channel)
        drawn = [deliver(find_condition("random"), channel, sent, seed) for seed in (3, 3, 4)]
        assert equal(drawn[0], drawn[1])
        assert not equal(drawn[0], drawn[2])
        assert not equal(drawn[0], sent)
