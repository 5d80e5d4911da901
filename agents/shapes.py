"""Random models in the shapes of published Qwens: they prove the machinery and its cost, not meaning."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, Qwen2Config, Qwen3Config

from agents.language_model import FrozenLM
from agents.model_files import decode_greedily
from agents.pocket_model import POCKET_FOLDER
from plugins.names import unknown


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Values of a published config.json that decide what a model costs.

    Args:
        repository: on the hub, whose config.json it is.
        width: of embeddings and hidden states.
        mlp_width: of the hidden layer between two of them.
        num_layers: decoder layers.
        num_heads: of queries.
        num_key_value_heads: of keys and values.
        head_width: of one head.
        vocab_size: rows of the embedding table.
        max_length: longest context in tokens.
        tied: whether the output layer is the embedding table.
        family: `qwen2` or `qwen3`.
    """

    repository: str
    width: int
    mlp_width: int
    num_layers: int
    num_heads: int
    num_key_value_heads: int
    head_width: int
    vocab_size: int = 151936
    max_length: int = 32768
    tied: bool = True
    family: str = "qwen2"

    @property
    def num_parameters(self) -> int:
        """Weights and biases; a tied output layer counts once."""
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(self.config())
        return sum(parameter.numel() for parameter in model.parameters())

    @property
    def cache_numbers_per_token(self) -> int:
        """Keys and values of all layers for one token."""
        return 2 * self.num_layers * self.num_key_value_heads * self.head_width

    def config(self) -> PreTrainedConfig:
        """The configuration, with the pocket's control tokens."""
        tokenizer = AutoTokenizer.from_pretrained(POCKET_FOLDER, trust_remote_code=False)
        settings = {
            "vocab_size": self.vocab_size,
            "hidden_size": self.width,
            "intermediate_size": self.mlp_width,
            "num_hidden_layers": self.num_layers,
            "num_attention_heads": self.num_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "max_position_embeddings": self.max_length,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
            "tie_word_embeddings": self.tied,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        if self.family == "qwen3":
            return Qwen3Config(**settings, head_dim=self.head_width)
        return Qwen2Config(**settings)


SHAPES = {
    "qwen2.5-0.5b": Shape(
        repository="Qwen/Qwen2.5-0.5B", width=896, mlp_width=4864, num_layers=24, num_heads=14,
        num_key_value_heads=2, head_width=64,
    ),
    "qwen2.5-1.5b": Shape(
        repository="Qwen/Qwen2.5-1.5B", width=1536, mlp_width=8960, num_layers=28, num_heads=12,
        num_key_value_heads=2, head_width=128,
    ),
    "qwen2.5-3b": Shape(
        repository="Qwen/Qwen2.5-3B", width=2048, mlp_width=11008, num_layers=36, num_heads=16,
        num_key_value_heads=2, head_width=128,
    ),
    "qwen2.5-7b": Shape(
        repository="Qwen/Qwen2.5-7B", width=3584, mlp_width=18944, num_layers=28, num_heads=28,
        num_key_value_heads=4, head_width=128, vocab_size=152064, tied=False,
    ),
    "qwen3-0.6b": Shape(
        repository="Qwen/Qwen3-0.6B", width=1024, mlp_width=3072, num_layers=28, num_heads=16,
        num_key_value_heads=8, head_width=128, max_length=40960, family="qwen3",
    ),
    "qwen3-1.7b": Shape(
        repository="Qwen/Qwen3-1.7B", width=2048, mlp_width=6144, num_layers=28, num_heads=16,
        num_key_value_heads=8, head_width=128, max_length=40960, family="qwen3",
    ),
    "qwen3-4b": Shape(
        repository="Qwen/Qwen3-4B", width=2560, mlp_width=9728, num_layers=36, num_heads=32,
        num_key_value_heads=8, head_width=128, max_length=40960, family="qwen3",
    ),
}  # fmt: skip


def find_shape(name: str) -> Shape:
    """The shape of a name.

    Raises:
        ValueError: if there is none; lists the valid names and suggests the nearest.
    """
    if name not in SHAPES:
        raise unknown("shape", name, SHAPES)
    return SHAPES[name]


def random_lm(name: str, *, device: torch.device, dtype: torch.dtype, seed: int = 0) -> FrozenLM:
    """A frozen model of a shape with random weights, made on the device and written nowhere.

    Its tokenizer is the pocket's: of the true number of embeddings, all but its few hundred are never looked
    up, and prompts have the lengths that the pocket reads, not those of Qwen's own tokenizer.

    Args:
        name: of the shape.
        device: where it is made.
        dtype: of its weights.
        seed: of its weights.

    Raises:
        ValueError: if the shape is unknown.
    """
    config = find_shape(name).config()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), device:
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    tokenizer = AutoTokenizer.from_pretrained(POCKET_FOLDER, trust_remote_code=False)
    decode_greedily(model, tokenizer)
    identity = f"random weights of shape {name}, seed {seed}, {dtype}, made on {device.type}"
    return FrozenLM.of(
        model,
        tokenizer,
        name=f"{name} (random weights)",
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
    )
