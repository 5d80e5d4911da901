"""`activation`: one state of the sender, patched into a layer of the receiver (Ramesh and Li, 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from gymnasium.spaces import Box

from parley.channels.base import (
    ActivationPatch,
    Channel,
    ChannelConfig,
    Message,
    ModelInterface,
    SenderFeatures,
    Utterance,
    check_range,
    last_state,
)
from parley.channels.latent import FLOAT_BITS
from parley.channels.receiver_input import PatchMode
from parley.channels.registry import register

LARGEST = 65504.0  # of 16-bit floats, which hold the states of every model there is


@dataclass(frozen=True, kw_only=True)
class ActivationConfig(ChannelConfig):
    """Settings of `activation`.

    Args:
        sender_depth: which of the sender's layers is read, from 0 (embeddings) to 1 (last).
        receiver_depth: into which of the receiver's layers its result goes, from 0 (first) to 1 (last).
        mode: whether it takes the place of what stands there, is added to it, or averaged with it.
        reads: the sender's last state over its `prompt`, or over the `message` it says.
    """

    sender_depth: float = 0.5
    receiver_depth: float = 0.5
    mode: PatchMode = "replace"
    reads: Literal["prompt", "message"] = "message"

    def __post_init__(self) -> None:
        check_range("sender_depth", self.sender_depth, 0, 1)
        check_range("receiver_depth", self.receiver_depth, 0, 1)


@register("activation")
class ActivationChannel(Channel):
    """The sender's last state, put where the receiver is about to answer; training-free."""

    Config = ActivationConfig
    config: ActivationConfig
    modality: ClassVar[str] = "states"
    bits_formula: ClassVar[str] = "32 D"
    num_slots = 0

    def __init__(self, config: ActivationConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.features = SenderFeatures(config.sender_depth, config.reads)
        self.message_space = Box(-LARGEST, LARGEST, (interface.state_width,), np.float32)

    @classmethod
    def incompatibility(cls, interface: ModelInterface) -> str | None:
        """Two widths: nothing here is learned that could join them."""
        if interface.state_width == interface.embedding_width:
            return None
        return f"it needs models of one width, got {interface.state_width} and {interface.embedding_width}"

    def send(self, utterance: Utterance) -> list[Message]:
        """B arrays (D,), float32."""
        states = last_state(utterance.states, utterance.mask).float().cpu().numpy()
        return list(np.clip(states, -LARGEST, LARGEST))

    def receive(self, messages: Sequence[Message]) -> ActivationPatch:
        """The states, and where they are patched."""
        return self._graft(torch.from_numpy(np.stack(messages)))

    def null_input(self, batch: int) -> ActivationPatch:
        """A state of zeros for each of `batch` receivers."""
        return self._graft(torch.zeros(batch, self.interface.state_width))

    def _graft(self, states: torch.Tensor) -> ActivationPatch:
        return ActivationPatch(states, self.config.receiver_depth, self.config.mode)

    def message_bits(self, message: Message) -> float:
        """32 bits a number."""
        return float(FLOAT_BITS * self.interface.state_width)
