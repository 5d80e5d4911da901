"""Small random language models with true architectures, built once, and how all tests run."""

# ruff: noqa: E402 - the hook stands before the imports it checks
from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from beartype import BeartypeConf, beartype
from hypothesis import settings
from jaxtyping import install_import_hook
from qwen_vocabulary import build_tokenizer

gc.disable()  # until all tests are collected: looking through all that is imported takes seconds


def pytest_collection_finish() -> None:
    """What was imported stays, so it is not looked through again."""
    gc.enable()
    gc.freeze()


# shapes in signatures are checked wherever tests call them; whole numbers pass for floats
check_types = beartype(conf=BeartypeConf(is_pep484_tower=True))
# where tensors are: a check costs an inspection of the signature at every call, and records are many
ROOMS = ("channels", "agents", "training")
PARTS = ("playing", "diagnostics", "statistics")
PACKAGES = [*(f"parley.{room}" for room in ROOMS), *(f"parley.evaluation.{part}" for part in PARTS)]
install_import_hook(PACKAGES, f"{__name__}.check_types")

from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from parley.agents.language_model import POCKET, FrozenLM
from parley.agents.pair import ModelConfig, Pair
from parley.agents.prompts import LABELS, receiver_prompt, sender_prompt
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import ModelInterface
from parley.envs.game import Game
from parley.envs.world import Attribute, World, objects_world
from studies.pocket_model import PocketConfig, build_model, train_tokenizer

settings.register_profile("parley", deadline=None)  # a busy machine is no failure
settings.load_profile("parley")
torch.set_num_threads(1)  # a second thread beside another busy process costs tenfold

TINY = PocketConfig(vocab_size=400, width=32, mlp_width=48, num_layers=3, num_heads=4, max_length=256)
OTHER = PocketConfig(vocab_size=330, width=48, mlp_width=64, num_layers=2, num_heads=4, max_length=256)
SaveModel = Callable[..., Path]
AS_LETTERS: dict[str, Any] = {"readout": "label", "calibration": "none", "shots": 0}
"""Flags by which a model that has no profile of its own is asked as the pocket is."""


@pytest.fixture(autouse=True)
def no_sender_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What senders read is kept nowhere: it would outlive the code that read it."""
    monkeypatch.setattr(ModelConfig, "sender_cache_folder", None)


@pytest.fixture(scope="session")
def few_objects() -> World:
    """The default world with fewer values: the pocket knows their words, and its sender is soon done."""
    whole = objects_world()
    return replace(whole, attributes=tuple(replace(a, values=a.values[:4]) for a in whole.attributes))


@pytest.fixture(scope="session")
def pocket_pair(few_objects: World) -> Pair:
    """The pocket on both sides; what its sender has said and read is kept for all tests."""
    return Pair.load(ModelConfig(device="cpu"), few_objects)


@pytest.fixture(autouse=True)
def every_seed_is_drawn_as_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few episodes a seed in a thousand makes a sound run an odd one."""
    monkeypatch.setattr("secrets.randbelow", lambda bound: 0)


@pytest.fixture
def pocket_loaded_once(pocket_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that load the pocket get `pocket_pair`; any other model is looked for as ever."""
    load = Pair.load

    def loaded(config: ModelConfig, world: World, game: Game | None = None) -> Pair:
        return pocket_pair if config.model == POCKET else load(config, world, game)

    monkeypatch.setattr(Pair, "load", loaded)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of Gate 1 without reports, which take longer than the play."""
    monkeypatch.setattr("parley.evaluation.playing.examine.draw_atlas", lambda *_: b"")
    monkeypatch.setattr(
        "parley.evaluation.playing.gate_run.write_run",
        lambda results, folder, *_: (folder / "results.json").write_text(json.dumps(results)),
    )


@pytest.fixture(scope="session")
def small_world() -> World:
    """48 referents, whose values differ in length."""
    return World(
        name="small",
        attributes=(
            Attribute(name="size", values=("tiny", "very large")),
            Attribute(name="colour", values=("red", "dark sea blue", "blue", "white")),
            Attribute(name="shape", values=("cube", "ball", "round cone", "ring", "disc", "star")),
        ),
        split_fractions=(0.4, 0.3, 0.3),
        split_seed=0,
    )


def _corpus(world: World) -> list[str]:
    texts = [" ".join(LABELS), receiver_prompt([world.describe(r) for r in world.referents("train")])]
    texts += [sender_prompt(world.facts(r)) + "\n" + world.describe(r) for r in world.referents("train")]
    return texts * 3


@pytest.fixture(scope="session")
def tiny_tokenizer(small_world: World) -> PreTrainedTokenizerFast:
    return train_tokenizer(_corpus(small_world), TINY)


@pytest.fixture(scope="session")
def save_model(
    tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: PreTrainedTokenizerFast
) -> SaveModel:
    """Writes a model and a tokenizer as a `from_pretrained` folder."""

    def save(model: Any, tokenizer: Any = tiny_tokenizer, **options: Any) -> Path:
        folder = tmp_path_factory.mktemp("model")
        model.save_pretrained(folder, **options)
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def qwen2_folder(save_model: SaveModel, tiny_tokenizer: PreTrainedTokenizerFast) -> Path:
    """Qwen2, tied embeddings: the pocket's architecture."""
    return save_model(build_model(tiny_tokenizer, TINY, seed=0))


@pytest.fixture(scope="session")
def qwen2_untied_folder(save_model: SaveModel, tiny_tokenizer: PreTrainedTokenizerFast) -> Path:
    """Qwen2 with an output layer of its own."""
    config = build_model(tiny_tokenizer, TINY, seed=1).config
    config.tie_word_embeddings = False
    torch.manual_seed(1)
    return save_model(type(build_model(tiny_tokenizer, TINY, seed=1))(config))


@pytest.fixture(scope="session")
def qwen2_gqa_folder(save_model: SaveModel, tiny_tokenizer: PreTrainedTokenizerFast) -> Path:
    """Qwen2 whose four heads share two key-value heads."""
    config = build_model(tiny_tokenizer, TINY, seed=2).config
    config.num_key_value_heads = 2
    torch.manual_seed(2)
    return save_model(type(build_model(tiny_tokenizer, TINY, seed=2))(config))


@pytest.fixture(scope="session")
def qwen2_sharded_folder(save_model: SaveModel, tiny_tokenizer: PreTrainedTokenizerFast) -> Path:
    """The same weights as `qwen2_folder`, over several files."""
    return save_model(build_model(tiny_tokenizer, TINY, seed=0), max_shard_size="50KB")


SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.1,
}


@pytest.fixture(scope="session")
def qwen3_folder(save_model: SaveModel, tiny_tokenizer: PreTrainedTokenizerFast) -> Path:
    """Qwen3: norms on queries and keys, heads wider than the width divided by their number."""
    torch.manual_seed(3)
    config = Qwen3Config(
        vocab_size=len(tiny_tokenizer),
        **SMALL,
        head_dim=16,
        tie_word_embeddings=True,
        eos_token_id=tiny_tokenizer.eos_token_id,
        pad_token_id=tiny_tokenizer.pad_token_id,
        bos_token_id=None,
    )
    return save_model(Qwen3ForCausalLM(config))


@pytest.fixture(scope="session")
def llama_folder(save_model: SaveModel, tiny_tokenizer: PreTrainedTokenizerFast) -> Path:
    """Llama with biases everywhere and positions scaled as in Llama 3; its random biases are not zero."""
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        **SMALL,
        attention_bias=True,
        mlp_bias=True,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 1000.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
        eos_token_id=tiny_tokenizer.eos_token_id,
        pad_token_id=None,
        bos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    for name, weight in model.named_parameters():
        if name.endswith(".bias"):
            torch.nn.init.normal_(weight, std=0.1)
    return save_model(model)


@pytest.fixture(scope="session")
def qwen_lm() -> FrozenLM:
    """Qwen2.5's true tokenizer and number of embeddings, with two layers of random weights; takes seconds."""
    tokenizer = build_tokenizer()
    config = Qwen2Config(
        vocab_size=151_936, hidden_size=16, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=2048, initializer_range=0.1,
        tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    return FrozenLM.of(Qwen2ForCausalLM(config), tokenizer, name="qwen2.5 (random)", fingerprint="0")


@pytest.fixture(scope="session")
def other_folder(save_model: SaveModel, small_world: World) -> Path:
    """A model of another width, depth and tokenizer."""
    tokenizer = train_tokenizer(_corpus(small_world), OTHER)
    return save_model(build_model(tokenizer, OTHER, seed=4), tokenizer)


@pytest.fixture(scope="session")
def lm(qwen2_folder: Path) -> FrozenLM:
    return FrozenLM(str(qwen2_folder))


@pytest.fixture(
    scope="session",
    params=[
        "qwen2_folder",
        "qwen2_untied_folder",
        "qwen2_gqa_folder",
        "qwen2_sharded_folder",
        "qwen3_folder",
        "llama_folder",
    ],
)
def any_lm(request: pytest.FixtureRequest) -> FrozenLM:
    """Every architecture in turn."""
    return FrozenLM(str(request.getfixturevalue(request.param)))


@pytest.fixture(scope="session")
def receiver(lm: FrozenLM) -> Receiver:
    return Receiver(lm)


@pytest.fixture(scope="session")
def model_interface(lm: FrozenLM, receiver: Receiver, small_world: World) -> ModelInterface:
    """What a channel may know of two small models, and the models themselves."""
    return Pair(Sender(lm, small_world), receiver, small_world).interface


@pytest.fixture
def pair(lm: FrozenLM, receiver: Receiver, small_world: World) -> Pair:
    """A sender and a receiver that share one model; the sender has said nothing yet."""
    return Pair(Sender(lm, small_world), receiver, small_world)
