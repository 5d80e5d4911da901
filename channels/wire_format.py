"""Receiver inputs as bytes, for a receiver in another process: safetensors, and never a pickle."""

from __future__ import annotations

import json
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from parley.channels.receiver_input import (
    ActivationPatch,
    CacheEntries,
    PatchMode,
    ReceiverInput,
    SoftPrompt,
    TextInput,
)

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
KINDS: dict[str, Any] = {
    "text": TextInput,
    "soft_prompt": SoftPrompt,
    "activation_patch": ActivationPatch,
    "cache_entries": CacheEntries,
}
"""Every kind that there is; its tensors cross as tensors, its other fields as JSON."""


def pack(receiver_input: ReceiverInput) -> bytes:
    """The bytes of a receiver input, its numbers exactly as they are."""
    (kind,) = (name for name, made in KINDS.items() if type(receiver_input) is made)
    fields = receiver_input._asdict()
    # a copy each: safetensors refuses tensors that share memory
    tensors = {
        name: value.cpu().clone(memory_format=torch.contiguous_format)
        for name, value in fields.items()
        if isinstance(value, Tensor)
    }
    plain = {name: value for name, value in fields.items() if name not in tensors}
    return save(tensors, {"kind": kind, "fields": json.dumps(plain)})


def unpack(data: bytes) -> ReceiverInput:
    """The receiver input of such bytes, on the CPU; the bytes are trusted in nothing.

    Raises:
        ValueError: naming what is missing, of another type or shape, or not finite.
    """
    try:
        tensors = load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        kind, plain = metadata["kind"], json.loads(metadata["fields"])
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"data must be the bytes of a receiver input: {error!r}") from error
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    _demand(isinstance(plain, dict), "fields", "a JSON object", plain)
    wanted, given = list(KINDS[kind]._fields), [*tensors, *plain]
    _demand(sorted(given) == sorted(wanted), f"fields of {kind}", f"{', '.join(wanted)}, once each", given)
    receiver_input: ReceiverInput = KINDS[kind](**tensors, **plain)
    check_receiver_input(receiver_input)
    return receiver_input


def check_receiver_input(receiver_input: ReceiverInput) -> None:
    """Refuse what no receiver could read.

    Raises:
        ValueError: naming the field, what it must be and what it is.
    """
    match receiver_input:
        case TextInput(texts):
            plain = isinstance(texts, list) and all(type(text) is str for text in texts)
            _demand(plain, "texts", "a list of strings", texts)
        case SoftPrompt(vectors, at_start, mask):
            _check_numbers("vectors", vectors, 3)
            _demand(type(at_start) is bool, "at_start", "true or false", at_start)
            _check_mask(mask, vectors.shape[:2])
        case ActivationPatch(states, depth, mode):
            _check_numbers("states", states, 2)
            number = type(depth) in (int, float) and 0 <= depth <= 1
            _demand(number, "depth", "from 0 to 1", depth)
            _demand(mode in get_args(PatchMode), "mode", f"one of {', '.join(get_args(PatchMode))}", mode)
        case CacheEntries(keys, values, mask):
            _check_numbers("keys", keys, 5)
            _check_numbers("values", values, 5)
            alike = (keys.shape, keys.dtype) == (values.shape, values.dtype)
            _demand(alike, "values", f"{keys.dtype} of shape {tuple(keys.shape)}, as keys are", values)
            _check_mask(mask, (len(keys), keys.shape[3]))
        case _:
            raise ValueError(
                f"a receiver input must be one of {', '.join(KINDS)}, got {type(receiver_input)}"
            )


def _check_numbers(name: str, tensor: Any, dimensions: int) -> None:
    real = isinstance(tensor, Tensor) and tensor.dtype in FLOATS and tensor.ndim == dimensions
    _demand(real, name, f"a tensor of {dimensions} dimensions and of 16 to 64 bits a number", tensor)
    _demand(bool(tensor.isfinite().all()), name, "finite", "infinite or undefined numbers")


def _check_mask(mask: Any, shape: tuple[int, ...]) -> None:
    fits = mask is None or (isinstance(mask, Tensor) and mask.dtype == torch.bool and mask.shape == shape)
    _demand(fits, "mask", f"none or true and false, of shape {tuple(shape)}", mask)


def _demand(kept: bool, name: str, wanted: str, got: Any) -> None:
    if not kept:
        told = f"{got.dtype} of shape {tuple(got.shape)}" if isinstance(got, Tensor) else repr(got)[:200]
        raise ValueError(f"{name} must be {wanted}, got {told}")
