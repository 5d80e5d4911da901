"""What an episode costs the receiver, against the arithmetic of its architecture."""

import numpy as np
import pytest
import torch

from parley.agents.pair import Pair
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import Channel, ChannelConfig, SoftPrompt
from parley.channels.text import SilenceChannel, TextChannel, TextConfig
from parley.evaluation.diagnostics.flops import COUNTED_EPISODES, counted_episodes, receiver_flops
from parley.evaluation.playing.plan import PlayConfig, make_plan


class Fixed(TextChannel):
    """Says the same of everything; an untrained sender may have no words of its own."""

    name, words = "fixed", "tiny white cube"

    def send(self, utterance):
        return [self.words] * len(utterance.texts)


@pytest.fixture(scope="module")
def tiny_pair(any_lm, small_world):
    return Pair(Sender(any_lm, small_world), Receiver(any_lm), small_world)


def by_hand(lm, new, all_positions):
    """Matrix products of `new` positions that look at `all_positions`: 2 m n k each, layer by layer."""
    config = lm.model.config
    width, heads = config.hidden_size, config.num_attention_heads
    head = getattr(config, "head_dim", None) or width // heads
    projections = width * head * (2 * heads + 2 * config.num_key_value_heads)
    mlp = 3 * width * config.intermediate_size
    attention = 2 * heads * head * all_positions
    return config.num_hidden_layers * 2 * new * (projections + mlp + attention)


def lengths(pair, episode):
    described = [pair.world.describe(candidate) for candidate in episode.candidates]
    return pair.receiver.read([described]).ids.shape[1], len(pair.receiver.tail)


def test_flops_are_those_of_the_architecture(tiny_pair, small_world):
    """Every architecture; silence, whose slot is empty, and text, whose slot holds its tokens."""
    lm = tiny_pair.receiver.lm
    episodes = counted_episodes(small_world, PlayConfig(episodes=2, num_candidates=3))
    silence = SilenceChannel(ChannelConfig(), tiny_pair.interface)
    text = Fixed(TextConfig(), tiny_pair.interface)
    slots = {silence: 0, text: len(tiny_pair.receiver.message_tokens([Fixed.words])[0])}
    assert slots[text] > 0
    expected = {silence: 0, text: 0}
    for episode in episodes:
        read, tail = lengths(tiny_pair, episode)
        for channel, slot in slots.items():
            expected[channel] += by_hand(lm, read, read) + by_hand(lm, slot + tail, read + slot + tail)
            expected[channel] += 2 * lm.width * 3
    assert {channel: receiver_flops(tiny_pair, channel, episodes) * 2 for channel in expected} == expected


class AtStart(Channel):
    name = "at_start"
    at_start = True

    def send(self, utterance):
        return [0] * len(utterance.texts)

    def receive(self, messages):
        return SoftPrompt(torch.zeros(len(messages), 2, self.interface.embedding_width), at_start=True)

    def message_bits(self, message):
        return 0.0


def test_a_prefix_at_the_start_is_read_once_together_with_the_rest(pair, small_world):
    [episode] = counted_episodes(small_world, PlayConfig(episodes=5, num_candidates=3))[:1]
    read, tail = lengths(pair, episode)
    whole = 2 + read + tail
    expected = by_hand(pair.receiver.lm, whole, whole) + 2 * pair.receiver.lm.width * 3
    assert receiver_flops(pair, AtStart(ChannelConfig(), pair.interface), [episode]) == expected


def test_the_first_of_the_episodes_that_are_played_are_counted(small_world):
    config = PlayConfig(episodes=30, seed=4, num_candidates=3)
    counted = counted_episodes(small_world, config)
    assert len(counted) == COUNTED_EPISODES
    for mine, played in zip(counted, make_plan(small_world, config).episodes, strict=False):
        assert np.array_equal(mine.candidates, played.candidates)
        assert mine.target == played.target
    assert len(counted_episodes(small_world, PlayConfig(episodes=2, num_candidates=3))) == 2


def test_without_an_episode_nothing_can_be_counted(pair):
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        receiver_flops(pair, SilenceChannel(ChannelConfig(), pair.interface), [])
