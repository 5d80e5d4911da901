"""What a codec and the terms of its messages cost: they are run on a few, under torch's own counter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from parley.agents.flop_counter import flop_counter
from parley.channels.base import (
    Channel,
    ChannelConfig,
    ChannelOutput,
    ModelInterface,
    Scene,
    SoftPrompt,
    Utterance,
)
from parley.channels.registry import channel_class
from parley.envs.world import AnyWorld
from parley.training.loss import ObjectiveWeights
from parley.training.objective import OBJECTIVES, of_messages
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
    def through(cls, counts: list[int]) -> Polynomial:
        """The one that gives what was counted of COUNTED."""
        fitted = np.linalg.solve(np.vander(COUNTED, increasing=True), counts)
        return cls(*fitted.round(6).tolist())


class CodecCost(NamedTuple):
    """Of a codec before it is quantised: the look-up of codes is left out."""

    parameters: int
    forward: Polynomial  # FLOPs
    backward: Polynomial  # FLOPs, to the codec's weights
    saved: float  # bytes a message that are kept for the backward pass
    terms: Polynomial  # FLOPs of the objectives of messages, there and back
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
        objectives: what is asked of messages.
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
        utterances = [_utterance(channel.state_width, tokens, size) for size in COUNTED]
        counts = [_relay(channel, utterance) for utterance in utterances]
        forward, backward, saved = (list(column) for column in zip(*counts, strict=True))
        terms = [_terms(channel, each, objectives, world, vocabulary) for each in utterances]
    return CodecCost(
        parameters=sum(parameter.numel() for parameter in channel.parameters()),
        forward=Polynomial.through(forward),
        backward=Polynomial.through(backward),
        saved=Polynomial.through(saved).each,
        terms=Polynomial.through(terms),
        slots=channel.num_slots,
        at_start=channel.at_start,
    )


def _relay(channel: Channel, utterance: Utterance) -> tuple[int, int, int]:
    """FLOPs there and back to the weights, and bytes kept in between."""
    held = {parameter.untyped_storage().data_ptr() for parameter in channel.parameters()}
    saved: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        receiver_input, there = _flops(lambda: channel.relay(utterance).receiver_input)
    assert isinstance(receiver_input, SoftPrompt), "those that need no models fill the slot with vectors"
    _, back = _flops(receiver_input.vectors.sum().backward)
    return there, back, sum(saved.values())


def _terms(
    channel: Channel, utterance: Utterance, objectives: ObjectiveWeights, world: AnyWorld, vocabulary: int
) -> int:
    """FLOPs of the objectives of messages, there and back to what came through the channel."""
    output, size = channel.relay(utterance), len(utterance.texts)
    assert isinstance(output.receiver_input, SoftPrompt), "as above"
    vectors = output.receiver_input.vectors.detach().requires_grad_()
    latents = None if output.latents is None else output.latents.detach().requires_grad_()
    width = channel.interface.embedding_width
    batch = MessageBatch(
        utterance=utterance,
        output=ChannelOutput(output.receiver_input._replace(vectors=vectors), {}, latents),
        pooled=channel.pooled(utterance).detach(),
        sender_views=torch.zeros(size, len(world.num_values), dtype=torch.long),
        tokens=MessageTokens(torch.ones(vocabulary, width), torch.ones(size, channel.num_slots, vocabulary)),
    )
    made = {name: OBJECTIVES.find(name) for name in objectives.weights}
    total = 0
    for name, kind in made.items():
        if of_messages(kind.needs):
            objective = kind(objectives.config_of(name), channel, world)
            value, there = _flops(partial(objective, batch))
            total += there + (_flops(value.backward)[1] if value.requires_grad else 0)
    return total


def _flops(work: Callable[[], Any]) -> tuple[Any, int]:
    with flop_counter() as counter:
        made = work()
    return made, counter.get_total_flops()


def _utterance(width: int, tokens: int, size: int) -> Utterance:
    """Messages about nothing."""
    return Utterance(
        [""] * size,
        torch.randn(size, tokens, width),
        torch.ones(size, tokens, dtype=torch.bool),
        Scene([["", ""]] * size, torch.zeros(size, dtype=torch.long)),
    )
