"""All that a receiver gets in one pass: for prefixes that stand at the start, and as the plain reference."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from parley.agents.features import positions_of
from parley.agents.injection import patched
from parley.agents.prompted_model import all_of
from parley.channels.base import ActivationPatch, ReceiverInput, SoftPrompt

if TYPE_CHECKING:
    from parley.agents.receiver import Receiver


def full_pass(
    receiver: Receiver,
    ids: Int[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    receiver_input: ReceiverInput,
    *,
    after: Int[Tensor, "B L"] | None = None,
    cache: DynamicCache | None = None,
) -> tuple[Float[Tensor, "B A D"], Bool[Tensor, "B A"]]:
    """Final states of B prompts with their messages in the slot or at the start, and which positions count.

    Args:
        receiver: whose model is run.
        ids: tokens before the slot, padded on the left.
        mask: which of them count.
        receiver_input: of B messages.
        after: tokens of the answers, padded on the right; by default none.
        cache: filled with keys and values, if there is one.

    Raises:
        ValueError: if a prefix has another width than the model, all of it is too long, or entries of the
            cache are given, which no full pass can hold.
    """
    patch: AbstractContextManager[None] = nullcontext()
    spoken = ids.new_zeros(len(ids), 0) if after is None else after
    if isinstance(receiver_input, ActivationPatch):
        patch = patched(receiver.lm.model.model, receiver_input, place=-1 - spoken.shape[1])
        receiver_input = receiver.nothing(receiver_input)
    slot = receiver.fill(receiver_input)
    parts = [(receiver.embed_ids(ids), mask), (slot.vectors, slot.mask)]
    if isinstance(receiver_input, SoftPrompt) and receiver_input.at_start:
        parts.reverse()  # padding between prefix and prompt is masked, and takes no position
    tail = torch.cat([receiver.embed_tail(len(ids)), receiver.embed_ids(spoken)], dim=1)
    vectors, masks = zip(*parts, (tail, all_of(tail)), strict=True)
    whole = torch.cat(masks, dim=1)
    receiver.check_length(whole.shape[1])
    with patch:
        states = receiver.run(torch.cat(vectors, dim=1), whole.long(), positions_of(whole), cache)
    return states, whole


def hear_uncached(
    receiver: Receiver,
    candidates: Sequence[Sequence[str]],
    receiver_input: ReceiverInput,
    after: Int[Tensor, "B L"] | None = None,
) -> Float[Tensor, "B L_1 D"]:
    """Final states where answers begin, and over L tokens of each answer, in one full pass.

    Args:
        receiver: who hears.
        candidates: B lists of descriptions.
        receiver_input: of B messages.
        after: tokens of the answers, padded on the right; by default none.
    """
    rows = [receiver.shown + receiver.before(descriptions) for descriptions in candidates]
    states, _ = full_pass(receiver, *receiver.lm.left_pad(rows), receiver_input, after=after)
    return states[:, -1 - (0 if after is None else after.shape[1]) :]
