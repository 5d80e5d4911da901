"""`balance`: a bit tells most when it is 1 half of the time."""

from torch import Tensor

from parley.training.objective import Objective, register_objective
from parley.training.step import MessageBatch


@register_objective("balance", needs={"messages"})
class Balance(Objective):
    """Bits must be 1 half of the time."""

    def __call__(self, batch: MessageBatch) -> Tensor:
        """Mean over the latents' numbers of the square of their batch mean; 0 is balanced (no unit)."""
        return batch.latents.mean(0).square().mean()
