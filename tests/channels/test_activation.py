"""`activation`: the sender's last state, and where it is patched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch

from parley.agents.pair import Pair
from parley.agents.sender import Sender
from parley.channels.activation import LARGEST, ActivationChannel, ActivationConfig
from parley.channels.base import ActivationPatch, ModelInterface, SenderFeatures, last_state
from parley.channels.receiver_input import PatchMode, num_positions
from parley.channels.registry import channel_class
from parley.channels.testing import ENDS, synthetic_utterance


@pytest.fixture(autouse=True)
def said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender need not look for its words."""
    monkeypatch.setattr(Sender, "_describe", lambda self, rows: ["tiny red cube"] * len(rows))


def test_messages_are_the_last_state_that_counts() -> None:
    torch.manual_seed(0)
    channel, utterance = ActivationChannel(ActivationConfig(), ENDS), synthetic_utterance(ENDS)
    assert channel_class("activation") is ActivationChannel
    assert len(utterance.mask.sum(1).unique()) > 1
    for row, message in enumerate(channel.send(utterance)):
        assert np.array_equal(message, utterance.states[row, int(utterance.mask[row].sum()) - 1].numpy())
        assert channel.message_bits(message) == 32 * 24


def test_a_state_beyond_the_space_is_clipped() -> None:
    channel, utterance = ActivationChannel(ActivationConfig(), ENDS), synthetic_utterance(ENDS)
    for message in channel.send(utterance._replace(states=1e6 * utterance.states)):
        assert channel.message_space.contains(message)
        assert abs(message).max() == LARGEST


@pytest.mark.parametrize("mode", get_args(PatchMode))
@pytest.mark.parametrize("depth", [0.0, 0.25, 1.0])
def test_a_reception_says_where_and_how(mode: PatchMode, depth: float) -> None:
    channel = ActivationChannel(ActivationConfig(receiver_depth=depth, mode=mode), ENDS)
    messages = [np.full(24, number, dtype=np.float32) for number in range(3)]
    answer_states = channel.receive(messages)
    assert isinstance(answer_states, ActivationPatch)
    assert answer_states[1:] == (depth, mode)
    assert answer_states.states[:, 0].tolist() == [0, 1, 2]
    assert answer_states.take(torch.tensor([2, 0]))[1:] == (depth, mode)
    assert num_positions(answer_states).tolist() == [0, 0, 0]


def test_null_is_a_state_of_zeros_in_the_same_place() -> None:
    channel = ActivationChannel(ActivationConfig(receiver_depth=0.75, mode="add"), ENDS)
    null = channel.null_input(4)
    assert null.states.shape == (4, 24)
    assert not null.states.any()
    assert null[1:] == (0.75, "add")


def test_it_reads_what_its_settings_say() -> None:
    config = ActivationConfig(sender_depth=0.25, reads="prompt")
    assert ActivationChannel(config, ENDS).features == SenderFeatures(0.25, "prompt")
    assert ActivationChannel(ActivationConfig(), ENDS).features == SenderFeatures(0.5, "message")


def test_two_models_must_be_equally_wide() -> None:
    assert ActivationChannel.incompatibility(ENDS) == "it needs models of one width, got 24 and 20"
    assert ActivationChannel.incompatibility(replace(ENDS, embedding_width=24)) is None


@pytest.mark.parametrize("name", ["sender_depth", "receiver_depth"])
@pytest.mark.parametrize("depth", [-0.1, 1.1])
def test_a_depth_is_from_0_to_1(name: str, depth: float) -> None:
    settings: dict[str, Any] = {name: depth}
    with pytest.raises(ValueError, match=f"{name} must be from 0 to 1, got {depth}"):
        ActivationConfig(**settings)


def test_between_models_it_is_the_state_of_a_layer(model_interface: ModelInterface, pair: Pair) -> None:
    """The sender's own, as it stood after the layer that is asked for; and it moves the receiver."""
    channel = ActivationChannel(ActivationConfig(sender_depth=0.7, receiver_depth=0.7), model_interface)
    referents = pair.world.referents("train")[:3]
    utterance = pair.speak(channel, referents)
    answer_states = channel.receive(channel.send(utterance))
    states, mask = pair.sender.read(referents, SenderFeatures(0.7, "message"))
    assert torch.equal(answer_states.states, last_state(states, mask))
    context = pair.read([referents] * 3)
    logits = pair.receiver.choose(context, answer_states)
    assert not torch.allclose(logits, pair.receiver.choose(context, channel.null_input(3)))
