"""What some objectives need beside the codec: layers that guess from its latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from parley.channels.base import Channel


class Heads(nn.Module):
    """Guesses of what was meant, from the latents alone.

    Args:
        channel: whose latents (k, C) are read.
        num_values: values of each attribute.
        wanted: which of `attributes` and `state_reconstruction` are trained; the others have no parameters.

    Raises:
        ValueError: if a channel without latents should be guessed from.
    """

    def __init__(self, channel: Channel, num_values: Sequence[int], wanted: Sequence[str]) -> None:
        super().__init__()
        asked = [name for name in ("attributes", "state_reconstruction") if name in wanted]
        if asked and not channel.latent_width:
            raise ValueError(f"{asked[0]} needs a channel with latents, and {channel.name!r} has none")
        self._num_values = list(num_values)
        width = channel.num_slots * channel.latent_width
        self._attributes = nn.Linear(width, sum(num_values)) if "attributes" in wanted else None
        self._state = (
            nn.Linear(width, channel.interface.state_width) if "state_reconstruction" in wanted else None
        )

    def attribute_logits(self, latents: Float[Tensor, "B k C"]) -> Sequence[Float[Tensor, "B V"]]:
        """Log-odds of every attribute's values."""
        assert self._attributes is not None, "no head for attributes was asked for"
        logits: Tensor = self._attributes(latents.flatten(1))
        return list(torch.split(logits, self._num_values, dim=-1))

    def state(self, latents: Float[Tensor, "B k C"]) -> Float[Tensor, "B D"]:
        """A guess of the sender's last state."""
        assert self._state is not None, "no head for states was asked for"
        guess: Tensor = self._state(latents.flatten(1))
        return guess
