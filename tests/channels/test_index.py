"""`index`: a place among the candidates, and nothing else, for log2 N bits."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

from parley.channels.base import Scene, Utterance
from parley.channels.index import IndexChannel, IndexConfig
from parley.channels.registry import channel_class
from parley.channels.testing import ENDS, synthetic_utterance


@pytest.fixture
def channel() -> IndexChannel:
    torch.manual_seed(0)
    return IndexChannel(IndexConfig(), ENDS).eval()


def said(places: list[int], num_candidates: int = 5) -> Utterance:
    """Other words, states and candidates each time; only the places are given."""
    utterance = synthetic_utterance(ENDS, batch=len(places))
    candidates = [[f"{text} {number}" for number in range(num_candidates)] for text in utterance.texts]
    return utterance._replace(scene=Scene(candidates, torch.tensor(places)))


def test_it_is_a_reference_that_sees_the_scene(channel: IndexChannel) -> None:
    assert channel_class("index") is IndexChannel
    assert IndexChannel.role == "reference"
    assert IndexChannel.sees_scene
    assert IndexChannel.trainable
    assert dict(IndexChannel.train_defaults) == {
        "alignment_steps": 0,
        "reconstruction": 0.0,
        "quantizer": 0.0,
    }


def test_a_message_is_the_place_of_the_target(channel: IndexChannel) -> None:
    messages = channel.send(said([3, 0, 4, 3]))
    assert messages == [3, 0, 4, 3]
    assert all(channel.message_space.contains(message) for message in messages)


def test_it_tells_nothing_but_the_place(channel: IndexChannel) -> None:
    """The same place is the same receiver input, bit for bit, whatever the target is."""
    one, other = said([3, 0, 4, 3]), said([3, 0, 4, 3])
    assert not torch.equal(one.states, other.states)
    assert list(one.texts) != list(other.texts)
    first, second = (channel.receive(channel.send(utterance)).vectors for utterance in (one, other))
    assert torch.equal(first, second)
    assert torch.equal(first[0], first[3])
    assert not torch.equal(first[0], first[1])
    for relayed in (channel.relay(one), channel.train().relay(other)):
        assert torch.equal(relayed.receiver_input.vectors, first)
        assert relayed.latents is None


@pytest.mark.parametrize(("places", "k"), [(2, 1), (5, 4), (26, 2)])
def test_a_place_costs_what_it_takes_to_name_it(places: int, k: int) -> None:
    channel = IndexChannel(IndexConfig(places=places, k=k), ENDS)
    assert channel.message_bits(np.int64(1)) == log2(places)
    assert isinstance(channel.message_space, Discrete)
    assert channel.message_space.n == places
    vectors = channel.receive([np.int64(place) for place in range(places)]).vectors
    assert vectors.shape == (places, k, ENDS.embedding_width)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.full((places, k), ENDS.embedding_norm))
    with torch.no_grad():
        channel.table.mul_(7)
    again = channel.receive([np.int64(place) for place in range(places)]).vectors
    torch.testing.assert_close(again, vectors, msg="only the directions count")
    assert channel.num_slots == k


def test_fewer_candidates_are_no_cheaper_and_more_are_refused(channel: IndexChannel) -> None:
    few = said([1, 2], num_candidates=3)
    assert [channel.message_bits(message) for message in channel.send(few)] == [log2(5)] * 2
    for speak in (channel.send, channel.relay):
        with pytest.raises(ValueError, match="places must be at least the 6 candidates, got 5"):
            speak(said([1, 2], num_candidates=6))
        scene = Scene([["a"] * 3, ["b"] * 6], torch.tensor([1, 2]))
        with pytest.raises(ValueError, match="places must be at least the 6 candidates, got 5"):
            speak(few._replace(scene=scene))


def test_it_needs_the_scene(channel: IndexChannel) -> None:
    for speak in (channel.send, channel.relay):
        with pytest.raises(ValueError, match="index names a place among the receiver's candidates: it needs"):
            speak(synthetic_utterance(ENDS)._replace(scene=None))


def test_gradient_reaches_the_places_that_were_named_alone(channel: IndexChannel) -> None:
    answer_states = channel.relay(said([3, 0, 3])).receiver_input.vectors
    (answer_states * torch.randn_like(answer_states)).sum().backward()
    assert channel.table.grad is not None
    assert (channel.table.grad.abs().sum((1, 2)) > 0).tolist() == [True, False, False, True, False]


@pytest.mark.parametrize(("name", "value", "bounds"), [("places", 1, "2 to 26"), ("places", 27, "2 to 26"),
                                                       ("k", 0, "1 to 256")])  # fmt: skip
def test_settings_have_their_bounds(name: str, value: int, bounds: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be from {bounds}, got {value}"):
        IndexConfig(**{name: value})
