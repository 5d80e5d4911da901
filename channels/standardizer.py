"""Statistics of the sender's states, by which a codec centres and scales what it reads."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from parley.channels.base import ModelInterface, last_place


class Standardizer(nn.Module):
    """Centres and scales states per position and dimension, by statistics the checkpoint keeps."""

    def __init__(self, interface: ModelInterface) -> None:
        super().__init__()
        shape = (interface.num_positions, interface.state_width)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    @torch.no_grad()
    def calibrate(self, states: Float[Tensor, "n T D"], mask: Bool[Tensor, "n T"]) -> None:
        """Take mean and standard deviation over n utterances; positions that nobody uses stay at 0, 1.

        Raises:
            ValueError: if the utterances are longer than the codec reads, or all alike.
        """
        tokens = self._num_tokens(states)
        weight = mask[..., None].double()
        count = weight.sum(0).clamp(min=1)
        mean = (states.double() * weight).sum(0) / count
        variance = ((states.double() - mean).square() * weight).sum(0) / count
        # a position that always reads the same carries nothing: keep its rounding noise small
        floor = variance.mean().sqrt() * 1e-2
        if not floor > 0:
            raise ValueError(f"calibration needs utterances whose states differ, got {len(states)} alike")
        used = mask.any(0)[:, None]
        self.mean[:tokens] = mean.to(self.mean)
        self.scale[:tokens] = torch.where(used, variance.sqrt() + floor, 1.0).to(self.scale)

    def forward(self, states: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Standardised states, in the codec's precision.

        Raises:
            ValueError: if they are longer than the codec reads.
        """
        tokens = self._num_tokens(states)
        return (states.to(self.mean.dtype) - self.mean[:tokens]) / self.scale[:tokens]

    def last(self, states: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
        """The standardised state of each utterance's last token.

        Raises:
            ValueError: if they are longer than the codec reads.
        """
        self._num_tokens(states)
        place = last_place(mask)
        state = states[torch.arange(len(states), device=states.device), place]
        return (state.to(self.mean.dtype) - self.mean[place]) / self.scale[place]

    def _num_tokens(self, states: Float[Tensor, "B T D"]) -> int:
        if states.shape[1] > len(self.mean):
            raise ValueError(f"states must cover at most {len(self.mean)} tokens, got {states.shape[1]}")
        return states.shape[1]
