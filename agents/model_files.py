"""The files of a Qwen checkpoint: where they are, whether they can play, and what tells them from others.

Nothing that a checkpoint brings is ever run: no code of its own, no pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils.tqdm import enable_progress_bars
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedConfig
from transformers.utils import cached_file, find_adapter_config_file, logging

FAMILIES = ("qwen2", "qwen3")  # Qwen2.5 calls itself qwen2
POCKET = "pocket"
POCKET_FOLDER = Path(__file__).parent / "pocket"
NARROW_FOLDER = Path(__file__).parent / "pocket_narrow"
EMBEDDED = {POCKET: POCKET_FOLDER, "pocket_narrow": NARROW_FOLDER}
DeviceMap = str | Mapping[str, Any]
_HYBRID = (
    "which mixes in linear attention: its running state has no keys and values, so what was read cannot be "
    "kept and gone on with at the slot under one message after another"
)
_SAFETENSORS, _INDEX = "model.safetensors", "model.safetensors.index.json"


class ModelError(ValueError):
    """A model that cannot be used; the message says which and why."""


class Source(NamedTuple):
    """Where a model's files are: a folder, or a name on the hub and a branch, tag or commit there."""

    place: str
    revision: str | None = None


class Checkpoint(NamedTuple):
    """What was loaded, and the SHA-256 that tells it from every other player."""

    tokenizer: Any
    model: Any
    fingerprint: str


def find_source(name: str) -> Source:
    """The place that a name stands for: an embedded model, a folder, a hub name, or NAME@REVISION of the hub.

    Raises:
        ModelError: if a revision is empty, or is asked of what has none.
    """
    if name in EMBEDDED:
        return Source(str(EMBEDDED[name]))
    if "@" not in name or Path(name).is_dir():
        return Source(name)
    place, _, revision = name.rpartition("@")
    if not place or not revision:
        raise ModelError(f"model {name!r} must be a folder, a hub name or NAME@REVISION of the hub")
    if place in EMBEDDED or Path(place).is_dir():
        raise ModelError(f"model {name!r} asks for a revision, which only models on the hub have")
    return Source(place, revision)


def load_checkpoint(name: str, dtype: torch.dtype, device_map: DeviceMap | None) -> Checkpoint:
    """Tokenizer and model; every weight from the files, none made up, none by pickle.

    Args:
        name: as for `find_source`.
        dtype: of the weights in memory.
        device_map: how accelerate is to place the layers; None loads them on the CPU.

    Raises:
        ModelError: if they cannot be found, lack a file, or are of no dense Qwen.
    """
    source = find_source(name)
    with _quiet():
        _check_source(name, source)
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                source.place, revision=source.revision, trust_remote_code=False
            )
            model = _load_model(source, dtype, device_map)
            decode_greedily(model, tokenizer)
            fingerprint = _fingerprint(source, tokenizer, model)
        except Exception as error:  # tokenizers raises nothing more exact
            raise ModelError(f"model {name!r} could not be loaded: {_first_line(error)}") from error
    return Checkpoint(tokenizer, model, fingerprint)


def decode_greedily(model: Any, tokenizer: Any) -> None:
    """Leave a checkpoint's own decoding habits behind, but for the tokens that end its turn.

    Qwen2.5's repetition penalty would keep a greedy sender from repeating its prompt's words.
    """
    eos = model.generation_config.eos_token_id
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id if eos is None else eos, pad_token_id=tokenizer.pad_token_id
    )


def _load_model(source: Source, dtype: torch.dtype, device_map: DeviceMap | None) -> Any:
    model, report = AutoModelForCausalLM.from_pretrained(
        source.place,
        revision=source.revision,
        trust_remote_code=False,
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
        device_map=device_map,
    )
    if lacking := sorted(report["missing_keys"]):
        # transformers would start them from chance, with no more than a warning
        raise OSError(f"its files lack {len(lacking)} weights, such as {lacking[0]}")
    return model


def _check_source(name: str, source: Source) -> None:
    """Refuse what cannot play before anything large is read or fetched."""
    folder = Path(source.place)
    if folder.is_dir():
        _check_folder(folder)
    with _config_errors(name, source):
        config = _config_of(name, source)
        adapter = find_adapter_config_file(source.place, revision=source.revision)
    if adapter is not None:
        # it would be laid over the weights of another model, of which the fingerprint knows nothing
        raise ModelError(f"model {name!r} is an adapter; merge it into its base model and save the result")
    _check_layers(name, config)


def read_config(name: str) -> PreTrainedConfig:
    """The configuration of a model, of which nothing but its config.json is read.

    Args:
        name: as for `find_source`.

    Raises:
        ModelError: if it cannot be found or used, or is of no dense Qwen.
    """
    source = find_source(name)
    with _quiet(), _config_errors(name, source):
        config = _config_of(name, source)
    _check_layers(name, config)
    return config


def _config_of(name: str, source: Source) -> PreTrainedConfig:
    # as plain JSON first: no class of the family, known or not, is needed to say what it is
    raw, _ = PreTrainedConfig.get_config_dict(source.place, revision=source.revision)
    _check_family(name, raw)
    return AutoConfig.from_pretrained(source.place, revision=source.revision, trust_remote_code=False)


@contextmanager
def _config_errors(name: str, source: Source) -> Iterator[None]:
    """Whatever goes wrong with a config.json is said of the model."""
    try:
        yield
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, HFValidationError) as error:
        problem = (
            "has a config.json that cannot be used"
            if Path(source.place).is_dir()
            else "was not found as a folder, nor on the hub (is there a connection?)"
        )
        raise ModelError(f"model {name!r} {problem}: {_first_line(error)}") from error


def _check_folder(folder: Path) -> None:
    for needed in ("config.json", "tokenizer_config.json"):
        if not (folder / needed).is_file():
            raise ModelError(f"model folder {folder} lacks {needed}")
    # without either, transformers would make up an empty tokenizer
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        raise ModelError(f"model folder {folder} lacks tokenizer.json (or vocab.json and merges.txt)")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"model folder {folder} lacks weights (*.safetensors)")


def _check_family(name: str, config: Mapping[str, Any]) -> None:
    if "model_type" not in config:
        raise ValueError("it names no model_type")
    family = str(config["model_type"])
    if family not in FAMILIES:
        raise ModelError(
            f"model {name!r} is of family {family!r}, {_why_not(family, config)}; Parley plays dense models "
            f"of the families {', '.join(FAMILIES)} (Qwen2.5 counts as qwen2)"
        )


def _why_not(family: str, config: Mapping[str, Any]) -> str:
    """Why a family cannot play, as a relative clause."""
    text = config.get("text_config") or {}
    layers = [*(config.get("layer_types") or []), *(text.get("layer_types") or [])]
    if "linear_attention" in layers or family.startswith(("qwen3_next", "qwen3_5")):
        return _HYBRID
    if not family.startswith("qwen"):
        return "which is no Qwen"
    if "moe" in family:
        return "a mixture of experts"
    if family == "qwen":
        return "the first Qwen, which brings code of its own that is never run"
    return "which is made for more than text"


def _check_layers(name: str, config: PreTrainedConfig) -> None:
    """Refuse what would play, but not as the cached passes assume: prefixes that cannot stand alone."""
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(
            f"model {name!r} is quantised; take the checkpoint in bfloat16, of which it was made"
        )
    if set(config.layer_types) != {"full_attention"}:
        raise ModelError(
            f"model {name!r} has layers with sliding-window attention, whose cache forgets the candidates "
            f"that were read first; Parley plays models with full attention in every layer"
        )
    if (rope := config.rope_parameters["rope_type"]) == "longrope":
        raise ModelError(
            f"model {name!r} scales its positions by {rope!r}, which turns keys otherwise as the prompt "
            f"grows, so that what was read cannot be kept; yarn and linear scaling are fine"
        )


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


def _fingerprint(source: Source, tokenizer: Any, model: Any) -> str:
    """SHA-256 over all that makes a player, so the same in every precision and placement.

    That is the files of configuration, weights and vocabulary, and, wherever they are kept, the chat
    template that is in force, the tokens added to the vocabulary, and those that end an answer and pad.
    """
    folder = Path(str(cached_file(source.place, "config.json", revision=source.revision))).parent
    digest = hashlib.sha256()
    for path in [folder / "config.json", *_weight_files(folder), *_vocabulary_files(folder)]:
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


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
