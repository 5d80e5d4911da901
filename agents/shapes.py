"""Random models in the shapes of published Qwens: they prove the machinery and its cost, not meaning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.utils import cached_file

from parley.agents.gguf_files import opened
from parley.agents.language_model import FrozenLM
from parley.agents.model_files import load_tokenizer, read_config
from parley.agents.model_sources import EMBEDDED, PACKAGED, POCKET_FOLDER, ModelError, find_source
from parley.plugins.names import unknown

_IF_ANY = dict.fromkeys(
    f"_raise_exceptions_for_{case}" for case in ("gated_repo", "missing_entries", "connection_errors")
)


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
        family: `qwen2`, `qwen3` or `llama`.
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

    @classmethod
    def of(cls, config: PreTrainedConfig, repository: str) -> Shape:
        """The shape that a model's configuration describes.

        Args:
            config: of a model of one of the families.
            repository: where it is from.
        """
        return cls(
            repository=repository,
            width=config.hidden_size,
            mlp_width=config.intermediate_size,
            num_layers=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            num_key_value_heads=config.num_key_value_heads,
            head_width=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
            vocab_size=config.vocab_size,
            max_length=config.max_position_embeddings,
            tied=config.tie_word_embeddings,
            family=config.model_type,
        )

    @property
    def num_parameters(self) -> int:
        """Weights and biases; a tied output layer counts once."""
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(self.config())
        return sum(parameter.numel() for parameter in model.parameters())

    @property
    def query_width(self) -> int:
        """Queries of all heads of a layer, for one token."""
        return self.num_heads * self.head_width

    @property
    def key_width(self) -> int:
        """Keys, or values, of all heads of a layer, for one token."""
        return self.num_key_value_heads * self.head_width

    @property
    def layer_weights(self) -> int:
        """Numbers in the linear maps of one decoder layer, without biases."""
        return self.width * (2 * self.query_width + 2 * self.key_width + 3 * self.mlp_width)

    @property
    def cache_numbers_per_token(self) -> int:
        """Keys and values of all layers for one token."""
        return 2 * self.num_layers * self.key_width

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
        if self.family == "qwen2":
            return Qwen2Config(**settings)
        return {"qwen3": Qwen3Config, "llama": LlamaConfig}[self.family](**settings, head_dim=self.head_width)


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


def shape_of(name: str) -> Shape:
    """The shape of a name, or of a model, of which no weights are read.

    Args:
        name: of a shape, an embedded or packaged model, a GGUF file, a folder, or a hub name.

    Raises:
        ValueError: if it is none of these; lists the names there are and suggests the nearest.
        ModelError: if the model cannot be found, or is of a family that cannot play.
    """
    if name in SHAPES:
        return SHAPES[name]
    named = [*EMBEDDED, *PACKAGED]
    if name not in named and "/" not in name and not Path(name).exists():  # a name of the hub has an owner
        raise unknown("model", name, [*named, *SHAPES], ", a GGUF file, a folder, or a hub name OWNER/NAME")
    return Shape.of(read_config(name), name)


class PaperModel(NamedTuple):
    """A model of which only the configuration is known; `lm` has its tokenizer and no weights at all."""

    shape: Shape
    lm: FrozenLM
    own_tokenizer: bool  # False: tokens are the pocket's


def paper_model(name: str) -> PaperModel:
    """A model on torch's meta device: it can say how long a prompt is, and compute nothing.

    The tokenizer is the model's own where its files are here, in the folder or in the hub's cache; nothing
    but config.json is fetched. Else it is the pocket's, whose prompts are shorter than those of a Qwen.

    Raises:
        ValueError: as for `shape_of`.
        ModelError: as for `shape_of`, or if the tokenizer cannot be used.
    """
    shape = shape_of(name)
    own = None if name in SHAPES else _own_tokenizer(name)
    tokenizer = own or AutoTokenizer.from_pretrained(POCKET_FOLDER, trust_remote_code=False)
    rows = max(shape.vocab_size, 0 if own else len(tokenizer))  # of a table in which nothing is looked up
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(replace(shape, vocab_size=rows).config())
    lm = FrozenLM.of(model, tokenizer, name=name, fingerprint="")
    return PaperModel(shape, lm, own is not None)


def _own_tokenizer(name: str) -> Any | None:
    """The tokenizer of a model whose vocabulary is here; None where it would have to be fetched."""
    with opened(name, find_source(name)) as source:
        looked_for = {"revision": source.revision, "local_files_only": True, **_IF_ANY}
        # without either file, transformers would make up an empty tokenizer
        if source.gguf_file is None and not any(
            cached_file(source.place, file, **looked_for) for file in ("tokenizer.json", "vocab.json")
        ):
            return None
        try:
            return load_tokenizer(source, local_files_only=True)
        except Exception as error:  # tokenizers raises nothing more exact
            raise ModelError(f"model {name!r} has a tokenizer that cannot be used: {error}") from error
