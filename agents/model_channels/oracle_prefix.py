"""`oracle_prefix`: for each episode the prefix that gradient finds, towards the ceiling of the slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from parley.agents.model_channels.models import models_of
from parley.agents.receiver import Receiver
from parley.channels.base import (
    Channel,
    ChannelConfig,
    Message,
    ModelInterface,
    SoftPrompt,
    Utterance,
    check_range,
)
from parley.channels.latent import FLOAT_BITS
from parley.channels.registry import register


@dataclass(frozen=True, kw_only=True)
class OraclePrefixConfig(ChannelConfig):
    """Settings of `oracle_prefix`.

    Args:
        k: vectors of the prefix.
        steps: of Adam, for each episode.
        learning_rate: Adam's, for unit vectors.
    """

    k: int = 4
    steps: int = 20
    learning_rate: float = 0.05

    def __post_init__(self) -> None:
        check_range("k", self.k, 1, 256)
        check_range("steps", self.steps, 1, 100_000)
        check_range("learning_rate", self.learning_rate, 0)


@register("oracle_prefix")
class OraclePrefixChannel(Channel):
    """Reference: sees what the receiver sees, and fits the prefix to each episode by gradient.

    It bounds the slot's ceiling from below: more steps come nearer to it.
    """

    Config = OraclePrefixConfig
    config: OraclePrefixConfig
    role = "reference"
    sees_scene = True
    modality: ClassVar[str] = "vectors"
    bits_formula: ClassVar[str] = "32 k E"

    def __init__(self, config: OraclePrefixConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.num_slots, norm = config.k, interface.embedding_norm
        models_of(interface)  # refused here, not at the first message
        self.message_space = Box(-norm, norm, (config.k, interface.embedding_width), np.float32)

    @property
    def receiver(self) -> Receiver:
        """To whom the prefixes are fitted; kept with the ends, so that a copied channel copies no model."""
        return models_of(self.interface).receiver

    @torch.enable_grad()
    def send(self, utterance: Utterance) -> list[Message]:
        """B arrays (k, E), float32, each vector as long as a real embedding.

        Raises:
            ValueError: if the scene is not there.
        """
        scene = utterance.scene
        if scene is None:
            raise ValueError("oracle_prefix is fitted to what the receiver sees: it needs the scene")
        with torch.no_grad():
            context = self.receiver.read(scene.candidates)
        directions = self._start(len(scene.candidates)).requires_grad_()
        optimizer = torch.optim.Adam([directions], lr=self.config.learning_rate)
        for _ in range(self.config.steps):
            optimizer.zero_grad()
            logits = self.receiver.choose(context, SoftPrompt(self._vectors(directions)))
            loss = functional.cross_entropy(logits, scene.targets.to(logits.device), reduction="sum")
            directions.grad = torch.autograd.grad(loss, directions)[0]
            optimizer.step()
        return list(self._vectors(directions).detach().cpu().numpy())

    def _start(self, batch: int) -> Float[Tensor, "B k E"]:
        """The same directions, drawn once by chance, for every episode."""
        device = self.receiver.lm.device
        drawn = torch.randn(
            self.num_slots, self.interface.embedding_width, generator=torch.Generator().manual_seed(0)
        )
        return functional.normalize(drawn, dim=-1).to(device).repeat(batch, 1, 1)

    def _vectors(self, directions: Float[Tensor, "B k E"]) -> Float[Tensor, "B k E"]:
        return functional.normalize(directions, dim=-1) * self.interface.embedding_norm

    def receive(self, messages: Sequence[Message]) -> SoftPrompt:
        """The vectors, as they were sent."""
        return SoftPrompt(torch.from_numpy(np.stack(messages)))

    def message_bits(self, message: Message) -> float:
        """32 bits a number."""
        return float(FLOAT_BITS * np.prod(self.message_space.shape or ()))
