"""Training and Gate 1, by the commands' own functions, on checkpoints with the layouts that real models have.

The models are small and random, so nothing is understood: what is tried is the machinery.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import tyro
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from parley.agents.command_line import ExitCode, run_command
from parley.agents.pair import ModelConfig, Pair
from parley.channels.conditions import condition_names
from parley.envs.world import World
from parley.evaluation import gate1
from parley.training.run import parse, train

LAYOUTS: dict[str, tuple[type, type, dict[str, Any], dict[str, Any]]] = {
    "qwen2, tied, grouped queries": (
        Qwen2Config, Qwen2ForCausalLM, {"tie_word_embeddings": True, "num_key_value_heads": 2}, {}
    ),
    "qwen2, untied, sharded": (
        Qwen2Config, Qwen2ForCausalLM, {"tie_word_embeddings": False}, {"max_shard_size": "40KB"}
    ),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 16}, {}),
    "llama": (LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 2, "attention_bias": True}, {}),
}  # fmt: skip
STEPS = [
    "--steps", "3", "--alignment-steps", "1", "--batch-size", "2", "--messages-per-context", "2",
    "--num-candidates", "3", "--codec-width", "16", "--validate-every", "3", "--validation-episodes", "4",
    "--codebook-size", "4",
]  # fmt: skip
BY_LETTERS = ["--readout", "label", "--calibration", "none", "--shots", "0"]  # quick; the rest is by default
PLAY = [
    "--channels",
    "latent_vq,text",
    "--episodes",
    "10",
    "--num-candidates",
    "3",
    "--seed",
    "0",
    "--unsealed",
]


@pytest.fixture(autouse=True)
def in_the_small_world(monkeypatch: pytest.MonkeyPatch, small_world: World) -> None:
    """The commands load their models for the small world, and count flops on one episode."""
    load = Pair.load
    monkeypatch.setattr(Pair, "load", lambda config, *_: load(config, small_world))
    monkeypatch.setattr("parley.evaluation.diagnostics.flops.COUNTED_EPISODES", 1)
    monkeypatch.setattr("parley.agents.features.MAX_DESCRIPTION_TOKENS", 6)


@pytest.fixture(scope="module")
def layout(save_model: Callable[..., Path], tiny_tokenizer: Any) -> Callable[..., Path]:
    """Writes a random checkpoint of a layout, with settings and a tokenizer of its own."""

    def write(name: str, tokenizer: Any = tiny_tokenizer, **changes: Any) -> Path:
        config, kind, settings, saving = LAYOUTS[name]
        shape = {
            "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 256,
            "initializer_range": 0.1, "eos_token_id": tokenizer.eos_token_id,
        }  # fmt: skip
        torch.manual_seed(0)
        return save_model(kind(config(**shape | settings | changes)), tokenizer, **saving)

    return write


def train_and_play(folder: Path, *models: str) -> tuple[int, dict[str, Any]]:
    """`parley train` of latent_vq, then `parley gate1` of it; the exit code and results.json."""

    def trained() -> int:
        train(*parse([*STEPS, *models, "--folder", str(folder / "run")]))
        return ExitCode.PASS

    assert run_command(trained) == ExitCode.PASS
    arguments = [*PLAY, *models, "--checkpoint", str(folder / "run"), "--folder", str(folder / "gate1")]

    def played() -> int:
        config = tyro.cli(gate1.Gate1Config, args=arguments, config=(tyro.conf.OmitArgPrefixes,))
        return gate1.run(config, arguments)

    return run_command(played), json.loads((folder / "gate1/results.json").read_text())


def assert_judged(code: int, results: dict[str, Any]) -> None:
    """Ten episodes between models that understand nothing: played to the end, and no pass."""
    assert code in (ExitCode.FAIL, ExitCode.INCONCLUSIVE)
    latent, text = results["channels"]["latent_vq"], results["channels"]["text"]
    assert (latent["role"], text["role"]) == ("judged", "ceiling")
    assert set(latent["conditions"]) == set(condition_names())
    assert {outcomes["n"] for outcomes in latent["conditions"].values()} == {10}
    failed = [check for check in results["validity"]["criteria"] if check["passed"] is False]
    assert failed == []


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_trains_and_goes_through_gate_1(
    name: str, layout: Callable[..., Path], tmp_path: Path
) -> None:
    folder = layout(name)
    assert (len(list(folder.glob("model-*-of-*.safetensors"))) > 1) == name.endswith("sharded")
    asked = [] if name == "qwen3" else BY_LETTERS
    code, results = train_and_play(tmp_path, "--model", str(folder), "--device", "cpu", *asked)
    assert_judged(code, results)
    models = results["provenance"]["models"]
    assert models["sender"] == models["receiver"]
    assert models["sender"]["name"] == str(folder)
    assert results["provenance"]["players"]["receiver"]["readout"] == ("label" if asked else "likelihood")
    assert "nan" not in (tmp_path / "run/metrics.jsonl").read_text().lower()


@pytest.mark.usefixtures("without_pictures")
def test_a_sender_and_a_receiver_of_other_family_width_and_tokenizer(
    layout: Callable[..., Path], other_folder: Path, tmp_path: Path
) -> None:
    """A Qwen3 speaks to a Qwen2 that reads other tokens: the codec joins them."""
    listening = layout("qwen2, untied, sharded", AutoTokenizer.from_pretrained(other_folder), hidden_size=48)
    models = ("--sender", str(layout("qwen3")), "--receiver", str(listening), "--device", "cpu", *BY_LETTERS)
    code, results = train_and_play(tmp_path, *models)
    assert_judged(code, results)
    roles = results["provenance"]["models"]
    assert roles["sender"]["sha256"] != roles["receiver"]["sha256"]
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["names"] == {"sender": models[1], "receiver": models[3]}


def test_a_device_map_plays_the_same_run(layout: Callable[..., Path], tmp_path: Path) -> None:
    """Where the layers lie is no part of a run: it is resumed as finished, and its checkpoint fits."""
    model = ("--model", str(layout("qwen3")), *BY_LETTERS)
    train(*parse([*STEPS, *model, "--folder", str(tmp_path / "run")]))
    kept = (tmp_path / "run/channel.safetensors").read_bytes()
    arguments = [*STEPS, *model, "--device-map", "auto", "--folder", str(tmp_path / "run"), "--resume"]
    train(*parse(arguments))
    assert (tmp_path / "run/channel.safetensors").read_bytes() == kept


def test_a_sender_that_says_nothing_is_named(
    qwen2_folder: Path, small_world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = Pair.load(ModelConfig(model=str(qwen2_folder), device="cpu"), small_world)
    assert set(pair.sender.speak(small_world.referents("train")).texts) == {""}

    def silent() -> int:
        train(*parse([*STEPS, "--model", str(qwen2_folder), "--folder", str(tmp_path / "run")]))
        return ExitCode.PASS

    assert run_command(silent) == ExitCode.USAGE
    assert "reconstruction must be 0 with a sender that says nothing" in capsys.readouterr().err
