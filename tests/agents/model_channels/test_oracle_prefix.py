"""`oracle_prefix`: fitted to the episode by gradient, with the models as they were."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from parley.agents.model_channels.oracle_prefix import OraclePrefixChannel, OraclePrefixConfig
from parley.agents.pair import Pair, ReceiverView
from parley.agents.sender import Sender
from parley.channels.base import SoftPrompt, Utterance
from parley.channels.registry import channel_class
from parley.channels.testing import ENDS, synthetic_utterance

TARGETS = [2, 0, 1, 2]


@pytest.fixture(autouse=True)
def said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender need not look for its words."""
    monkeypatch.setattr(Sender, "_describe", lambda self, rows: ["tiny red cube"] * len(rows))


@pytest.fixture
def channel(pair: Pair) -> OraclePrefixChannel:
    return OraclePrefixChannel(OraclePrefixConfig(k=2, steps=5), pair.interface).eval()


def shown(pair: Pair) -> list[np.ndarray]:
    return list(pair.world.referents("train")[:12].reshape(4, 3, -1))


def told(pair: Pair, channel: OraclePrefixChannel, rows: slice = slice(None)) -> Utterance:
    candidates, targets = shown(pair)[rows], TARGETS[rows]
    referents = np.stack([row[target] for row, target in zip(candidates, targets, strict=True)])
    return pair.speak(channel, referents, ReceiverView(candidates, targets))


def surprise(pair: Pair, vectors: Tensor) -> Tensor:
    """-log p of each target, in nats."""
    logits = pair.receiver.choose(pair.read(shown(pair)), SoftPrompt(vectors))
    return cross_entropy(logits, torch.tensor(TARGETS), reduction="none")


@torch.no_grad()
def test_every_target_surprises_less_than_where_the_fit_began(
    pair: Pair, channel: OraclePrefixChannel
) -> None:
    """Also while all else plays without gradient, as an evaluation does."""
    begin = channel._vectors(channel._start(4))
    assert (begin == begin[:1]).all(), "every episode begins alike"
    sent = channel.receive(channel.send(told(pair, channel))).vectors
    assert not sent.requires_grad
    before, after = surprise(pair, begin), surprise(pair, sent)
    assert (after < before - 0.01).all()
    longer = OraclePrefixChannel(OraclePrefixConfig(k=2, steps=15), pair.interface)
    assert (surprise(pair, longer.receive(longer.send(told(pair, longer))).vectors) < after).all()


def test_vectors_are_as_long_as_real_embeddings(pair: Pair, channel: OraclePrefixChannel) -> None:
    messages = channel.send(told(pair, channel))
    for message in messages:
        assert channel.message_space.contains(message)
        assert message.shape == (2, 32)
        assert np.linalg.norm(message, axis=-1) == pytest.approx(channel.interface.embedding_norm, rel=1e-5)
        assert channel.message_bits(message) == 32 * 2 * 32
    assert torch.equal(channel.receive(messages).vectors, torch.from_numpy(np.stack(messages)))


def test_the_models_stay_as_they_are(pair: Pair, channel: OraclePrefixChannel) -> None:
    model = pair.receiver.lm.model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    channel.send(told(pair, channel))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(weight.grad is None and not weight.requires_grad for weight in model.parameters())
    assert list(channel.parameters()) == []


def test_an_episode_is_fitted_alike_alone_and_among_others(pair: Pair, channel: OraclePrefixChannel) -> None:
    together = channel.send(told(pair, channel))
    assert np.array_equal(np.stack(together), np.stack(channel.send(told(pair, channel)))), "always the same"
    for row in (1, 3):
        [alone] = channel.send(told(pair, channel, slice(row, row + 1)))
        np.testing.assert_allclose(alone, together[row], atol=1e-3)


def test_another_target_is_another_prefix(pair: Pair, channel: OraclePrefixChannel) -> None:
    own = told(pair, channel)
    assert own.scene is not None
    foiled = own._replace(scene=own.scene._replace(targets=torch.tensor([0, 1, 2, 0])))
    for one, other in zip(channel.send(own), channel.send(foiled), strict=True):
        assert np.abs(one - other).max() > 1e-3


def test_it_is_a_reference_that_needs_scene_and_models(channel: OraclePrefixChannel) -> None:
    assert channel_class("oracle_prefix") is OraclePrefixChannel
    assert OraclePrefixChannel.role == "reference"
    assert OraclePrefixChannel.sees_scene
    assert not OraclePrefixChannel.trainable
    unseen = synthetic_utterance(ENDS)._replace(scene=None)
    with pytest.raises(ValueError, match="oracle_prefix is fitted to what the receiver sees: it needs the"):
        channel.send(unseen)
    with pytest.raises(
        ValueError, match="this channel runs the models themselves: make it with the `interface`"
    ):
        OraclePrefixChannel(OraclePrefixConfig(), ENDS)


def test_a_copied_channel_fits_to_the_same_receiver(pair: Pair, channel: OraclePrefixChannel) -> None:
    assert deepcopy(channel).receiver is pair.receiver


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [("k", 0, "from 1 to 256"), ("steps", 0, "from 1 to 100000"), ("learning_rate", -1, "at least 0")],
)
def test_settings_have_their_bounds(name: str, value: float, bound: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be {bound}, got {value}"):
        OraclePrefixConfig(**{name: value})
