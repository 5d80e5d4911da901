"""The conditions: what each breaks, and what it leaves whole."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from hypothesis import given
from hypothesis import strategies as st

from parley.channels.base import Channel, ModelInterface, SoftPrompt, TextInput
from parley.channels.conditions import Condition, Told, conditions, find_condition
from parley.channels.conditions.random import random_message
from parley.channels.conditions.shuffle import derangement
from parley.channels.receiver_input import tensors_of
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
    rng = np.random.default_rng(seed)
    return [condition.deliver(message, channel.message_space, rng) for message in sent]


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
        ("random", [0, 1, 2, 3], [0, 1, 2, 3]),
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
def test_random_alone_changes_the_message(name: str, model_interface: ModelInterface) -> None:
    channel = made(name, model_interface)
    sent = sent_by(channel)
    for condition in conditions():
        if condition.name not in ("random", "matched"):
            assert equal(deliver(condition, channel, sent), sent), condition


@pytest.mark.parametrize("condition", conditions(), ids=str)
@pytest.mark.parametrize("name", channel_names())
def test_whatever_is_delivered_is_in_the_space(
    name: str, condition: Condition, model_interface: ModelInterface
) -> None:
    channel = made(name, model_interface)
    messages = deliver(condition, channel, sent_by(channel))
    assert len(messages) == 6
    assert all(channel.message_space.contains(message) for message in messages)


@pytest.mark.parametrize("name", channel_names())
def test_null_receives_nothing_and_the_rest_what_the_channel_delivers(
    name: str, model_interface: ModelInterface
) -> None:
    channel = made(name, model_interface)
    sent = sent_by(channel)
    for condition in conditions():
        messages = deliver(condition, channel, sent)
        received = condition.receive(channel, messages)
        wanted = channel.null_input(6) if condition.name == "null" else channel.receive(messages)
        if isinstance(received, TextInput):
            assert received == wanted
        else:
            assert type(received) is type(wanted)
            pairs = zip(tensors_of(received), tensors_of(wanted), strict=True)
            assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_random_codes_are_uniform_and_go_through_the_same_decoder() -> None:
    """Failure 23: random vectors had bypassed the codebook."""
    channel = made("latent_vq")
    one, random = channel.message_space.sample(), find_condition("random")
    messages = deliver(random, channel, [one] * 2000)
    counts = np.bincount(np.concatenate(messages), minlength=64)
    # 8,000 codes over 64: 125 each; chi-square of 63 degrees of freedom is below 115 in all but 1e-4
    assert ((counts - 125) ** 2 / 125).sum() < 115
    received, decoded = random.receive(channel, messages[:9]), channel.receive(messages[:9])
    assert torch.equal(received.vectors, decoded.vectors)


@pytest.mark.parametrize("condition", conditions(), ids=str)
def test_a_prefix_at_the_start_stays_there_under_every_condition(condition: Condition) -> None:
    kind = channel_class("latent")
    channel = kind(kind.Config(at_start=True), ENDS).eval()  # type: ignore[call-arg]
    received = condition.receive(channel, deliver(condition, channel, sent_by(channel)))
    assert isinstance(received, SoftPrompt)
    assert received.at_start


@pytest.mark.parametrize("name", ["normal", "null", "random", "shuffle", "swap", "repeat", "reordered"])
def test_the_name_of_a_condition_is_no_channel_s_and_says_what_it_is(name: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' is a condition, under which every channel is played"):
        channel_class(name)
    with pytest.raises(ValueError, match="unknown channel 'nil'") as caught:
        channel_class("nil")
    assert "condition" not in str(caught.value)


@given(st.text("abc xyz.", max_size=30), st.integers(0, 2**32))
def test_random_text_is_as_long_and_its_own(message: str, seed: int) -> None:
    space = made("text").message_space
    drawn = random_message(space, message, np.random.default_rng(seed))
    assert type(drawn) is str
    assert len(drawn) == len(message)
    assert space.contains(drawn)
    if len(message) > 8:
        assert drawn != message


@given(st.integers(0, 2**32), st.floats(0.01, 20.0))
def test_random_vectors_have_the_norms_and_stay_in_the_box(seed: int, loudness: float) -> None:
    """Also where latents fill their box, so that clipping alone would make the noise weaker."""
    rng = np.random.default_rng(seed)
    space = Box(-1.0, 1.0, (4, 16), np.float32)
    message = np.tanh(rng.normal(0, loudness, (4, 16))).astype(np.float32)
    drawn = random_message(space, message, rng)
    assert space.contains(drawn)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=-1), np.linalg.norm(message, axis=-1), rtol=1e-3)
    assert abs(np.corrcoef(drawn.ravel(), message.ravel())[0, 1]) < 0.7


def test_a_zero_vector_has_a_zero_as_its_noise() -> None:
    space = Box(-1.0, 1.0, (2, 3), np.float32)
    drawn = random_message(space, np.zeros((2, 3), np.float32), np.random.default_rng(0))
    assert not drawn.any()


def test_random_is_repeatable_and_depends_on_the_seed() -> None:
    for name in ("text", "latent", "latent_fsq", "latent_vq", "symbols"):
        channel = made(name)
        sent = sent_by(channel)
        drawn = [deliver(find_condition("random"), channel, sent, seed) for seed in (3, 3, 4)]
        assert equal(drawn[0], drawn[1])
        assert not equal(drawn[0], drawn[2])
        assert not equal(drawn[0], sent)


def test_one_message_alone_is_drawn_from_an_alphabet_of_one() -> None:
    assert random_message(Discrete(1), 0, np.random.default_rng(0)) == 0
