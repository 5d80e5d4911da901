"""Tensors and what is said of them in one safetensors file with a checksum: read exactly, or refused.

The header is JSON in the file's metadata. It begins with the SHA-256 of the whole file, taken with zeros in
the place of its own digits: no bit of the file can change unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from parley.channels.files import atomic_write

_KEY = "parley"
_UNKNOWN = b"0" * 64
_DIGITS = re.compile(rb'\\"sha256\\": \\"([0-9a-f]{64})\\"')  # quoted, as JSON within JSON is


class TensorFileError(ValueError):
    """A file of tensors that cannot be used, as a clause that follows its name."""


class NotFiniteError(ValueError):
    """Tensors that hold NaN or an infinity; the message names the first."""


class TensorFile(NamedTuple):
    """What a file holds."""

    tensors: dict[str, Tensor]
    header: dict[str, Any]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors, each by itself: two names of one tensor are written twice.

    Args:
        path: the file; one that exists stays whole until it is replaced.
        tensors: by name, on any device.
        header: what is said of them, as JSON.

    Raises:
        NotFiniteError: if a number is NaN or infinite.
        OSError: if it cannot be written; an earlier file stays.
    """
    check_finite(tensors)
    apart = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    said = json.dumps({"sha256": _UNKNOWN.decode(), **header}, allow_nan=False)
    content = save(apart, metadata={_KEY: said})
    place = _DIGITS.search(content)
    assert place is not None, "the header was just written"
    atomic_write(path, content[: place.start(1)] + _digest(content, place) + content[place.end(1) :])


def read_tensors(path: Path) -> TensorFile:
    """Read a file that `write_tensors` wrote.

    Raises:
        TensorFileError: if it has no checksum, one that is wrong, or numbers that are not finite.
        OSError: if it cannot be read.
    """
    content = path.read_bytes()
    place = _DIGITS.search(content)
    if place is None:
        raise TensorFileError(_without_checksum(content))
    if _digest(content, place) != place[1]:
        raise TensorFileError("is damaged: its content is not what its checksum was taken of")
    try:
        tensors = load(content)
        check_finite(tensors)
        header = header_of(content)
        del header["sha256"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TensorFileError(f"cannot be used: {error}") from error
    return TensorFile(tensors, header)


def header_of(content: bytes) -> dict[str, Any]:
    """What is said of the tensors in a safetensors file, unchecked.

    Raises:
        KeyError, TypeError, ValueError: if it is not there.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_KEY])
    if not isinstance(header, dict):
        raise TypeError("its header is no JSON object")
    return header


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors with a number that is not finite.

    Raises:
        NotFiniteError: naming the first.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise NotFiniteError(f"{name} holds numbers that are not finite")


def is_finite(module: nn.Module) -> bool:
    """Whether all of a module's parameters and buffers are finite."""
    try:
        check_finite(module.state_dict())
    except NotFiniteError:
        return False
    return True


def _digest(content: bytes, place: re.Match[bytes]) -> bytes:
    digest, whole = hashlib.sha256(), memoryview(content)
    for part in (whole[: place.start(1)], _UNKNOWN, whole[place.end(1) :]):
        digest.update(part)
    return digest.hexdigest().encode()


def _without_checksum(content: bytes) -> str:
    try:
        load(content)
    except Exception as error:  # what is damaged fails in many ways
        return f"is damaged or not a safetensors file: {error}"
    try:
        header_of(content)
    except (KeyError, TypeError, ValueError):
        return "is a safetensors file, but none of Parley's, or its header is damaged"
    return "has no checksum: it is damaged, or older than checksums are"
