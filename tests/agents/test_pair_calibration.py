"""What a channel learns of the pair before training: the sender's states and the receiver's words."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from parley.agents.language_model import FrozenLM
from parley.agents.pair import ModelConfig, Pair
from parley.channels.base import SenderFeatures, Utterance
from parley.channels.codec import CodecConfig
from parley.channels.latent import ContinuousChannel
from parley.channels.symbols import SymbolsChannel, SymbolsConfig
from parley.envs.world import World


class Pupil(ContinuousChannel):
    """Notes what it is taught."""

    lessons: list[tuple[Utterance, Tensor]]

    def calibrate(self, utterance: Utterance, vocabulary: Tensor) -> None:
        self.lessons = [*getattr(self, "lessons", []), (utterance, vocabulary)]


def token_counts(lm: FrozenLM, world: World) -> Counter[int]:
    """How often each token stands in a description of a training referent, as in the slot."""
    counts: Counter[int] = Counter()
    for referent in world.referents("train"):
        counts.update(lm.encode_plain(" " + world.describe(referent)))
    return counts


def test_the_vocabulary_is_the_described_tokens_the_most_frequent_first(pair: Pair) -> None:
    counts = token_counts(pair.receiver.lm, pair.world)
    table, vocabulary = pair.receiver.lm.embedding_table, pair.vocabulary()
    assert vocabulary.shape == (len(counts), pair.receiver.lm.width)
    tokens = [int((table == row).all(-1).nonzero()[0]) for row in vocabulary]
    assert set(tokens) == set(counts)
    frequencies = [counts[token] for token in tokens]
    assert frequencies == sorted(frequencies, reverse=True)
    assert len(set(frequencies)) < len(frequencies), "some are equally frequent"
    ties = [(a, b) for a, b in pairwise(tokens) if counts[a] == counts[b]]
    assert all(a < b for a, b in ties), "and these come in the order of their numbers"


def test_the_vocabulary_is_the_receivers_of_two_models(
    qwen2_folder: Path, other_folder: Path, small_world: World
) -> None:
    config = ModelConfig(sender=str(qwen2_folder), receiver=str(other_folder), device="cpu")
    pair = Pair.load(config, small_world)
    assert pair.vocabulary().shape == (len(token_counts(pair.receiver.lm, small_world)), 48)


@pytest.mark.parametrize("reads", ["prompt", "message"])
def test_a_channel_learns_all_training_referents_by_its_own_reading(pair: Pair, reads: str) -> None:
    channel = Pupil(CodecConfig(depth=1, reads=reads), pair.interface)  # type: ignore[arg-type]
    train_utterances = pair.calibrate(channel)
    [(utterance, vocabulary)] = channel.lessons
    assert utterance is train_utterances
    wanted = pair.sender.speak(pair.world.referents("train"), SenderFeatures(1, reads))  # type: ignore[arg-type]
    assert list(utterance.texts) == list(wanted.texts)
    assert torch.equal(utterance.states, wanted.states)
    assert torch.equal(vocabulary, pair.vocabulary())


def test_symbols_begin_as_the_receivers_most_frequent_words(pair: Pair) -> None:
    channel = SymbolsChannel(SymbolsConfig(codebook_size=4), pair.interface)
    pair.calibrate(channel)
    assert torch.equal(channel.decoder.table, pair.vocabulary()[:4])
    assert channel.encoder.standardize.mean.any()


def test_candidates_are_read_with_or_without_a_cache(pair: Pair) -> None:
    candidates = list(pair.world.referents("train")[:6].reshape(2, 3, -1))
    assert pair.read(candidates).layers
    assert pair.read(candidates, cached=False).layers == ()
