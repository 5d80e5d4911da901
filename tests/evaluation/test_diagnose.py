"""What is measured on a entry: on channels whose language is known, and on real ones."""

import json

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from known_languages import KnownPair, Saying, Spelling

from parley.channels.base import ChannelConfig, SoftPrompt
from parley.channels.registry import channel_class
from parley.channels.testing import ENDS
from parley.evaluation import diagnostics
from parley.evaluation.diagnostics.diagnose import diagnose, diagnosed_referents, speak_of
from parley.evaluation.playing.entry import Entry
from parley.evaluation.playing.examine import examine


@pytest.fixture
def pair(few_objects):
    return KnownPair(few_objects)


@pytest.fixture
def referents(few_objects):
    return few_objects.referents("test")


def test_a_language_that_names_each_attribute_is_seen_through(pair, referents):
    found = diagnose(pair, Spelling(pair.world), referents)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["num_referents"] == len(referents) == found["distinct_messages"] == 51
    assert found["topographic_similarity"] == pytest.approx(1)
    assert found["prefix"]["norm_ratio"] == pytest.approx(3 / ENDS.embedding_norm)
    assert 0 < found["prefix"]["cosine"] < 0.4
    assert found["prefix"]["effective_rank"] == pytest.approx(12, abs=1), (
        "4 slots of 4 words, less their means"
    )
    codes = found["codes"]
    assert codes["attributes"] == ["size", "colour", "material", "shape"]
    assert codes["codebook_size"] == 8
    assert codes["in_use"] == 0.5
    assert codes["slot_in_use"] == [0.5] * 4
    assert 3.9 < codes["perplexity"] <= 4
    assert all(3 < value <= 4 for value in codes["slot_perplexity"])
    nmi, by_chance = np.array(codes["nmi"]), np.array(codes["nmi_by_chance"])
    assert nmi.shape == by_chance.shape == (4, 4)
    np.testing.assert_allclose(nmi.diagonal(), 1)
    assert nmi[~np.eye(4, dtype=bool)].max() < 0.2
    assert 0.02 < by_chance.mean() < 0.12
    assert found == diagnose(pair, Spelling(pair.world), referents), "by chance, but the same each time"


def test_a_row_is_a_slot_and_a_column_an_attribute(pair, referents):
    channel = Spelling(pair.world)
    send = channel.send
    channel.send = lambda utterance: [message[[2, 2, 0]] for message in send(utterance)]
    channel.receive = lambda messages: SoftPrompt(torch.ones(len(messages), 1, ENDS.embedding_width))
    channel.message_space = MultiDiscrete([8] * 3)
    nmi = np.array(diagnose(pair, channel, referents)["codes"]["nmi"])
    assert nmi.argmax(1).tolist() == [2, 2, 0]
    assert nmi.shape == (3, 4)


def test_a_channel_that_always_says_the_same(pair, referents):
    found = diagnose(
        pair, Saying(pair.world, MultiDiscrete([8, 8]), lambda text: np.array([1, 1])), referents
    )
    assert found["distinct_messages"] == 1
    assert found["topographic_similarity"] is None
    assert found["codes"]["nmi"] == [[0.0] * 4] * 2
    assert found["codes"]["perplexity"] == 1
    assert found["prefix"] is None, "no vector at all is received"


@pytest.mark.parametrize(
    ("space", "say", "similarity"),
    [
        (Box(-99, 99, (2, 3)), lambda text: np.full((2, 3), len(text), dtype=np.float32), None),
        (Discrete(99), lambda text: np.int64(len(text)), True),
        (Discrete(99), lambda text: len(text), True),
        (Dict({"length": Discrete(99)}), lambda text: {"length": len(text)}, None),
    ],
)
def test_messages_of_any_space_are_diagnosed(pair, referents, space, say, similarity):
    found = diagnose(pair, Saying(pair.world, space, say), referents)
    lengths = {len(text) for text in map(pair.world.describe, referents)}
    assert found["distinct_messages"] == len(lengths)
    assert found["codes"] is None
    assert (found["topographic_similarity"] is not None) is bool(similarity)


def test_text_has_topographic_similarity_alone(pair, referents):
    channel = channel_class("text")(channel_class("text").Config(), ENDS).eval()
    found = diagnose(pair, channel, referents)
    assert found["prefix"] is None
    assert found["codes"] is None
    assert 0.5 < found["topographic_similarity"] < 1


@pytest.mark.parametrize("name", ["latent", "latent_vq", "latent_rvq"])
def test_learned_channels_are_diagnosed_on_what_the_wire_carries(pair, referents, name):
    torch.manual_seed(0)
    channel = channel_class(name)(channel_class(name).Config(), ENDS).eval()
    before = {key: value.clone() for key, value in channel.state_dict().items()}
    found = diagnose(pair, channel, referents)
    assert found["prefix"]["norm_ratio"] == pytest.approx(1, rel=1e-5)
    assert (found["codes"] is None) == (name == "latent")
    if found["codes"] is not None:
        per_slot = found["codes"]["codes_per_slot"]
        assert per_slot == (2 if name == "latent_rvq" else 1)
        assert len(found["codes"]["nmi"]) == 4 * per_slot
    assert all(torch.equal(value, before[key]) for key, value in channel.state_dict().items())
    assert set(pair.sender.readings) == {channel.features}


def test_training_mode_is_refused(pair, referents):
    channel = Spelling(pair.world).train()
    with pytest.raises(
        ValueError, match="channel 'spelling' must be in eval mode to be diagnosed, got training mode"
    ):
        diagnose(pair, channel, referents)


def test_the_sender_is_asked_in_parts(pair, referents, monkeypatch):
    whole = speak_of(pair, Spelling(pair.world), referents)
    monkeypatch.setattr(diagnostics.diagnose, "REFERENTS_AT_ONCE", 20)
    pair.sender.asked.clear()
    parts = speak_of(pair, Spelling(pair.world), referents)
    assert pair.sender.asked == [20, 20, 11]
    assert torch.equal(whole.codes, parts.codes)
    assert not parts.receiver_input.vectors.requires_grad


def test_of_large_worlds_always_the_same_referents_are_diagnosed(few_objects, monkeypatch):
    assert np.array_equal(diagnosed_referents(few_objects), few_objects.referents("test"))
    monkeypatch.setattr(diagnostics.diagnose, "MOST_REFERENTS", 30)
    chosen = diagnosed_referents(few_objects)
    assert len(np.unique(few_objects.index(chosen))) == 30
    assert few_objects.in_split(chosen, "test").all()
    assert np.array_equal(chosen, diagnosed_referents(few_objects))


@pytest.mark.parametrize(
    ("trainable", "role", "drawn"),
    [(True, "judged", True), (True, "untrained", False), (False, "judged", False)],
)
def test_only_trained_channels_of_codes_have_an_atlas(pair, monkeypatch, trainable, role, drawn):
    monkeypatch.setattr(Spelling, "trainable", trainable)
    entries = {
        "spelling": Entry(Spelling(pair.world), role),
        "text": Entry(channel_class("text")(channel_class("text").Config(), ENDS).eval(), "ceiling"),
        "silence": Entry(channel_class("silence")(ChannelConfig(), ENDS).eval(), "baseline"),
    }
    found, pictures = examine(pair, entries)
    assert list(found) == ["spelling", "text"], "silence has nothing to diagnose"
    assert ("atlas" in found["spelling"]) is drawn
    assert list(pictures) == (["atlas-spelling.png"] if drawn else [])
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())
    assert found["spelling"]["num_referents"] == 51
    assert "atlas" not in found["text"]
