"""Models in one GGUF file: whether they can play, and how transformers reads them quickly and silently."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import import_module
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from parley.agents.model_checks import check_family
from parley.agents.model_sources import ModelError, Source, first_line

_ALONE = "model.gguf"
# transformers reads a file four times, 3 s each for 49,152 tokens, and makes the names once a module
_MADE_ONCE = ("GGUFReader", "get_tensor_name_map")


@contextmanager
def opened(name: str, source: Source) -> Iterator[Source]:
    """A source as transformers is to see it: a GGUF file alone in a folder, and read no more than once.

    What lies beside the file, such as a tokenizer.json, would go before what is in it.

    Args:
        name: of the model, for the error.
        source: where it is; any but a GGUF file stays as it is.

    Raises:
        ModelError: if the package that reads GGUF files is missing.
    """
    if source.gguf_file is None:
        yield source
        return
    try:
        gguf = import_module("gguf")
    except ImportError as error:
        raise ModelError(
            f"model {name!r} is a GGUF file, which the package gguf reads; `make weights` brings it, or "
            f"`pip install gguf`"
        ) from error
    made = {part: getattr(gguf, part) for part in _MADE_ONCE}
    with TemporaryDirectory() as folder, redirect_stderr(StringIO()):  # where its progress bars go
        (Path(folder) / _ALONE).symlink_to((Path(source.place) / source.gguf_file).resolve())
        try:
            for part, make in made.items():
                setattr(gguf, part, functools.cache(make))
            yield Source(folder, gguf_file=_ALONE)
        finally:
            for part, make in made.items():
                setattr(gguf, part, make)


def gguf_path(source: Source) -> str:
    """The path of an opened source's file, spelt as transformers spells it."""
    return f"{source.place}/{source.gguf_file}"


def read_gguf_config(name: str, source: Source) -> PreTrainedConfig:
    """The configuration that a GGUF file's metadata make; no weight is read.

    Args:
        name: of the model, for the error.
        source: as `opened` gives it.

    Raises:
        ModelError: if the file is damaged, or is of another family, of positions that transformers leaves
            out, or of a quantisation that cannot be undone.
    """
    reader = _reader(name, source)
    family = _value(reader, "general.architecture")
    check_family(name, {} if family is None else {"model_type": family})
    scaling = _value(reader, f"{family}.rope.scaling.type")
    if scaling not in (None, "none"):
        raise ModelError(
            f"model {name!r} scales its positions by {scaling!r}, which transformers does not take from a "
            f"GGUF file; take the checkpoint as a folder"
        )
    _check_quantisation(name, reader)
    config = AutoConfig.from_pretrained(source.place, gguf_file=source.gguf_file, trust_remote_code=False)
    if (width := _value(reader, f"{family}.attention.key_length")) is not None:
        config.head_dim = int(width)  # which transformers leaves at the family's default
    return config


def num_weights(name: str, source: Source) -> int:
    """Numbers in all tensors of an opened source's file."""
    return sum(int(tensor.n_elements) for tensor in _reader(name, source).tensors)


def _reader(name: str, source: Source) -> Any:
    """What the package gguf makes of the file: metadata, and tensors that are not read yet."""
    try:
        return import_module("gguf").GGUFReader(gguf_path(source))
    except Exception as error:  # it trusts the file, so anything may be raised
        raise ModelError(
            f"model {name!r} is no GGUF file, or is truncated, damaged, or of a quantisation that the "
            f"package gguf does not know: {first_line(error)}"
        ) from error


def _value(reader: Any, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _check_quantisation(name: str, reader: Any) -> None:
    """Undo a first row of every kind of quantisation in the file."""
    for tensor in {tensor.tensor_type: tensor for tensor in reader.tensors}.values():
        try:
            import_module("gguf").dequantize(tensor.data[:1], tensor.tensor_type)
        except NotImplementedError as error:
            raise ModelError(
                f"model {name!r} is quantised as {tensor.tensor_type.name}, which the package gguf cannot "
                f"undo; take another quantisation of it, or the checkpoint as a folder"
            ) from error
