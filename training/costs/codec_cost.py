"""What a codec and the terms of its messages cost: they are run on a few, under torch's own counter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from parley.agents.flop_counter import flop_counter
from parley.channels.base import Channel, ChannelConfig, ModelInterface, Scene, SoftPrompt, Utterance
from parley.channels.registry import channel_class
from parley.envs.world import AnyWorld
from parley.training.loss import Loss, ObjectiveWeights
from parley.training.step import MessageBatch, MessageTokens

COUNTED = (2, 4, 6)  # messages: the work grows as their square at most


class Polynomial(NamedTuple):
    """What n messages cost: once + each * n + pair * n^2."""

    once: float = 0.0
    each: float = 0.0
    pair: float = 0.0

    def __call__(self, messages: int) -> float:
        """All of them together."""
        return self.once + self.each * messages + self.pair * messages**2

    @classmethod
    def through(cls, counts: Sequence[int]) -> Polynomial:
        """The one that gives what was counted of COUNTED."""
        fitted = np.linalg.solve(np.vander(COUNTED, increasing=True), counts)
        return cls(*fitted.round(1).tolist())


class CodecCost(NamedTuple):
    """Of a codec before it is quantised: the nearest codes are found, but nothing is learned from them."""

    parameters: int
    forward: Polynomial  # FLOPs of n messages
    learning: Polynomial  # FLOPs of the objectives of messages, and back to the codec's weights
    saved: float  # bytes a message that are kept for the backward pass
    slots: int  # vectors in the receiver's prompt
    at_start: bool


def codec_cost(
    name: str,
    config: ChannelConfig,
    interface: ModelInterface,
    tokens: int,
    objectives: ObjectiveWeights,
    world: AnyWorld,
    vocabulary: int,
) -> CodecCost:
    """Count a codec with initial weights.

    Args:
        name: of a channel that fills the slot with vectors.
        config: its settings.
        interface: widths at both ends; no models.
        tokens: of the sender whose states are read.
        objectives: what is asked for.
        world: what the sender sees.
        vocabulary: different tokens in all training messages.

    Raises:
        ValueError: if the codec cannot be made without the models' weights, or not between such ends.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            channel = channel_class(name)(config, interface).train()
        except ValueError as error:
            raise ValueError(f"channel {name!r} cannot be estimated from configurations: {error}") from error
        loss = Loss(objectives, channel, world)
        counted = [_count(channel, loss, tokens, vocabulary, world, size) for size in COUNTED]
    forward, learning, saved = (Polynomial.through(column) for column in zip(*counted, strict=True))
    parameters = sum(parameter.numel() for parameter in channel.parameters())
    return CodecCost(parameters, forward, learning, saved.each, channel.num_slots, channel.at_start)


def _count(
    channel: Channel, loss: Loss, tokens: int, vocabulary: int, world: AnyWorld, size: int
) -> tuple[int, int, int]:
    """FLOPs of messages there, and of their objectives and back to the weights; bytes kept in between."""
    held = {parameter.untyped_storage().data_ptr() for parameter in channel.parameters()}
    saved: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    scene = Scene([["", ""]] * size, torch.zeros(size, dtype=torch.long))
    mask = torch.ones(size, tokens, dtype=torch.bool)
    utterance = Utterance([""] * size, torch.randn(size, tokens, channel.state_width), mask, scene)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), flop_counter() as there:
        output = channel.relay(utterance)
    assert isinstance(output.receiver_input, SoftPrompt), "those that need no models fill the slot"
    batch = MessageBatch(
        utterance=utterance,
        output=output,
        pooled=channel.pooled(utterance),
        sender_views=torch.zeros(size, len(world.num_values), dtype=torch.long),
        tokens=MessageTokens(
            torch.ones(vocabulary, channel.interface.embedding_width),
            torch.ones(size, channel.num_slots, vocabulary),
        ),
    )
    with flop_counter() as back:
        terms = loss.of_messages(batch).values()
        torch.autograd.backward(sum(terms, start=output.receiver_input.vectors.sum()))
    return there.get_total_flops(), back.get_total_flops(), sum(saved.values())
