"""Terms of the messages alone: a codec can be aligned by them without asking the receiver."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from parley.channels.base import Channel, check_range
from parley.envs.world import AnyWorld
from parley.training.objective import Objective, ObjectiveConfig, register_objective
from parley.training.step import MessageBatch


@dataclass(frozen=True, kw_only=True)
class ReconstructionConfig(ObjectiveConfig):
    """Settings of `reconstruction`.

    Args:
        temperature: cosines are divided by it.
    """

    temperature: float = 0.1

    def __post_init__(self) -> None:
        check_range("reconstruction.temperature", self.temperature, 1e-3, 1e3)


@register_objective("reconstruction", needs={"messages"})
class Reconstruction(Objective):
    """The message's tokens from the soft prompt.

    It ties the prompt to what was said. Cross-entropy alone leaves a good receiver at chance,
    because a prompt that resembles no token gives its matching circuit nothing to match.
    """

    Config = ReconstructionConfig
    config: ReconstructionConfig

    def __call__(self, batch: MessageBatch) -> Float[Tensor, ""]:
        """-log p of each slot's tokens, classified by cosine / temperature over all messages' tokens.

        Raises:
            ValueError: if the sender says nothing.
        """
        if not len(batch.tokens.table):
            raise ValueError(
                "reconstruction must be 0 with a sender that says nothing, which leaves no words to tie to"
            )
        vectors = functional.normalize(batch.soft_prompt.vectors.float(), dim=-1)
        cosines = vectors @ functional.normalize(batch.tokens.table.float(), dim=-1).T
        log_p = functional.log_softmax(cosines / self.config.temperature, dim=-1)
        return -(batch.tokens.shares * log_p).sum(-1).sum() / batch.tokens.shares.sum()


class LatentHead(nn.Linear):
    """A linear guess from all of a message's latents.

    Args:
        name: of the objective that guesses.
        channel: whose latents (k, C) are read.
        num_outputs: numbers that are guessed.

    Raises:
        ValueError: if the channel has no latents.
    """

    def __init__(self, name: str, channel: Channel, num_outputs: int) -> None:
        if not channel.latent_width:
            raise ValueError(f"{name} needs a channel with latents, and {channel.name!r} has none")
        super().__init__(channel.num_slots * channel.latent_width, num_outputs)


@register_objective("attributes", needs={"messages"})
class Attributes(Objective):
    """What the sender saw, from the latents."""

    head: LatentHead

    def __init__(self, config: ObjectiveConfig, channel: Channel, world: AnyWorld) -> None:
        super().__init__(config, channel, world)
        self._num_values = world.num_values.tolist()
        self.head = LatentHead(self.name, channel, sum(self._num_values))

    def __call__(self, batch: MessageBatch) -> Float[Tensor, ""]:
        """Mean over attributes of -log p(value | latents), under a linear head."""
        guesses = self.head(batch.latents.flatten(1)).split(self._num_values, dim=-1)
        losses = [
            functional.cross_entropy(guess, batch.sender_views[:, a]) for a, guess in enumerate(guesses)
        ]
        return torch.stack(losses).mean()


@register_objective("state_reconstruction", needs={"messages"})
class StateReconstruction(Objective):
    """The sender's last state, from the latents: the failed experiment's reconstruction."""

    head: LatentHead

    def __init__(self, config: ObjectiveConfig, channel: Channel, world: AnyWorld) -> None:
        super().__init__(config, channel, world)
        self.head = LatentHead(self.name, channel, channel.interface.state_width)

    def __call__(self, batch: MessageBatch) -> Float[Tensor, ""]:
        """Mean squared error between the D numbers of two unit vectors, the state and its guess (no unit)."""
        guess = functional.normalize(self.head(batch.latents.flatten(1)), dim=-1)
        return functional.mse_loss(guess, functional.normalize(batch.pooled, dim=-1))


@register_objective("info_preserve", needs={"messages"})
class InfoPreserve(Objective):
    """Latents as alike as the sender's states are: the failed experiment's information term."""

    def __call__(self, batch: MessageBatch) -> Float[Tensor, ""]:
        """Mean squared difference between pairwise cosines of latents and of last states (no unit)."""
        latents = functional.normalize(batch.latents.float().flatten(1), dim=-1)
        states = functional.normalize(batch.pooled, dim=-1)
        return functional.mse_loss(latents @ latents.T, states @ states.T)


@register_objective("quantizer", needs={"messages"})
class QuantizerLoss(Objective):
    """The channel's own losses, such as commitment."""

    sufficient = False

    def __call__(self, batch: MessageBatch) -> Float[Tensor, ""]:
        """Their sum; 0 for a channel without any."""
        losses = list(batch.output.losses.values())
        return torch.stack(losses).sum() if losses else torch.zeros((), device=batch.pooled.device)
