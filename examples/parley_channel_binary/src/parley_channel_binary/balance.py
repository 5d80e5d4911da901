"""`balance`: a bit tells most when it is 1 half of the time."""

from torch import Tensor

from parley.training.objectives import register_objective
from parley.training.step import MessageBatch


@register_objective("balance", of="message")
def balance(said: MessageBatch) -> Tensor:
    """Mean over the latents' numbers of the square of their mean over the batch; 0 is balanced (no unit)."""
    return said.latents.mean(0).square().mean()
