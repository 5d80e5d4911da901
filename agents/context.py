"""What receivers hold between two passes: what they have read, and what they have heard behind it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from parley.agents.injection import Layer
from parley.agents.readout import Choices


class Context(NamedTuple):
    """What B receivers have read.

    Attributes:
        layers: keys and values of its tokens; none if every message is to be read together with them again.
        ids: its tokens, padded on the left.
        mask: which of them count.
        num_candidates: N.
        choices: the candidates' texts, for a readout that scores them.
    """

    layers: tuple[Layer, ...]
    ids: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]
    num_candidates: int
    choices: Choices | None = None

    def repeat(self, times: int) -> Context:
        """Each row `times` times in a row, to be played under that many messages: B * times rows."""
        rows = torch.arange(len(self.mask), device=self.mask.device).repeat_interleave(times)
        return self.take(rows)

    def take(self, rows: Int[Tensor, " R"]) -> Context:
        """The contexts with these numbers, in this order; one may be taken more than once."""
        # each layer's keys and values are where the layer is, which need not be where the masks are
        layers = tuple(
            (keys[here], values[here]) for keys, values in self.layers for here in [rows.to(keys.device)]
        )
        choices = self.choices and Choices(*(part[rows] for part in self.choices))
        return Context(layers, self.ids[rows], self.mask[rows], self.num_candidates, choices)


class Heard(NamedTuple):
    """What receivers hold where answers begin: B = R * M messages, M side by side behind each of R rows.

    Attributes:
        states: the final states of which the answers' first tokens are read.
        cache: keys and values of all that was read and heard.
        seen: what of it belongs to each message: its context and itself.
    """

    states: Float[Tensor, "B D"]
    cache: DynamicCache
    seen: Bool[Tensor, "R M T"]
