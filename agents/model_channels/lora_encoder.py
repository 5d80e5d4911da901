"""`lora_encoder`: the sender's own weights, with a LoRA, make the slots (ICAE, Ge et al., 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from parley.agents.features import positions_of
from parley.agents.model_channels.models import models_of
from parley.channels.base import ModelInterface, check_range
from parley.channels.codec import CodecConfig, Encoder
from parley.channels.latent import ContinuousChannel
from parley.channels.registry import register

PROJECTIONS = ["q_proj", "v_proj"]
FIRST_SCALE = 0.02


@dataclass(frozen=True, kw_only=True)
class LoraEncoderConfig(CodecConfig):
    """Settings of `lora_encoder`: it reads the embeddings of the prompt, and needs no standardised states.

    Args:
        rank: of the low-rank updates.
        alpha: they are scaled by alpha / rank.
    """

    depth: float = 0.0
    standardize: bool = False
    rank: int = 8
    alpha: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("rank", self.rank, 1, 1024)
        check_range("alpha", self.alpha, 1, 65536)
        if self.depth or self.standardize or self.reads != "prompt":
            raise ValueError(
                "lora_encoder runs the sender itself, on its prompt's embeddings: depth must be 0, reads "
                f"prompt and standardize False, got {self.depth}, {self.reads} and {self.standardize}"
            )


class LoraEncoder(Encoder):
    """k learned tokens after the sender's prompt; what its layers make of them are the latents.

    The model is a copy whose tensors are the sender's own: nothing is stored twice, and the sender itself
    never meets the adapters.
    """

    def __init__(self, interface: ModelInterface, config: LoraEncoderConfig, latent_width: int) -> None:
        super().__init__(interface, config, latent_width)
        sender = models_of(interface).sender.lm
        self._borrowed = _Borrowed(_adapted(sender.model.model, config))  # no module: no part of this one
        self.adapters = nn.ParameterDict({name.replace(".", "/"): p for name, p in self._lora_parameters()})
        table = sender.embedding_table
        self.slots = nn.Parameter(table[torch.randint(len(table), (config.k,))].float().clone())
        self.project = nn.Sequential(
            nn.LayerNorm(interface.state_width), nn.Linear(interface.state_width, latent_width)
        )

    def _lora_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        model = self._borrowed.model
        return ((name, weight) for name, weight in model.named_parameters() if "lora_" in name)

    def forward(self, states: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B k C"]:
        """The k latents of each utterance; the states are the embeddings of its prompt."""
        model = self._borrowed.model
        slots = self.slots.expand(len(states), -1, -1)
        whole = torch.cat([mask, torch.ones_like(mask[:, :1]).expand(-1, self.num_slots)], dim=1)
        hidden = model(
            inputs_embeds=torch.cat([states, slots], dim=1).to(model.dtype),
            attention_mask=whole.long(),
            position_ids=positions_of(whole),
            use_cache=False,
        ).last_hidden_state
        latents: Tensor = self.project(hidden[:, -self.num_slots :].float())
        return latents


class _Borrowed:
    """A model whose copies, as those of a channel that has it, share its frozen tensors."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def copied(self, memo: dict[int, Any]) -> Any:
        """The model anew, but for what is frozen in it."""
        tensors = (*self.model.parameters(), *self.model.buffers())
        memo.update((id(tensor), tensor) for tensor in tensors if not tensor.requires_grad)
        return deepcopy(self.model, memo)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Borrowed:
        return _Borrowed(self.copied(memo))


def _adapted(model: Any, config: LoraEncoderConfig) -> Any:
    """A copy of a model that shares its tensors, with adapters in it."""
    copy = _Borrowed(model).copied({})
    settings = LoraConfig(
        r=config.rank, lora_alpha=config.alpha, target_modules=PROJECTIONS, lora_dropout=0.0
    )
    inject_adapter_in_model(settings, copy)
    for name, weight in copy.named_parameters():
        if "lora_" in name:  # peft gives it the model's precision, in which small steps would be lost
            weight.data = weight.data.float()
        if "lora_B" in name:  # from zero, where peft begins, no gradient would reach the other half
            nn.init.normal_(weight, std=FIRST_SCALE)
    return copy


@register("lora_encoder")
class LoraEncoderChannel(ContinuousChannel):
    """k vectors of C numbers, made by the sender itself with a trained LoRA; its own weights stay frozen."""

    Config = LoraEncoderConfig
    modality: ClassVar[str] = "vectors"
    bits_formula: ClassVar[str] = "32 k C"

    def _make_encoder(self, config: CodecConfig, interface: ModelInterface) -> Encoder:
        assert isinstance(config, LoraEncoderConfig), "the channel's own settings"
        return LoraEncoder(interface, config, self.latent_width)
