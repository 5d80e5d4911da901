"""What a codec costs: one with initial weights relays a few messages, under torch's own counter."""

from __future__ import annotations

from typing import NamedTuple

import torch

from parley.agents.flop_counter import flop_counter
from parley.channels.base import Channel, ChannelConfig, ModelInterface, Scene, SoftPrompt, Utterance
from parley.channels.registry import channel_class

FEW, MORE = 2, 4  # messages that are counted, to tell what each costs from what all cost together


class CodecCost(NamedTuple):
    """Of one message, and what any number of them costs once."""

    parameters: int
    forward: float  # FLOPs
    backward: float  # FLOPs, to the codec's weights
    saved: float  # bytes that are kept for the backward pass
    forward_once: float  # FLOPs, whatever the number of messages
    backward_once: float
    slots: int  # vectors in the receiver's prompt
    latent_numbers: int  # k * C; 0 without latents
    at_start: bool


def codec_cost(name: str, config: ChannelConfig, interface: ModelInterface, tokens: int) -> CodecCost:
    """Count a codec before it is quantised: the look-up of codes is left out.

    Args:
        name: of a channel that fills the slot with vectors.
        config: its settings.
        interface: widths at both ends; no models.
        tokens: of the sender whose states are read.

    Raises:
        ValueError: if the codec cannot be made without the models' weights, or not between such ends.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            channel = channel_class(name)(config, interface).train()
        except ValueError as error:
            raise ValueError(f"channel {name!r} cannot be estimated from configurations: {error}") from error
        few, more = (_count(channel, _utterance(channel.state_width, tokens, size)) for size in (FEW, MORE))
    forward, backward, saved = ((b - a) / (MORE - FEW) for a, b in zip(few, more, strict=True))
    return CodecCost(
        parameters=sum(parameter.numel() for parameter in channel.parameters()),
        forward=forward,
        backward=backward,
        saved=saved,
        forward_once=few.forward - FEW * forward,
        backward_once=few.backward - FEW * backward,
        slots=channel.num_slots,
        latent_numbers=channel.num_slots * channel.latent_width,
        at_start=channel.at_start,
    )


class _Counted(NamedTuple):
    """FLOPs there and back, and bytes kept in between."""

    forward: int
    backward: int
    saved: int


def _count(channel: Channel, utterance: Utterance) -> _Counted:
    """Relay messages and go back to the weights."""
    held = {parameter.untyped_storage().data_ptr() for parameter in channel.parameters()}
    saved: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), flop_counter() as there:
        receiver_input = channel.relay(utterance).receiver_input
    assert isinstance(receiver_input, SoftPrompt), "those that need no models fill the slot with vectors"
    with flop_counter() as back:
        torch.autograd.backward(receiver_input.vectors.sum())
    return _Counted(there.get_total_flops(), back.get_total_flops(), sum(saved.values()))


def _utterance(width: int, tokens: int, size: int) -> Utterance:
    """Messages about nothing."""
    return Utterance(
        [""] * size,
        torch.randn(size, tokens, width),
        torch.ones(size, tokens, dtype=torch.bool),
        Scene([["", ""]] * size, torch.zeros(size, dtype=torch.long)),
    )
