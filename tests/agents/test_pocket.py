"""The shipped pocket: what it must be able to do before any codec is trained."""

import numpy as np
import pytest
from safetensors import safe_open

from parley.agents.model_files import POCKET_FOLDER
from parley.agents.pair import ModelConfig, Pair
from parley.channels.base import TextInput
from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialGame
from parley.envs.world import objects_world
from studies.pocket_lessons import corpus
from studies.pocket_model import PocketConfig, train_tokenizer

WORLD = objects_world()


@pytest.fixture(scope="module")
def pocket():
    return Pair.load(ModelConfig(device="cpu"), WORLD)


def test_the_sender_describes_unseen_referents_exactly(pocket):
    referents = WORLD.referents("test")
    said = pocket.sender.speak(referents).texts
    exact = [text == WORLD.describe(referent) for text, referent in zip(said, referents, strict=True)]
    assert np.mean(exact) >= 0.99


def test_the_receiver_understands_the_sender_about_unseen_referents(pocket):
    sampler, rng = ReferentialGame(WORLD, EpisodeConfig(split="test")), np.random.default_rng(5)
    episodes = [sampler.draw(rng) for _ in range(300)]
    texts = pocket.sender.speak(np.stack([episode.sender_view for episode in episodes])).texts
    context = pocket.read([episode.candidates for episode in episodes])
    choices = pocket.receiver.choose(context, TextInput(list(texts))).argmax(-1).tolist()
    assert np.mean([c == e.target for c, e in zip(choices, episodes, strict=True)]) >= 0.93


def test_the_tokenizer_is_the_one_that_the_recipe_trains(pocket):
    trained = train_tokenizer(corpus(WORLD), PocketConfig())
    shipped = pocket.sender.lm.tokenizer
    assert shipped.get_vocab() == trained.get_vocab()
    text = "<|im_start|>user\nsmall red metal cube, größer?\n\n 12<|im_end|>\n"
    assert shipped(text)["input_ids"] == trained(text)["input_ids"]


def test_it_is_small_enough_to_ship():
    assert sum(path.stat().st_size for path in POCKET_FOLDER.iterdir()) < 16e6
    with safe_open(POCKET_FOLDER / "model.safetensors", framework="np") as file:
        sizes = [np.prod(file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118
    assert 1e6 <= sum(sizes) <= 4e6


@pytest.mark.parametrize(("speaks", "listens"), [("pocket_narrow", "pocket"), ("pocket", "pocket_narrow")])
def test_two_pockets_of_different_width_and_vocabulary_understand_each_other(speaks: str, listens: str):
    pair = Pair.load(ModelConfig(sender=speaks, receiver=listens, device="cpu"), WORLD)
    assert {pair.sender.lm.width, pair.receiver.lm.width} == {96, 128}
    assert not pair.one_vocabulary
    sampler, rng = ReferentialGame(WORLD, EpisodeConfig(split="test")), np.random.default_rng(6)
    episodes = [sampler.draw(rng) for _ in range(100)]
    texts = pair.sender.describe(np.stack([episode.sender_view for episode in episodes]))
    context = pair.read([episode.candidates for episode in episodes])
    choices = pair.receiver.choose(context, TextInput(texts)).argmax(-1).tolist()
    assert np.mean([c == e.target for c, e in zip(choices, episodes, strict=True)]) >= 0.93
