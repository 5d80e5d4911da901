"""`binary`: every slot sends b bits, and each bit is the sign of one number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium.spaces import MultiDiscrete

from parley.channels import register
from parley.channels.base import Message, ModelInterface, SoftPrompt, Utterance, check_range
from parley.channels.codec import CodecConfig
from parley.channels.latent import Encoding, LatentChannel


@dataclass(frozen=True, kw_only=True)
class BinaryConfig(CodecConfig):
    """Settings of `binary`."""

    bits_per_slot: int = 6  # b; a message costs k * b bits

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("bits_per_slot", self.bits_per_slot, 1, 64)


@register("binary")
class BinaryChannel(LatentChannel):
    """k slots of b bits, each the sign of a number."""

    Config = BinaryConfig
    modality, bits_formula = "codes", "k b"

    def __init__(self, config: BinaryConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface, latent_width=config.bits_per_slot)
        self.message_space = MultiDiscrete([2] * (config.k * config.bits_per_slot))

    def encode(self, utterance: Utterance) -> Encoding:
        """Signs, with the gradient of the numbers they are taken of (Bengio et al., 2013)."""
        numbers = torch.tanh(self.encoder(utterance.states, utterance.mask))
        signs = torch.where(numbers > 0, 1.0, -1.0)
        return Encoding(signs + (numbers - numbers.detach()), {})

    @torch.no_grad()
    def send(self, utterance: Utterance) -> list[Message]:
        """B arrays (k * b,) of 0 and 1."""
        signs = self.encode(utterance).latents.flatten(1)
        return list((signs > 0).long().cpu().numpy())

    def receive(self, messages: Sequence[Message]) -> SoftPrompt:
        """The prefix that the decoder makes of the signs."""
        signs = 2.0 * torch.from_numpy(np.stack(messages)).to(self.device) - 1.0
        return self.decode(signs.unflatten(1, (self.num_slots, self.latent_width)))

    def message_bits(self, message: Message) -> float:
        """A bit is a bit."""
        return float(len(message))
