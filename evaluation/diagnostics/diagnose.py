"""Diagnostics of one entry: what its messages look like, and what they tell about referents.

They explain a verdict and do not decide it. Everything is measured in eval mode on what crosses the wire.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import MultiDiscrete
from jaxtyping import Int
from torch import Tensor

from parley.agents.pair import Pair
from parley.channels.base import Channel, Message, ReceiverInput, SoftPrompt
from parley.channels.diagnostics import (
    codes_in_use,
    effective_rank,
    norm_ratio,
    normalized_mutual_information,
    perplexity,
    prefix_cosine,
    topographic_similarity,
)
from parley.envs.world import AnyWorld, Referents
from parley.evaluation.aggregation.nll import nll_by_condition

__all__ = ["Spoken", "diagnose", "diagnosed_referents", "nll_by_condition", "speak_of"]

MOST_REFERENTS = 1024
REFERENTS_AT_ONCE = 256
NUM_SHUFFLES = 10
LONGEST_TEXT = 1024  # characters; comparing takes the square of that


class Spoken(NamedTuple):
    """What crosses a channel about n referents, and what n receivers would get."""

    referents: Referents  # (n, A)
    messages: list[Message]
    receiver_input: ReceiverInput
    codes: Int[Tensor, "n m"] | None  # where the message space is a MultiDiscrete
    codebook_size: int  # most values a code has, 0 without codes
    codes_per_slot: int = 1  # neighbours in a message


def diagnosed_referents(world: AnyWorld) -> Referents:
    """The test referents (n, A), or of more than 1,024 always the same ones."""
    referents = world.referents("test")
    if len(referents) <= MOST_REFERENTS:
        return referents
    chosen = np.random.default_rng(0).choice(len(referents), MOST_REFERENTS, replace=False)
    return referents[np.sort(chosen)]


@torch.no_grad()
def speak_of(pair: Pair, channel: Channel, referents: Referents) -> Spoken:
    """Send one message about each referent (n, A) and receive it.

    Raises:
        ValueError: if the channel is in training mode.
    """
    if channel.training:
        raise ValueError(f"channel {channel.name!r} must be in eval mode to be diagnosed, got training mode")
    messages: list[Message] = []
    for start in range(0, len(referents), REFERENTS_AT_ONCE):
        utterance = pair.speak(channel, referents[start : start + REFERENTS_AT_ONCE])
        messages += channel.send(utterance)
    space, codes, codebook_size = channel.message_space, None, 0
    if isinstance(space, MultiDiscrete):
        codes = torch.from_numpy((np.stack(messages) - space.start).astype(np.int64)).flatten(1)
        codebook_size = int(space.nvec.max())
    receiver_input = channel.receive(messages)
    return Spoken(referents, messages, receiver_input, codes, codebook_size, channel.codes_per_slot)


def diagnose(pair: Pair, channel: Channel, referents: Referents) -> dict[str, Any]:
    """Measure a channel on what it says of referents.

    Args:
        pair: who speaks and listens.
        channel: in eval mode.
        referents: (n, A), n at least 2.

    Returns:
        Strict JSON as described in docs/results_schema.md, `diagnostics.<name>`: what is undefined or does
        not apply is None.

    Raises:
        ValueError: if the channel is in training mode or there are fewer than 2 referents.
    """
    spoken = speak_of(pair, channel, referents)
    messages = _comparable(spoken)
    meanings = torch.from_numpy(referents)
    similarity = None if messages is None else topographic_similarity(meanings, messages)
    return {
        "num_referents": len(referents),
        "distinct_messages": len({_key(message) for message in spoken.messages}),
        "topographic_similarity": _known(similarity),
        "prefix": _prefix(spoken.receiver_input, pair.interface.embedding_norm),
        "codes": _codes(spoken, pair.world),
    }


def _prefix(receiver_input: ReceiverInput, embedding_norm: float) -> dict[str, float | None] | None:
    """What is measured on vectors; None where text is received, or nothing."""
    if not isinstance(receiver_input, SoftPrompt) or not receiver_input.vectors.numel():
        return None
    vectors = receiver_input.vectors.float().cpu()
    return {
        "cosine": _known(prefix_cosine(vectors)),
        "effective_rank": _known(effective_rank(vectors)),
        "norm_ratio": _known(norm_ratio(vectors, embedding_norm)),
    }


def _codes(spoken: Spoken, world: AnyWorld) -> dict[str, Any] | None:
    """What is measured on codes, one by one and all together; None for other messages."""
    codes, size = spoken.codes, spoken.codebook_size
    if codes is None:
        return None
    slots = codes.unbind(1)
    values = torch.from_numpy(spoken.referents)
    order = torch.Generator().manual_seed(0)
    shuffles = [torch.randperm(len(values), generator=order) for _ in range(NUM_SHUFFLES)]
    by_chance = torch.tensor([_information(slots, values[shuffle]) for shuffle in shuffles]).mean(0)
    return {
        "codebook_size": size,
        "codes_per_slot": spoken.codes_per_slot,
        "perplexity": perplexity(codes, size),
        "in_use": codes_in_use(codes, size),
        "slot_perplexity": [perplexity(slot, size) for slot in slots],
        "slot_in_use": [codes_in_use(slot, size) for slot in slots],
        "attributes": [name for name, _ in world.facts(spoken.referents[0])],
        "nmi": [[_known(cell) for cell in row] for row in _information(slots, values)],
        "nmi_by_chance": [[_known(cell) for cell in row] for row in by_chance.tolist()],
    }


def _information(slots: Sequence[Tensor], values: Int[Tensor, "n A"]) -> list[list[float]]:
    """Normalised mutual information of every slot (k) with every attribute (A)."""
    return [[normalized_mutual_information(slot, column) for column in values.unbind(1)] for slot in slots]


def _comparable(spoken: Spoken) -> Tensor | list[str] | None:
    """Messages as topographic similarity takes them; None where no distance is agreed on."""
    if all(isinstance(message, str) for message in spoken.messages):
        return spoken.messages if max(map(len, spoken.messages)) <= LONGEST_TEXT else None
    if not all(isinstance(message, np.ndarray | np.integer | int) for message in spoken.messages):
        return None
    stacked = np.stack([np.asarray(message) for message in spoken.messages])
    return torch.from_numpy(stacked.astype(np.float64 if stacked.dtype.kind == "f" else np.int64))


def _key(message: Message) -> Any:
    """What tells messages apart."""
    return message.tobytes() if isinstance(message, np.ndarray) else repr(message)


def _known(value: float | None) -> float | None:
    """A number, or None where it is undefined."""
    return None if value is None or math.isnan(value) else value
