"""`kv`: the sender's keys and values, projected into the receiver's cache (after C2C, Fu et al., 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import Box
from jaxtyping import Bool, Float
from torch import Tensor, nn

from parley.agents.language_model import FrozenLM
from parley.agents.model_channels.models import models_of
from parley.channels.base import (
    ANSWERS_ALONE,
    CacheEntries,
    Channel,
    ChannelConfig,
    ChannelOutput,
    Message,
    ModelInterface,
    SenderFeatures,
    Utterance,
    check_range,
)
from parley.channels.latent import FLOAT_BITS
from parley.channels.registry import register
from parley.channels.standardizer import Standardizer

BOUND = 8.0  # standard deviations
FIRST_BEND = 1e-4


class CacheShape(NamedTuple):
    """What one token leaves in a model's cache: keys and values of all layers."""

    layers: int
    heads: int
    head_width: int

    @classmethod
    def of(cls, lm: FrozenLM) -> CacheShape:
        """That of a model."""
        config = lm.model.config
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return cls(config.num_hidden_layers, config.num_key_value_heads, width)

    @property
    def width(self) -> int:
        """F, numbers a token."""
        return 2 * prod(self)


@dataclass(frozen=True, kw_only=True)
class KvConfig(ChannelConfig):
    """Settings of `kv`.

    Args:
        max_tokens: most tokens of the sender's message whose cache crosses.
        hidden_width: of each layer's projection.
    """

    max_tokens: int = 8
    hidden_width: int = 128

    def __post_init__(self) -> None:
        check_range("max_tokens", self.max_tokens, 1, 256)
        check_range("hidden_width", self.hidden_width, 1, 65536)


class LayerProjection(nn.Module):
    """One layer of the sender's cache to one of the receiver's: a linear map and a hidden layer's correction.

    The correction begins next to nothing. Where both are of one shape the linear map begins as the identity:
    the receiver gets what the sender had.
    """

    def __init__(self, incoming: int, outgoing: int, hidden: int) -> None:
        super().__init__()
        self.straight = nn.Linear(incoming, outgoing)
        last = nn.Linear(hidden, outgoing)
        nn.init.normal_(last.weight, std=FIRST_BEND)  # from zero no gradient would reach the hidden layer
        nn.init.zeros_(last.bias)
        self.bend = nn.Sequential(nn.Linear(incoming, hidden), nn.GELU(), last)
        if incoming == outgoing:
            nn.init.eye_(self.straight.weight)
            nn.init.zeros_(self.straight.bias)

    def forward(self, entries: Float[Tensor, "B k F"]) -> Float[Tensor, "B k G"]:
        """Keys and values of the receiver's layer."""
        projected: Tensor = self.straight(entries) + self.bend(entries)
        return projected


@register("kv")
class KvChannel(Channel):
    """Keys and values of what the sender says, all layers; projections a layer are learned."""

    Config = KvConfig
    config: KvConfig
    trainable = True
    train_defaults = ANSWERS_ALONE
    modality: ClassVar[str] = "cache"
    bits_formula: ClassVar[str] = "32 k F"

    def __init__(self, config: KvConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        models = models_of(interface)
        self.sent, self.got = CacheShape.of(models.sender.lm), CacheShape.of(models.receiver.lm)
        self.num_slots, self.features = config.max_tokens, SenderFeatures(of="message", what="cache")
        self.message_space = Box(-BOUND, BOUND, (config.max_tokens, self.sent.width), np.float32)
        if config.max_tokens > interface.num_positions:
            raise ValueError(
                f"max_tokens must be at most the sender's {interface.num_positions}, got {config.max_tokens}"
            )
        self.standardize = Standardizer(replace(interface, state_width=self.sent.width))
        incoming, outgoing = self.sent.width // self.sent.layers, self.got.width // self.got.layers
        self.projections = nn.ModuleList(
            LayerProjection(incoming, outgoing, config.hidden_width) for _ in range(self.got.layers)
        )

    @property
    def state_width(self) -> int:
        """F, what a token leaves in the sender's cache."""
        return self.sent.width

    def calibrate(self, utterance: Utterance, vocabulary: Float[Tensor, "V E"]) -> None:
        """Learn the statistics of the sender's cache over training referents."""
        self.standardize.calibrate(utterance.states, utterance.mask)

    def relay(self, utterance: Utterance) -> ChannelOutput:
        """Project with gradient."""
        entries = self._entries(utterance)
        return ChannelOutput(self._remember(entries), {}, messages=list(entries.cpu().numpy()))

    def send(self, utterance: Utterance) -> list[Message]:
        """B arrays (k, F), float32, in standard deviations; rows of zeros after a shorter message."""
        return list(self._entries(utterance).cpu().numpy())

    @torch.no_grad()
    def _entries(self, utterance: Utterance) -> Float[Tensor, "B k F"]:
        """What crosses: the standardised cache, clipped, of the first k tokens."""
        states = self.standardize(utterance.states)[:, : self.num_slots].clamp(-BOUND, BOUND)
        entries: Tensor = states.new_zeros(len(states), self.num_slots, self.sent.width)
        entries[:, : states.shape[1]] = states * utterance.mask[:, : self.num_slots, None]
        return entries

    def receive(self, messages: Sequence[Message]) -> CacheEntries:
        """The entries of the receiver's cache; rows of zeros take no position."""
        return self._remember(torch.from_numpy(np.stack(messages)).to(self.device))

    def _remember(self, entries: Float[Tensor, "B k F"]) -> CacheEntries:
        kept: Bool[Tensor, "B k"] = entries.any(-1)
        batch, tokens, _ = entries.shape
        raw = entries * self.standardize.scale[:tokens] + self.standardize.mean[:tokens]
        layers = raw.reshape(batch, tokens, 2, self.sent.layers, -1).permute(3, 0, 1, 2, 4).flatten(3)
        made = [
            project(layers[number * self.sent.layers // self.got.layers])
            for number, project in enumerate(self.projections)
        ]
        both = torch.stack(made, dim=1).reshape(batch, len(made), tokens, 2, self.got.heads, -1)
        keys, values = both.transpose(2, 4).unbind(3)
        return CacheEntries(keys, values, kept)

    def null_input(self, batch: int) -> CacheEntries:
        """Entries of true zeros, k in every layer, for each of `batch` receivers."""
        layers, heads, width = self.got
        zeros = torch.zeros(batch, layers, heads, self.num_slots, width, device=self.device)
        return CacheEntries(zeros, zeros)

    def message_bits(self, message: Message) -> float:
        """32 bits a number."""
        return float(FLOAT_BITS * self.num_slots * self.sent.width)
