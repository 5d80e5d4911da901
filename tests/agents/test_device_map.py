"""Models whose layers lie in several places play as if they lay in one."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from second_card import SECOND_CARD, SecondCard, is_there, spread
from torch import Tensor
from transformers import AutoModelForCausalLM

from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.pair import ModelConfig, Pair
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import SenderFeatures, SoftPrompt, TextInput
from parley.channels.latent import VectorQuantizedChannel, VectorQuantizedConfig
from parley.envs.world import World
from parley.training.config import TrainConfig
from parley.training.trainer import Trainer

ROWS = [["tiny red cube", "very large blue ball"], ["very large dark sea blue round cone", "tiny blue disc"]]
LAST_ON_DISK = {
    "model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.layers.0": "cpu", "model.layers.1": "cpu",
    "model.layers.2": "disk", "model.norm": "disk", "lm_head": "cpu",
}  # fmt: skip
ALL_ON_DISK = {"model.embed_tokens": "disk", "model.rotary_emb": "cpu", "model.layers": "disk"} | {
    "model.norm": "disk", "lm_head": "disk",
}  # fmt: skip


@pytest.fixture(autouse=True)
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading layers from disk for every word takes its time."""
    monkeypatch.setattr("parley.agents.features.MAX_DESCRIPTION_TOKENS", 3)


def played(lm: FrozenLM, world: World) -> dict[str, Tensor]:
    """Everything that a training step or an episode computes with a model."""
    receiver = Receiver(lm)
    torch.manual_seed(0)
    vectors = torch.randn(4, 4, lm.width, requires_grad=True)
    context = receiver.read(ROWS).repeat(2)
    answer_states = receiver.answer_states(context, SoftPrompt(vectors))
    logits = receiver.readout._read(answer_states, 2).logits
    words = receiver.readout.vocabulary_logits(answer_states)
    (logits.logsumexp(-1).sum() + words.logsumexp(-1).sum()).backward()
    assert vectors.grad is not None
    referents = world.referents("train")[:1]
    states = Sender(lm, world).speak(referents, SenderFeatures(depth=1.0)).states
    return {
        "logits": logits.detach(),
        "words": words.detach(),
        "gradient": vectors.grad,
        "text": receiver.choose(receiver.read(ROWS), TextInput(["tiny red cube", "disc"])),
        "full": receiver.choose_uncached(ROWS, TextInput(["tiny red cube", "disc"])),
        "start": receiver.choose(context, SoftPrompt(vectors.detach(), at_start=True)),
        "states": states,
        "norm": torch.tensor(lm.embedding_norm()),
    }


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("folder", "device_map"),
    [
        ("qwen2_sharded_folder", LAST_ON_DISK),
        ("qwen2_untied_folder", ALL_ON_DISK),
        ("qwen3_folder", ALL_ON_DISK),
    ],
)
def test_layers_on_disk_compute_the_same(
    folder: str, device_map: dict[str, str], request: pytest.FixtureRequest, small_world: World
) -> None:
    name = str(request.getfixturevalue(folder))
    plain, placed = FrozenLM(name), FrozenLM(name, device_map=device_map)
    assert placed.model.hf_device_map == device_map, "accelerate has placed it"
    assert placed.model.model.layers[2].mlp.up_proj.weight.device.type == "meta", "it is not in memory"
    assert (placed.device, placed.dtype) == (torch.device("cpu"), torch.float32)
    assert placed.fingerprint == plain.fingerprint, "where it lies does not make another player"
    assert_same(played(placed, small_world), played(plain, small_world))


@pytest.mark.parametrize("folder", ["qwen2_untied_folder", "qwen3_folder"])
def test_a_last_layer_on_another_card_computes_the_same(
    folder: str, request: pytest.FixtureRequest, small_world: World
) -> None:
    """No tensor meets one of the other card unless it was moved: indices, masks, caches, log-odds."""
    name = str(request.getfixturevalue(folder))
    lm = FrozenLM(name)
    body = lm.model.model
    tied = lm.model.config.tie_word_embeddings  # a tied output layer lies where the embeddings do
    first = [body.embed_tokens, body.rotary_emb, *body.layers[:2], *([lm.model.lm_head] if tied else [])]
    spread(lm.model, first, [body.layers[2], body.norm, *([] if tied else [lm.model.lm_head])])
    with SecondCard():
        cached = Receiver(lm).read(ROWS).layers
        assert [keys.device for keys, _ in cached] == [torch.device("cpu")] * 2 + [SECOND_CARD]
        ours = played(lm, small_world)
        assert not any(is_there(tensor) for tensor in ours.values()), "all that leaves is on the first"
    assert_same(ours, played(FrozenLM(name), small_world))


def test_a_codec_trains_between_models_on_disk(
    qwen3_folder: Path, small_world: World, tmp_path: Path
) -> None:
    losses = []
    for device_map in (None, LAST_ON_DISK):
        lm = FrozenLM(str(qwen3_folder), device_map=device_map)
        pair = Pair(Sender(lm, small_world), Receiver(lm), small_world)
        torch.manual_seed(0)
        channel = VectorQuantizedChannel(
            VectorQuantizedConfig(codec_width=16, codebook_size=4), pair.interface
        )
        config = TrainConfig(
            steps=3, alignment_steps=1, batch_size=2, num_candidates=3, messages_per_context=2,
            validation_episodes=2, folder=tmp_path,
        )  # fmt: skip
        trainer = Trainer(channel, pair, config, tmp_path)
        losses.append([trainer.step()["loss"] for _ in range(3)])
    assert np.allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("device_map", ["auto", "balanced", "balanced_low_0", "sequential"])
def test_the_words_that_accelerate_knows_place_a_model(
    device_map: Any, qwen2_folder: Path, small_world: World
) -> None:
    """With one place to go all of them lead there."""
    pair = Pair.load(ModelConfig(model=str(qwen2_folder), device_map=device_map), small_world)
    where = "cuda" if torch.cuda.is_available() else "cpu"
    assert pair.device.type == where
    assert pair.receiver.lm.dtype == (torch.bfloat16 if where == "cuda" else torch.float32)
    assert pair.sender.lm is pair.receiver.lm


def test_a_device_beside_a_device_map_is_refused(qwen2_folder: Path, small_world: World) -> None:
    config = ModelConfig(model=str(qwen2_folder), device="cpu", device_map="auto")
    with pytest.raises(ValueError, match="device must be auto where device_map places the model, got 'cpu'"):
        Pair.load(config, small_world)


def test_two_models_must_begin_in_one_place(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def somewhere(name: str, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(device=torch.device("cuda", int(name)))

    monkeypatch.setattr("parley.agents.pair.FrozenLM", somewhere)
    config = ModelConfig(sender="0", receiver="1", device_map="sequential")
    with pytest.raises(
        ModelError, match="the sender's embeddings lie on cuda:0 and the receiver's on cuda:1"
    ):
        Pair.load(config, small_world)


@pytest.mark.parametrize("size", ["2", "two"])
def test_what_a_launcher_left_in_the_environment_is_not_read(
    qwen2_folder: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    """One process loads the model, whatever the variables of many say, and leaves them be."""
    left = {
        "WORLD_SIZE": size,
        "RANK": "1",
        "LOCAL_RANK": "1",
        "ACCELERATE_USE_FSDP": "true",
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    }
    alone = FrozenLM(str(qwen2_folder), device_map="auto")
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    seen = []
    load = AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(
        AutoModelForCausalLM,
        "from_pretrained",
        lambda *places, **options: (seen.append(dict(os.environ)), load(*places, **options))[1],
    )
    among_many = FrozenLM(str(qwen2_folder), device_map="auto")
    assert not left.keys() & seen[0].keys()
    assert left.items() <= os.environ.items()
    assert torch.equal(among_many.embedding_table, alone.embedding_table)
    assert among_many.dtype == alone.dtype
