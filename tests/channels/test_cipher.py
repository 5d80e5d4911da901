"""`cipher`: expected embeddings as they are, cut where the space ends and silent where the sender was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from parley.agents.receiver import Receiver
from parley.channels.base import ModelInterface, SenderFeatures, SoftPrompt, Utterance
from parley.channels.cipher import BOUND, CipherChannel, CipherConfig
from parley.channels.receiver_input import num_positions
from parley.channels.registry import channel_class
from parley.channels.testing import ENDS, synthetic_utterance


@pytest.fixture
def channel() -> CipherChannel:
    return CipherChannel(CipherConfig(max_tokens=5), ENDS)


@pytest.fixture
def utterance() -> Utterance:
    torch.manual_seed(0)
    return synthetic_utterance(ENDS, width=ENDS.embedding_width)


def test_it_asks_for_expected_embeddings(channel: CipherChannel) -> None:
    assert channel_class("cipher") is CipherChannel
    assert channel.features == SenderFeatures(of="message", what="expected")
    assert channel.state_width == ENDS.embedding_width != ENDS.state_width
    assert channel.message_bits(np.zeros((5, 20))) == 32 * 5 * 20


def test_messages_are_what_is_expected_cut_at_the_longest(
    channel: CipherChannel, utterance: Utterance
) -> None:
    lengths = utterance.mask.sum(1)
    assert lengths.min() < 5 < lengths.max(), "some are shorter and some are longer"
    for row, message in enumerate(channel.send(utterance)):
        kept = min(5, int(lengths[row]))
        assert message.shape == (5, 20)
        assert np.array_equal(message[:kept], utterance.states[row, :kept].numpy())
        assert not message[kept:].any()


def test_what_padding_holds_does_not_cross(channel: CipherChannel, utterance: Utterance) -> None:
    noisy = torch.where(utterance.mask[..., None], utterance.states, 7.0)
    for one, other in zip(
        channel.send(utterance), channel.send(utterance._replace(states=noisy)), strict=True
    ):
        assert np.array_equal(one, other)


def test_rows_of_zeros_take_no_position(channel: CipherChannel, utterance: Utterance) -> None:
    receiver_input = channel.receive(channel.send(utterance))
    assert torch.equal(receiver_input.mask, utterance.mask[:, :5])
    assert num_positions(receiver_input).tolist() == utterance.mask.sum(1).clamp(max=5).tolist()
    assert not receiver_input.at_start


def test_no_number_is_larger_than_its_bound(channel: CipherChannel, utterance: Utterance) -> None:
    loud = utterance._replace(states=100 * utterance.states)
    bound = BOUND * ENDS.embedding_norm
    for message in channel.send(loud):
        assert channel.message_space.contains(message)
        assert abs(message).max() == np.float32(bound)


def test_who_says_nothing_is_silent(receiver: Receiver, model_interface: ModelInterface) -> None:
    channel = CipherChannel(CipherConfig(), model_interface)
    nothing = Utterance(["", ""], torch.zeros(2, 0, 32), torch.zeros(2, 0, dtype=torch.bool))
    context = receiver.read([["tiny red cube", "tiny blue ring"], ["very large blue ball", "tiny red cube"]])
    answer_states = receiver.choose(context, channel.receive(channel.send(nothing)))
    silence = receiver.choose(context, SoftPrompt(torch.zeros(2, 0, 32)))
    torch.testing.assert_close(answer_states, silence, rtol=1e-4, atol=1e-5)


def test_null_takes_all_its_positions(channel: CipherChannel) -> None:
    assert num_positions(channel.null_input(3)).tolist() == [5, 5, 5]


def test_it_needs_one_vocabulary() -> None:
    assert CipherChannel.incompatibility(ENDS) is None
    apart = replace(ENDS, one_vocabulary=False)
    assert CipherChannel.incompatibility(apart) == "it needs one vocabulary for sender and receiver"


@pytest.mark.parametrize("number", [0, 257])
def test_max_tokens_has_its_bounds(number: int) -> None:
    with pytest.raises(ValueError, match=f"max_tokens must be from 1 to 256, got {number}"):
        CipherConfig(max_tokens=number)
