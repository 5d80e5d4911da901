"""What tells one player from every other: a hash of its files, and of what is in force of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers.utils import cached_file

from parley.agents.model_sources import ModelError, Source

FINGERPRINT_FILE = "fingerprint.txt"
_SAFETENSORS, _INDEX = "model.safetensors", "model.safetensors.index.json"


def fingerprint_of(source: Source, tokenizer: Any, model: Any) -> str:
    """SHA-256 over all that makes a player, so the same in every precision and placement.

    That is the files of configuration, weights and vocabulary, and, wherever they are kept, the chat
    template that is in force, the tokens added to the vocabulary, and those that end an answer and pad.

    Args:
        source: where the model is; a GGUF file as `opened` gives it.
        tokenizer: what was loaded from there.
        model: the same.
    """
    digest = hashlib.sha256()
    for path in _files(source):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    in_force = {
        "chat_template": tokenizer.chat_template,
        "added_tokens": tokenizer.get_added_vocab(),
        "ends": model.generation_config.eos_token_id,
        "pads": tokenizer.pad_token_id,
    }
    digest.update(json.dumps(in_force, sort_keys=True).encode())
    return digest.hexdigest()


def check_fingerprint(name: str, source: Source, fingerprint: str) -> None:
    """Refuse a model whose folder says that it was another when it was made, as the embedded ones' do.

    Raises:
        ModelError: if the two differ.
    """
    path = Path(source.place) / FINGERPRINT_FILE
    if path.is_file() and (made := path.read_bytes().strip()) != fingerprint.encode():
        raise ModelError(
            f"model {name!r} is damaged or was changed: its fingerprint is {fingerprint}, and {path} says "
            f"{made.decode(errors='replace')!a}"
        )


def _files(source: Source) -> list[Path]:
    if source.gguf_file is not None:
        return [Path(source.place) / source.gguf_file]
    folder = Path(str(cached_file(source.place, "config.json", revision=source.revision))).parent
    return [folder / "config.json", *_weight_files(folder), *_vocabulary_files(folder)]


def _weight_files(folder: Path) -> Iterable[Path]:
    """Those that transformers reads: a folder may hold others."""
    if (folder / _SAFETENSORS).is_file():
        return [folder / _SAFETENSORS]
    shards = json.loads((folder / _INDEX).read_text())["weight_map"].values()
    return [folder / name for name in sorted(set(shards))]


def _vocabulary_files(folder: Path) -> Iterable[Path]:
    """tokenizer.json says all; only where it is missing do the older files count."""
    whole = folder / "tokenizer.json"
    return [whole] if whole.is_file() else [folder / "vocab.json", folder / "merges.txt"]
