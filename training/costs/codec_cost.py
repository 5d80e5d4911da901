"""What a codec costs: one with initial weights relays two messages, under torch's own counter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from channels.base import ChannelConfig, Ends, Prefix, Scene, Utterance
from channels.registry import channel_class

COUNTED_MESSAGES = 2


class CodecCost(NamedTuple):
    """Of one message, but for `parameters`."""

    parameters: int
    forward: float  # FLOPs
    backward: float  # FLOPs, to the codec's weights
    saved: float  # bytes that are kept for the backward pass
    slots: int  # vectors in the receiver's prompt
    latent_numbers: int  # k * C; 0 without latents
    at_start: bool


def codec_cost(name: str, config: ChannelConfig, ends: Ends, tokens: int) -> CodecCost:
    """Count a codec before it is quantised: the look-up of codes is left out.

    Args:
        name: of a channel that fills the slot with vectors.
        config: its settings.
        ends: widths at both ends; no models.
        tokens: of the sender whose states are read.

    Raises:
        ValueError: if the codec cannot be made without the models' weights, or not between such ends.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            channel = channel_class(name)(config, ends).train()
        except ValueError as error:
            raise ValueError(f"channel {name!r} cannot be estimated from configurations: {error}") from error
        utterance = _utterance(channel.state_width, tokens)
        held = {parameter.untyped_storage().data_ptr() for parameter in channel.parameters()}
        saved: dict[int, int] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in held:
                saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), flop_counter() as there:
            reception = channel.relay(utterance).reception
        assert isinstance(reception, Prefix), "those that need no models fill the slot with vectors"
        with flop_counter() as back:
            torch.autograd.backward(reception.vectors.sum())
    return CodecCost(
        parameters=sum(parameter.numel() for parameter in channel.parameters()),
        forward=there.get_total_flops() / COUNTED_MESSAGES,
        backward=back.get_total_flops() / COUNTED_MESSAGES,
        saved=sum(saved.values()) / COUNTED_MESSAGES,
        slots=channel.num_slots,
        latent_numbers=channel.num_slots * channel.latent_width,
        at_start=channel.at_start,
    )


def _utterance(width: int, tokens: int) -> Utterance:
    """Messages about nothing."""
    return Utterance(
        [""] * COUNTED_MESSAGES,
        torch.randn(COUNTED_MESSAGES, tokens, width),
        torch.ones(COUNTED_MESSAGES, tokens, dtype=torch.bool),
        Scene([["", ""]] * COUNTED_MESSAGES, torch.zeros(COUNTED_MESSAGES, dtype=torch.long)),
    )


def flop_counter() -> FlopCounterMode:
    """Torch's counter, which also counts attention on the CPU, by the formulas of the other kernels."""
    kernels = torch.ops.aten
    return FlopCounterMode(
        display=False,
        custom_mapping={
            kernels._scaled_dot_product_flash_attention_for_cpu: _attention,
            kernels._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
        },
    )


def _attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    flops: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return flops


def _attention_backward(*shapes: Any, **_: Any) -> int:
    gradient, query, key, value = shapes[:4]
    flops: int = sdpa_backward_flop_count(gradient, query, key, value)  # type: ignore[no-untyped-call]
    return flops
