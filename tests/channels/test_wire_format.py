"""Receiver inputs as bytes: exact there and back, and trusted in nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from parley.channels.receiver_input import ActivationPatch, CacheEntries, SoftPrompt, TextInput
from parley.channels.wire_format import pack, unpack

MASK = torch.tensor([[True, True, False], [False, False, False]])
VECTORS = torch.tensor([[-0.0, 1e-40, 65504.0, torch.pi]] * 6).reshape(2, 3, 4)
ZEROS = torch.zeros(2, 2, 1, 3, 4)


@pytest.mark.parametrize(
    "receiver_input",
    [
        TextInput(["a red cube", "☂ <|im_end|>\0", ""]),
        TextInput([]),
        SoftPrompt(VECTORS.clone().requires_grad_()),
        SoftPrompt(VECTORS[:1].expand(2, 3, 4), True, MASK),
        SoftPrompt(torch.zeros(2, 0, 4).bfloat16()),
        ActivationPatch(VECTORS[:, 0].half(), 0.1, "mean"),
        ActivationPatch(VECTORS[:, 0].double(), 1, "replace"),
        CacheEntries(ZEROS, ZEROS),  # one tensor twice, as null has it
        CacheEntries(ZEROS + 1, -ZEROS, MASK),
    ],
    ids=lambda found: type(found).__name__,
)
def test_it_arrives_as_it_was(receiver_input: Any) -> None:
    arrived = unpack(pack(receiver_input))
    assert type(arrived) is type(receiver_input)
    for sent, got in zip(receiver_input, arrived, strict=True):
        if isinstance(sent, torch.Tensor):
            assert got.dtype == sent.dtype
            assert got.shape == sent.shape
            assert got.contiguous().view(torch.uint8).equal(sent.contiguous().view(torch.uint8))
        else:
            assert got == sent
            assert type(got) is type(sent)


def altered(receiver_input: Any, *, kind: str | None = None, drop: str = "", **fields: Any) -> bytes:
    """The bytes of a receiver input of which something was changed."""
    data = pack(receiver_input)
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    plain, tensors = json.loads(metadata["fields"]), load(data)
    for name, value in fields.items():
        plain.pop(name, None)
        tensors.pop(name, None)
        (tensors if isinstance(value, torch.Tensor) else plain)[name] = value
    for every in (plain, tensors):
        every.pop(drop, None)
    return save(tensors, {"kind": kind or metadata["kind"], "fields": json.dumps(plain)})


PROMPT, PATCH = SoftPrompt(VECTORS, mask=MASK), ActivationPatch(VECTORS[:, 0], 0.5, "add")
ENTRIES = CacheEntries(ZEROS, ZEROS)
INFINITE = VECTORS.clone()
INFINITE[1, 2, 3] = torch.inf


@pytest.mark.parametrize(
    ("data", "lesson"),
    [
        (b"", "data must be the bytes of a receiver input"),
        (pack(PROMPT)[:-1], "data must be the bytes of a receiver input"),
        (pack(PROMPT) + b"\0", "data must be the bytes of a receiver input"),
        (save({"vectors": VECTORS}), "data must be the bytes of a receiver input"),
        (altered(PROMPT, kind="pickle"), "kind must be one of text, soft_prompt, .*, got 'pickle'"),
        (altered(PROMPT, drop="mask"), "fields of soft_prompt must be vectors, at_start, mask, once each"),
        (altered(PROMPT, secret=3), "fields of soft_prompt must be"),
        (altered(PROMPT, secret=torch.ones(1)), "fields of soft_prompt must be"),
        (altered(PROMPT, vectors=INFINITE), "vectors must be finite"),
        (
            altered(PROMPT, vectors=VECTORS.long()),
            "vectors must be a tensor of 3 dimensions.*got torch.int64",
        ),
        (altered(PROMPT, vectors=VECTORS[0]), r"vectors must be a tensor of 3 .* of shape \(3, 4\)"),
        (altered(PROMPT, vectors=[1.0]), "vectors must be a tensor of 3"),
        (altered(PROMPT, at_start=1), "at_start must be true or false, got 1"),
        (altered(PROMPT, mask=MASK.float()), "mask must be none or true and false"),
        (
            altered(PROMPT, mask=MASK[:1]),
            r"mask must be .* of shape \(2, 3\), got torch.bool of shape \(1, 3\)",
        ),
        (altered(PATCH, states=VECTORS), "states must be a tensor of 2 dimensions"),
        (altered(PATCH, depth=1.5), "depth must be from 0 to 1, got 1.5"),
        (altered(PATCH, depth=float("nan")), "depth must be from 0 to 1, got nan"),
        (altered(PATCH, depth=10**400), "depth must be from 0 to 1"),
        (altered(PATCH, depth="0"), "depth must be from 0 to 1, got '0'"),
        (altered(PATCH, mode="eval"), "mode must be one of replace, add, mean, got 'eval'"),
        (altered(ENTRIES, values=ZEROS[:1]), r"values must be torch.float32 of shape \(2, 2, 1, 3, 4\)"),
        (altered(ENTRIES, values=ZEROS.half()), "values must be torch.float32"),
        (altered(ENTRIES, mask=MASK[:, :2].contiguous()), "mask must be"),
        (altered(TextInput(["a"]), texts="abc"), "texts must be a list of strings, got 'abc'"),
        (altered(TextInput(["a"]), texts=["a", 1]), "texts must be a list of strings"),
    ],
    ids=lambda value: value if isinstance(value, str) else "data",  # the order of metadata differs
)
def test_anything_else_is_refused(data: bytes, lesson: str) -> None:
    with pytest.raises(ValueError, match=lesson):
        unpack(data)
