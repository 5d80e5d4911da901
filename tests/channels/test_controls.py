"""The conditions: what each breaks, and what it leaves whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from hypothesis import given
from hypothesis import strategies as st

from parley.channels.base import Channel, ModelInterface, SoftPrompt, TextInput
from parley.channels.controls import CONDITIONS, Control, Sent, derangement, random_message
from parley.channels.receiver_input import tensors_of
from parley.channels.registry import channel_class, channel_names
from parley.channels.testing import ENDS, synthetic_utterance


def made(name: str, interface: ModelInterface = ENDS) -> Channel:
    torch.manual_seed(0)
    kind = channel_class(name)
    return kind(kind.Config(), interface).eval()


def sent_by(channel: Channel) -> Sent:
    torch.manual_seed(1)
    spoken = (synthetic_utterance(channel.interface, 6, channel.state_width) for _ in range(3))
    return Sent(*(channel.send(utterance) for utterance in spoken))


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


@pytest.mark.parametrize("name", channel_names())
def test_each_condition_delivers_its_own(name: str, model_interface: ModelInterface) -> None:
    channel = made(name, model_interface)
    sent = sent_by(channel)
    for condition, messages in (
        ("normal", sent.own),
        ("null", sent.own),
        ("shuffle", sent.other_episode),
        ("swap", sent.other_candidate),
    ):
        control = Control(channel, condition, np.random.default_rng(0))  # type: ignore[arg-type]
        assert equal(control.deliver(sent), messages), condition


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("name", channel_names())
def test_whatever_crosses_is_in_the_space(name: str, condition: Any, model_interface: ModelInterface) -> None:
    channel = made(name, model_interface)
    control = Control(channel, condition, np.random.default_rng(0))
    messages = control.deliver(sent_by(channel))
    assert len(messages) == 6
    assert all(channel.message_space.contains(message) for message in messages)


@pytest.mark.parametrize("name", channel_names())
def test_null_hears_nothing_and_the_rest_hear_what_the_channel_delivers(
    name: str, model_interface: ModelInterface
) -> None:
    channel = made(name, model_interface)
    sent = sent_by(channel)
    for condition in CONDITIONS:
        control = Control(channel, condition, np.random.default_rng(0))
        messages = control.deliver(sent)
        answer_states = control.receive(messages)
        wanted = channel.null_input(6) if condition == "null" else channel.receive(messages)
        if isinstance(answer_states, TextInput):
            assert answer_states == wanted
        else:
            assert type(answer_states) is type(wanted)
            pairs = zip(tensors_of(answer_states), tensors_of(wanted), strict=True)
            assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_random_codes_are_uniform_and_go_through_the_same_decoder() -> None:
    """Failure 23: random vectors had bypassed the codebook."""
    channel = made("latent_vq")
    rng = np.random.default_rng(0)
    one = channel.message_space.sample()
    control = Control(channel, "random", rng)
    messages = control.deliver(Sent([one] * 2000, [], []))
    counts = np.bincount(np.concatenate(messages), minlength=64)
    # 8,000 codes over 64: 125 each; chi-square of 63 degrees of freedom is below 115 in all but 1e-4
    assert ((counts - 125) ** 2 / 125).sum() < 115
    answer_states, decoded = control.receive(messages[:9]), channel.receive(messages[:9])
    assert torch.equal(answer_states.vectors, decoded.vectors)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_prefix_at_the_start_stays_there_under_every_condition(condition: Any) -> None:
    kind = channel_class("latent")
    channel = kind(kind.Config(at_start=True), ENDS).eval()  # type: ignore[call-arg]
    control = Control(channel, condition, np.random.default_rng(0))
    answer_states = control.receive(control.deliver(sent_by(channel)))
    assert isinstance(answer_states, SoftPrompt)
    assert answer_states.at_start


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
        drawn = [Control(channel, "random", np.random.default_rng(s)).deliver(sent) for s in (3, 3, 4)]
        assert equal(drawn[0], drawn[1])
        assert not equal(drawn[0], drawn[2])
        assert not equal(drawn[0], sent.own)


def test_one_message_alone_is_drawn_from_an_alphabet_of_one() -> None:
    assert random_message(Discrete(1), 0, np.random.default_rng(0)) == 0
