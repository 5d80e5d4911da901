"""Validation: fixed episodes of their own split, played by messages that really cross."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Text

from parley.channels.base import Channel, SoftPrompt
from parley.channels.codec import CodecConfig
from parley.channels.diagnostics import effective_rank, norm_ratio, perplexity, prefix_cosine
from parley.channels.latent import ContinuousChannel, VectorQuantizedChannel, VectorQuantizedConfig
from parley.channels.text import CHARSET
from parley.envs.rules import RECEIVER
from parley.training.config import TrainConfig
from parley.training.validation import Validation, observe


class Telepath(Channel):
    """The words' own embeddings as a prefix: a channel that is understood from the start."""

    receiver = None

    def __init__(self, pair, at_start=False):
        super().__init__(Channel.Config(), pair.interface)
        self.message_space, self.at_start = Text(99, charset=CHARSET), at_start
        object.__setattr__(self, "receiver", pair.receiver)
        self.sent = []

    def send(self, utterance):
        self.sent.append(list(utterance.texts))
        return list(utterance.texts)

    def receive(self, messages):
        ids = torch.tensor(self.receiver.message_tokens(messages))
        return SoftPrompt(self.receiver.embed_ids(ids), self.at_start)

    def message_bits(self, message):
        return 8.0 * len(message)


@pytest.fixture(scope="module")
def validation_of(pocket_pair):
    """24 episodes for a channel."""
    game = TrainConfig().find_game(pocket_pair.world, "validation")
    return lambda channel: Validation(pocket_pair, channel, game, 24)


def nll_of(validation, receiver_inputs):
    logits = validation.pair.receiver.choose(validation.context, receiver_inputs)
    return float(torch.nn.functional.cross_entropy(logits, validation.targets))


def test_episodes_are_of_the_validation_split_and_always_the_same(pocket_pair, validation_of):
    validation, again = (validation_of(Telepath(pocket_pair)) for _ in range(2))
    assert torch.equal(validation.context.ids, again.context.ids)
    assert torch.equal(validation.targets, again.targets)
    world = pocket_pair.world
    assert world.in_split(validation.sender_views, "validation").all()
    assert world.in_split(validation.swapped_views, "validation").all()
    assert (world.index(validation.sender_views) != world.index(validation.swapped_views)).all()
    assert validation.context.num_candidates == 5
    assert set(validation.targets.tolist()) == set(range(5))


def test_what_is_understood_succeeds_and_its_swap_surprises(pocket_pair, validation_of):
    seen = validation_of(Telepath(pocket_pair)).play()
    assert seen["validation_success"] > 0.9
    assert seen["nll_normal"] < 0.3
    assert seen["nll_swap"] > 3
    assert seen["nll_shuffle"] > 1
    assert seen["nll_null"] > 1


def test_each_condition_by_hand(pocket_pair, validation_of):
    channel = Telepath(pocket_pair)
    validation = validation_of(channel)
    seen = validation.play()
    own, swap_targets = channel.sent
    assert own == list(pocket_pair.sender.speak(validation.sender_views).texts)
    assert swap_targets == list(pocket_pair.sender.speak(validation.swapped_views).texts)
    shuffled = [own[-1], *own[:-1]]
    wanted = {
        "nll_normal": nll_of(validation, channel.receive(own)),
        "nll_shuffle": nll_of(validation, channel.receive(shuffled)),
        "nll_swap": nll_of(validation, channel.receive(swap_targets)),
        "nll_null": nll_of(validation, channel.null_input(24)),
    }
    assert {name: seen[name] for name in wanted} == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    picks = pocket_pair.receiver.choose(validation.context, channel.receive(own)).argmax(-1)
    assert seen["validation_success"] == pytest.approx((picks == validation.targets).double().mean().item())


def test_a_prefix_at_the_start_is_validated_there(pocket_pair, validation_of):
    channel = Telepath(pocket_pair, at_start=True)
    validation = validation_of(channel)
    at_start = validation.play()
    own = channel.send(pocket_pair.sender.speak(validation.sender_views))
    shuffled = channel.receive([own[-1], *own[:-1]])
    assert shuffled.at_start
    assert at_start["nll_shuffle"] == pytest.approx(nll_of(validation, shuffled), rel=1e-4)
    assert at_start["nll_null"] == pytest.approx(nll_of(validation, channel.null_input(24)), rel=1e-4)


def test_a_channel_is_validated_by_its_own_reading(pocket_pair, validation_of, monkeypatch):
    channel = ContinuousChannel(CodecConfig(depth=1.0, reads="message"), pocket_pair.interface).eval()
    asked, speak = [], pocket_pair.sender.speak

    def noted(referents, features):
        asked.append(features)
        return speak(referents, features)

    monkeypatch.setattr(pocket_pair.sender, "speak", noted)
    validation_of(channel).play()
    assert asked == [channel.features] * 2


def test_prefixes_are_observed_by_the_diagnostics(pocket_pair):
    torch.manual_seed(0)
    channel = ContinuousChannel(CodecConfig(initial_gate=0.5), pocket_pair.interface).eval()
    utterance = pocket_pair.sender.speak(pocket_pair.world.referents("test")[:20])
    vectors = channel.relay(utterance).receiver_input.vectors.detach()
    seen = observe(channel, channel.send(utterance))
    assert seen == {
        "prefix_cosine": prefix_cosine(vectors),
        "prefix_rank": effective_rank(vectors),
        "norm_ratio": norm_ratio(vectors, pocket_pair.interface.embedding_norm),
    }
    assert seen["norm_ratio"] == pytest.approx(0.5, rel=1e-4)


def test_codes_are_observed_where_there_are_any(pocket_pair):
    torch.manual_seed(0)
    channel = VectorQuantizedChannel(
        VectorQuantizedConfig(k=2, codebook_size=16), pocket_pair.interface
    ).eval()
    utterance = pocket_pair.sender.speak(pocket_pair.world.referents("test")[:20])
    seen = observe(channel, channel.send(utterance))
    codes = torch.from_numpy(np.stack(channel.send(utterance)))
    assert seen["perplexity"] == perplexity(codes, 16)
    assert seen["perplexity"] > 1


def test_what_crossed_is_observed_with_every_validation(pocket_pair, validation_of):
    torch.manual_seed(0)
    channel = VectorQuantizedChannel(
        VectorQuantizedConfig(k=2, codebook_size=16), pocket_pair.interface
    ).eval()
    validation = validation_of(channel)
    messages = [
        message
        for referents in (validation.sender_views, validation.swapped_views)
        for message in channel.send(pocket_pair.speak(channel, referents))
    ]
    seen = validation.play()
    assert {name: seen[name] for name in observe(channel, messages)} == observe(channel, messages)


def test_the_content_free_prefix_is_played_once(pocket_pair, validation_of, monkeypatch):
    channel = Telepath(pocket_pair)
    validation = validation_of(channel)
    first, asked = validation.play(), []
    monkeypatch.setattr(channel, "null_input", lambda batch: asked.append(batch))
    assert validation.play() == first
    assert not asked


def test_ties_are_broken_by_lot_and_alike_each_time(pocket_pair, validation_of, monkeypatch):
    validation = validation_of(Telepath(pocket_pair))
    receiver, taken = pocket_pair.receiver, []
    monkeypatch.setattr(receiver, "choose", lambda context, messages: torch.zeros(len(messages.vectors), 5))
    step = validation.env.step

    def watched(actions):
        taken.extend(actions.get(RECEIVER, ()))
        return step(actions)

    monkeypatch.setattr(validation.env, "step", watched)
    monkeypatch.setattr(validation, "_nll_null", 0.0)
    first, again = validation.play(), validation.play()
    assert set(taken[:72]) == set(range(5))
    assert taken[:72] == taken[72:]
    assert first["validation_success"] == again["validation_success"]
