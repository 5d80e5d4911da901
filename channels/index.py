"""`index`: the place of the target among the candidates, the cheapest cheat there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import ClassVar

import numpy as np
import torch
from gymnasium.spaces import Discrete
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from parley.channels.base import (
    ANSWERS_ALONE,
    Channel,
    ChannelConfig,
    Message,
    ModelInterface,
    SoftPrompt,
    Utterance,
    check_range,
)
from parley.channels.registry import register


@dataclass(frozen=True, kw_only=True)
class IndexConfig(ChannelConfig):
    """Settings of `index`.

    Args:
        places: N, most candidates that an episode may have; a message costs log2 N bits.
        k: vectors that stand for a place.
    """

    places: int = 5
    k: int = 4

    def __post_init__(self) -> None:
        check_range("places", self.places, 2, 26)
        check_range("k", self.k, 1, 256)


@register("index")
class IndexChannel(Channel):
    """Reference: the sender sees the receiver's list and names a place in it, in log2 N bits.

    It passes Gate 1 and means nothing: no word of it is about the target. That is why a entry is told
    of its target alone.
    """

    Config = IndexConfig
    config: IndexConfig
    trainable = True
    role = "reference"
    sees_scene = True
    train_defaults = ANSWERS_ALONE
    modality: ClassVar[str] = "codes"
    bits_formula: ClassVar[str] = "log2 N"

    def __init__(self, config: IndexConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.num_slots, self.message_space = config.k, Discrete(config.places)
        # unit vectors, which the optimiser's small steps can still turn: only their direction counts
        drawn = torch.randn(config.places, config.k, interface.embedding_width)
        self.table = nn.Parameter(functional.normalize(drawn, dim=-1))

    def _places(self, utterance: Utterance) -> Int[Tensor, " B"]:
        """Where the targets stand.

        Raises:
            ValueError: if the scene is not there, or has more candidates than there are places.
        """
        if utterance.scene is None:
            raise ValueError("index names a place among the receiver's candidates: it needs the scene")
        most = max(map(len, utterance.scene.candidates))
        if most > self.config.places:
            raise ValueError(f"places must be at least the {most} candidates, got {self.config.places}")
        return utterance.scene.targets

    def send(self, utterance: Utterance) -> list[Message]:
        """B places, 0 to N - 1."""
        return [np.int64(place) for place in self._places(utterance).tolist()]

    def receive(self, messages: Sequence[Message]) -> SoftPrompt:
        """The vectors that stand for the places."""
        places = torch.tensor([int(message) for message in messages], device=self.device)
        vectors: Float[Tensor, "B k E"] = functional.normalize(self.table[places], dim=-1)
        return SoftPrompt(vectors * self.interface.embedding_norm)

    def message_bits(self, message: Message) -> float:
        """log2 N."""
        return log2(self.config.places)
