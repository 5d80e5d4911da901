"""Terms of the environment's reward alone, for channels that draw their codes."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from parley.training.objective import Objective, register_objective
from parley.training.step import PlayedBatch


@register_objective("reinforce", needs={"rewards", "policy"})
class Reinforce(Objective):
    """The environment's reward alone (Williams, 1992): the only term that never sees the target."""

    def __call__(self, batch: PlayedBatch) -> Float[Tensor, ""]:
        """Mean of -(reward - mean reward of the batch's other rows) * log pi(codes) (Kool et al., 2019)."""
        rewards = batch.rewards
        baseline = (rewards.sum() - rewards) / max(1, len(rewards) - 1)
        return -((rewards - baseline) * batch.policy.log_probabilities).mean()


@register_objective("entropy", needs={"policy"})
class Entropy(Objective):
    """Keeps such a channel undecided."""

    def __call__(self, batch: PlayedBatch) -> Float[Tensor, ""]:
        """Minus the mean entropy of the policy."""
        return -batch.policy.entropy.mean()
