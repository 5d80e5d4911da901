"""`priming`: peft's prompt tuning at 0 bits: it learns, and it never hears what is said."""

from __future__ import annotations

import pytest
import torch
from peft import PromptEmbedding

from parley.agents.model_channels.priming import PrimingChannel, PrimingConfig
from parley.agents.pair import Pair
from parley.agents.sender import Sender
from parley.channels.registry import channel_class
from parley.channels.testing import ENDS, synthetic_utterance


@pytest.fixture(autouse=True)
def said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender need not look for its words."""
    monkeypatch.setattr(Sender, "_describe", lambda self, rows: ["tiny red cube"] * len(rows))


@pytest.fixture
def channel() -> PrimingChannel:
    torch.manual_seed(0)
    return PrimingChannel(PrimingConfig(k=3), ENDS)


def test_it_is_pefts_prompt_tuning_and_a_reference(channel: PrimingChannel) -> None:
    assert channel_class("priming") is PrimingChannel
    assert PrimingChannel.role == "reference"
    assert not PrimingChannel.sees_scene
    assert type(channel.prompt) is PromptEmbedding
    assert {name: tuple(p.shape) for name, p in channel.named_parameters()} == {
        "prompt.embedding.weight": (3, ENDS.embedding_width)
    }


def test_it_does_not_depend_on_what_is_said(channel: PrimingChannel) -> None:
    one, other = synthetic_utterance(ENDS), synthetic_utterance(ENDS)
    assert channel.send(one) == channel.send(other) == [0] * 32
    first, second = channel.relay(one).receiver_input.vectors, channel.relay(other).receiver_input.vectors
    assert torch.equal(first, second)
    assert torch.equal(first, channel.receive(channel.send(one)).vectors)
    assert (first == first[:1]).all(), "everybody gets the same"
    assert channel.message_bits(0) == 0
    assert channel.message_space.n == 1


def test_its_vectors_are_as_long_as_real_embeddings_however_long_the_weights(channel: PrimingChannel) -> None:
    before = channel.receive([0]).vectors
    assert before.shape == (1, 3, ENDS.embedding_width)
    torch.testing.assert_close(before.norm(dim=-1), torch.full((1, 3), ENDS.embedding_norm))
    with torch.no_grad():
        channel.prompt.embedding.weight.mul_(7)
    torch.testing.assert_close(channel.receive([0]).vectors, before)


def test_weights_begin_as_directions(channel: PrimingChannel) -> None:
    torch.testing.assert_close(channel.prompt.embedding.weight.norm(dim=-1), torch.ones(3))


def test_it_learns_what_can_be_had_without_a_message(pair: Pair) -> None:
    """To favour one place: all that a prefix can say to everybody."""
    torch.manual_seed(0)
    channel = PrimingChannel(PrimingConfig(), pair.interface).train()
    optimizer = torch.optim.Adam(channel.parameters(), lr=0.05)
    referents = pair.world.referents("train")[:12].reshape(4, 3, -1)
    context, places = pair.read(list(referents)), torch.full((4,), 2)
    losses = []
    for _ in range(8):
        logits = pair.receiver.choose(
            context, channel.relay(pair.speak(channel, referents[:, 0])).receiver_input
        )
        loss = torch.nn.functional.cross_entropy(logits, places)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.02
    assert all(parameter.grad is None for parameter in pair.receiver.lm.model.parameters())


@pytest.mark.parametrize("k", [0, 257])
def test_k_has_its_bounds(k: int) -> None:
    with pytest.raises(ValueError, match=f"k must be from 1 to 256, got {k}"):
        PrimingConfig(k=k)
