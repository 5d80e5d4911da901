"""`cipher`: the sender's words as expected embeddings, before any is chosen (CIPHER, Pham et al., 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box

from parley.channels.base import (
    Channel,
    ChannelConfig,
    Message,
    ModelInterface,
    SenderFeatures,
    SoftPrompt,
    Utterance,
    check_range,
)
from parley.channels.latent import FLOAT_BITS
from parley.channels.registry import register

BOUND = 4.0  # times the embeddings' mean norm: no number of a real embedding is larger


@dataclass(frozen=True, kw_only=True)
class CipherConfig(ChannelConfig):
    """Settings of `cipher`.

    Args:
        max_tokens: longest message; what is longer is cut.
    """

    max_tokens: int = 8

    def __post_init__(self) -> None:
        check_range("max_tokens", self.max_tokens, 1, 256)


@register("cipher")
class CipherChannel(Channel):
    """What the sender would say, as the receiver's embeddings averaged by probability; training-free."""

    Config = CipherConfig
    modality: ClassVar[str] = "vectors"
    bits_formula: ClassVar[str] = "32 k E"

    def __init__(self, config: CipherConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.num_slots, self.features = config.max_tokens, SenderFeatures(of="message", what="expected")
        bound = BOUND * interface.embedding_norm
        self.message_space = Box(-bound, bound, (config.max_tokens, interface.embedding_width), np.float32)

    @classmethod
    def incompatibility(cls, interface: ModelInterface) -> str | None:
        """Two vocabularies: an expectation over the one's tokens has no meaning in the other's."""
        return None if interface.one_vocabulary else "it needs one vocabulary for sender and receiver"

    @property
    def state_width(self) -> int:
        """That of the receiver's embeddings."""
        return self.interface.embedding_width

    def send(self, utterance: Utterance) -> list[Message]:
        """B arrays (k, E), float32; rows of zeros where a shorter message has ended."""
        messages = torch.zeros(len(utterance.states), *self.message_space.shape)  # type: ignore[misc]
        said = (utterance.states * utterance.mask[..., None])[:, : self.num_slots].cpu()
        messages[:, : said.shape[1]] = said
        return list(np.clip(messages.numpy(), self.message_space.low, self.message_space.high))  # type: ignore[attr-defined]

    def receive(self, messages: Sequence[Message]) -> SoftPrompt:
        """The vectors; rows of zeros take no position."""
        vectors = torch.from_numpy(np.stack(messages))
        return SoftPrompt(vectors, mask=vectors.any(-1))

    def message_bits(self, message: Message) -> float:
        """32 bits a number."""
        return float(FLOAT_BITS * np.prod(self.message_space.shape or ()))
