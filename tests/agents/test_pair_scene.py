"""What a channel is told: the sender's utterance, and, if it is a reference, what the receivers see."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from parley.agents.language_model import FrozenLM
from parley.agents.pair import Pair, ReceiverView
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import Channel
from parley.channels.index import IndexChannel
from parley.channels.latent import VectorQuantizedChannel, VectorQuantizedConfig
from parley.channels.registry import channel_class
from parley.envs.world import World

PLACES = [2, 0, 1]


@pytest.fixture(autouse=True)
def said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender need not look for its words."""
    monkeypatch.setattr(Sender, "_describe", lambda self, rows: ["tiny red cube"] * len(rows))


def shown(world: World) -> list[np.ndarray]:
    return list(world.referents("train")[:9].reshape(3, 3, -1))


def make(name: str, pair: Pair) -> Channel:
    torch.manual_seed(0)
    kind = channel_class(name)
    return kind(kind.Config(), pair.interface)


@pytest.mark.parametrize("places", [PLACES, np.array(PLACES), np.array(PLACES, dtype=np.int64)])
def test_a_channel_that_sees_the_scene_is_told_candidates_and_targets(
    pair: Pair, places: list[int] | np.ndarray
) -> None:
    candidates, world = shown(pair.world), pair.world
    utterance = pair.speak(make("index", pair), candidates[0], ReceiverView(candidates, places))
    assert utterance.scene is not None
    assert utterance.scene.candidates == [[world.describe(c) for c in row] for row in candidates]
    assert utterance.scene.targets.tolist() == PLACES
    assert utterance.scene.targets.dtype == torch.int64


@pytest.mark.parametrize("name", ["latent", "text", "kv", "cipher", "priming"])
def test_no_other_channel_is_told(pair: Pair, name: str) -> None:
    channel, candidates = make(name, pair), shown(pair.world)
    assert not channel.sees_scene
    told = pair.speak(channel, candidates[0], ReceiverView(candidates, PLACES))
    untold = pair.speak(channel, candidates[0])
    assert told.scene is None
    assert untold.scene is None
    assert torch.equal(told.states, untold.states)
    assert list(told.texts) == list(untold.texts)


@pytest.mark.parametrize("name", ["index", "oracle_prefix"])
def test_a_channel_that_sees_the_scene_says_nothing_of_referents_alone(pair: Pair, name: str) -> None:
    wanted = f"channel '{name}' speaks about episodes, not about referents alone"
    with pytest.raises(ValueError, match=wanted):
        pair.speak(make(name, pair), shown(pair.world)[0])


def test_such_a_channel_is_neither_calibrated_nor_quantised(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = make("index", pair)
    monkeypatch.setattr(IndexChannel, "calibrate", lambda *_: pytest.fail("it was calibrated"))
    monkeypatch.setattr(IndexChannel, "start_quantizing", lambda *_: pytest.fail("it was quantised"))
    assert pair.calibrate(channel) is None
    pair.prepare(channel)


def test_a_prepared_channel_is_calibrated_and_has_codes(pair: Pair) -> None:
    channel = VectorQuantizedChannel(VectorQuantizedConfig(codebook_size=8), pair.interface)
    assert not channel.ready
    pair.prepare(channel)
    assert channel.ready
    states = channel.encoder.standardize.mean
    assert states.any()
    calibrated = VectorQuantizedChannel(VectorQuantizedConfig(codebook_size=8), pair.interface)
    train_utterances = pair.calibrate(calibrated)
    assert train_utterances is not None
    assert len(train_utterances.texts) == len(pair.world.referents("train"))
    assert torch.equal(calibrated.encoder.standardize.mean, states)
    assert not calibrated.ready


def test_ends_hold_the_models_and_are_the_same_ends_without_them(pair: Pair) -> None:
    interface = pair.interface
    assert interface.models is pair
    assert "models" not in repr(interface)
    assert interface == pair.interface
    assert deepcopy(interface) is interface
    channel = make("kv", pair)
    assert deepcopy(channel).interface.models is pair
    assert interface.sizes == {
        "state_width": 32,
        "num_positions": pair.sender.num_positions,
        "embedding_width": 32,
        "embedding_norm": pytest.approx(pair.receiver.lm.embedding_norm(), abs=1e-6),
    }


def test_one_vocabulary_is_that_of_the_tokenizers(
    lm: FrozenLM, qwen2_gqa_folder: Path, other_folder: Path, small_world: World
) -> None:
    for folder, one in ((qwen2_gqa_folder, True), (other_folder, False)):
        pair = Pair(Sender(lm, small_world), Receiver(FrozenLM(str(folder))), small_world)
        assert pair.one_vocabulary is pair.interface.one_vocabulary is one
