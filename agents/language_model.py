"""A frozen Qwen2, Qwen2.5 or Qwen3, by folder or hub name: the only door to transformers.

Whatever plays here was loaded here: in eval mode, without gradients of its own, and with the
fingerprint of its files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils.tqdm import enable_progress_bars
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import cached_file, logging

from agents.pocket_model import POCKET_FOLDER

FAMILIES = ("qwen2", "qwen3")  # Qwen2.5 calls itself qwen2
POCKET = "pocket"


class ModelError(ValueError):
    """A model that cannot be used; the message says which and why."""


class FrozenLM:
    """A frozen causal language model with its tokenizer.

    Args:
        name: `pocket`, a local folder, or a hub name such as `Qwen/Qwen2.5-0.5B-Instruct`.
        revision: branch, tag or commit on the hub.
        device: where it runs; its precision is bfloat16 on CUDA and float32 elsewhere.
        dtype: another precision; float16 is refused, its range is too small for gradients.

    Raises:
        ModelError: if it cannot be found, lacks a file, or is no dense Qwen.
    """

    def __init__(
        self,
        name: str = POCKET,
        *,
        revision: str | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> None:
        self.name = name
        self.device = torch.device(device)
        self.dtype = dtype or (torch.bfloat16 if self.device.type == "cuda" else torch.float32)
        if self.dtype == torch.float16:
            raise ModelError("dtype float16 is too narrow for gradients, use bfloat16 or float32")
        source = str(POCKET_FOLDER) if name == POCKET else name
        with _quiet():
            _check_source(source, revision)
            try:
                self.tokenizer, self.model = _load(source, revision, self.dtype)
                self.fingerprint = _fingerprint(source, revision)
            except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
                raise ModelError(f"model {name!r} could not be loaded: {_first_line(error)}") from error
        if self.tokenizer.chat_template is None:
            raise ModelError(f"model {name!r} has no chat template, so there is no place for a message")
        if len(self.tokenizer) > len(self.embedding_table):
            raise ModelError(
                f"model {name!r} has {len(self.embedding_table)} token embeddings, fewer than the "
                f"{len(self.tokenizer)} tokens of its tokenizer"
            )
        self.model.to(self.device).eval().requires_grad_(False)

    @property
    def num_layers(self) -> int:
        """Decoder layers."""
        return int(self.model.config.num_hidden_layers)

    @property
    def width(self) -> int:
        """Width of embeddings and hidden states."""
        return int(self.model.config.hidden_size)

    @property
    def max_length(self) -> int:
        """Longest context in tokens."""
        return int(self.model.config.max_position_embeddings)

    @property
    def embedding_table(self) -> Float[Tensor, "V E"]:
        """The token embeddings."""
        table: Tensor = self.model.get_input_embeddings().weight
        return table

    def embedding_norm(self) -> float:
        """Mean L2 norm of the token embeddings."""
        return float(self.embedding_table.float().norm(dim=-1).mean())

    def render(self, content: str) -> str:
        """The chat template around one user turn, up to where the answer begins; no thinking."""
        return str(
            self.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,
            )
        )

    def encode(self, text: str) -> list[int]:
        """Token ids of a text in which control tokens count as such: for prompts."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def encode_plain(self, text: str) -> list[int]:
        """Token ids of a text that someone said: control tokens inside it are plain characters."""
        backend = self.tokenizer.backend_tokenizer
        normalized = backend.normalizer.normalize_str(text) if backend.normalizer else text
        pieces = backend.pre_tokenizer.pre_tokenize_str(normalized)
        return [token.id for piece, _ in pieces for token in backend.model.tokenize(piece)]

    def left_pad(self, rows: Sequence[list[int]]) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Token ids and mask of rows of different length, padded on the left.

        Raises:
            ValueError: if a row is longer than the model's context.
        """
        longest = max(map(len, rows))
        if longest > self.max_length:
            raise ValueError(
                f"prompt of {longest} tokens exceeds the {self.max_length} of model {self.name!r}"
            )
        padding = self.tokenizer.pad_token_id or 0
        padded = [[padding] * (longest - len(row)) + row for row in rows]
        kept = [[False] * (longest - len(row)) + [True] * len(row) for row in rows]
        return (
            torch.tensor(padded, dtype=torch.long, device=self.device),
            torch.tensor(kept, dtype=torch.bool, device=self.device),
        )


def _check_source(source: str, revision: str | None) -> None:
    """Refuse what cannot be loaded before anything large is read or fetched."""
    folder = Path(source)
    if folder.is_dir():
        _check_folder(folder)
    try:
        config = AutoConfig.from_pretrained(source, revision=revision)
    except (OSError, ValueError, KeyError, HFValidationError) as error:
        problem = (
            "has a config.json that cannot be used"
            if folder.is_dir()
            else "was not found as a folder, nor on the hub (is there a connection?)"
        )
        raise ModelError(f"model {source!r} {problem}: {_first_line(error)}") from error
    if config.model_type not in FAMILIES:
        raise ModelError(
            f"model {source!r} is of family {config.model_type!r}; Parley plays dense models of the "
            f"families {', '.join(FAMILIES)} (Qwen2.5 counts as qwen2)"
        )


def _check_folder(folder: Path) -> None:
    for needed in ("config.json", "tokenizer_config.json"):
        if not (folder / needed).is_file():
            raise ModelError(f"model folder {folder} lacks {needed}")
    # without either, transformers would make up an empty tokenizer
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        raise ModelError(f"model folder {folder} lacks tokenizer.json (or vocab.json and merges.txt)")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"model folder {folder} lacks weights (*.safetensors)")


def _load(source: str, revision: str | None, dtype: torch.dtype) -> tuple[Any, Any]:
    """Tokenizer and model; every weight from the files, none made up, none by pickle."""
    tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
    model, report = AutoModelForCausalLM.from_pretrained(
        source, revision=revision, dtype=dtype, use_safetensors=True, output_loading_info=True
    )
    if lacking := sorted(report["missing_keys"]):
        # transformers would start them from chance, with no more than a warning
        raise OSError(f"its files lack {len(lacking)} weights, such as {lacking[0]}")
    # a checkpoint's own decoding habits, such as Qwen2.5's repetition penalty, would keep a
    # greedy sender from repeating its prompt's words
    eos = model.generation_config.eos_token_id
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id if eos is None else eos, pad_token_id=tokenizer.pad_token_id
    )
    return tokenizer, model


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide transformers' loading bars and advice; bars of the hub's downloads stay."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    if bars:
        logging.disable_progress_bar()
        enable_progress_bars()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _fingerprint(source: str, revision: str | None) -> str:
    """SHA-256 over configuration and weight files, so the same in every precision."""
    config = cached_file(source, "config.json", revision=revision)
    folder = Path(str(config)).parent
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise OSError(f"{folder} holds no *.safetensors weights")
    digest = hashlib.sha256()
    for path in [folder / "config.json", *weights]:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
