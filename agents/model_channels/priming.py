"""`priming`: a prefix that never sees the message, trained as any codec is (Lester et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from gymnasium.spaces import Discrete
from peft import PromptEmbedding, PromptTuningConfig, TaskType
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
class PrimingConfig(ChannelConfig):
    """Settings of `priming`.

    Args:
        k: vectors of the prefix.
    """

    k: int = 4

    def __post_init__(self) -> None:
        check_range("k", self.k, 1, 256)


@register("priming")
class PrimingChannel(Channel):
    """Reference: peft's prompt tuning, at 0 bits: all that can be had without a message."""

    Config = PrimingConfig
    trainable = True
    role = "reference"
    train_defaults = ANSWERS_ALONE
    modality: ClassVar[str] = "none"
    bits_formula: ClassVar[str] = "0"

    def __init__(self, config: PrimingConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.num_slots, self.message_space = config.k, Discrete(1)
        tuning = PromptTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=config.k,
            token_dim=interface.embedding_width,
            num_transformer_submodules=1,
        )
        self.prompt = PromptEmbedding(tuning, None)
        with torch.no_grad():  # only the direction counts, and small steps turn short vectors best
            self.prompt.embedding.weight.copy_(functional.normalize(self.prompt.embedding.weight, dim=-1))

    def send(self, utterance: Utterance) -> list[Message]:
        """The one message of an alphabet of one."""
        return [0] * len(utterance.texts)

    def receive(self, messages: Sequence[Message]) -> SoftPrompt:
        """The same prefix for every receiver."""
        vectors = self.prompt(torch.arange(self.num_slots, device=self.device))
        vectors = functional.normalize(vectors, dim=-1) * self.interface.embedding_norm
        return SoftPrompt(vectors.expand(len(messages), -1, -1))

    def message_bits(self, message: Message) -> float:
        """log2 of an alphabet of one."""
        return 0.0
