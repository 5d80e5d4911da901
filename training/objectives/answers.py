"""Terms of what the receiver answers."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from parley.channels.base import check_range
from parley.training.objective import Objective, ObjectiveConfig, register_objective
from parley.training.step import PlayedBatch


@dataclass(frozen=True, kw_only=True)
class MarginConfig(ObjectiveConfig):
    """Settings of a term that is met by a margin.

    Args:
        margin: by which the right message must be better, in nats.
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        check_range("margin", self.margin, 0)


@dataclass(frozen=True, kw_only=True)
class HelpConfig(MarginConfig):
    """Settings of `help`.

    Args:
        margin: by which the right message must be better, in nats.
    """

    margin: float = 0.2


@register_objective("ce", needs={"normal"})
class CrossEntropy(Objective):
    """The target must be likely under the right message."""

    def __call__(self, batch: PlayedBatch) -> Float[Tensor, ""]:
        """Mean of -log p(target | context, right message): CE."""
        return batch.answers["normal"].nll.mean()


@register_objective("help", needs={"normal", "null"})
class Help(Objective):
    """The right message must beat the content-free prefix: the failed experiment's help loss.

    It is met by 0.2 nats, which any prefix brings that looks less odd than zeros.
    """

    Config = HelpConfig
    config: HelpConfig

    def __call__(self, batch: PlayedBatch) -> Float[Tensor, ""]:
        """relu(CE - CE under the content-free prefix + margin)."""
        normal, null = batch.answers["normal"].nll.mean(), batch.answers["null"].nll.mean()
        return functional.relu(normal - null + self.config.margin)


@register_objective("contrast", needs={"normal", "shuffle"})
class Contrast(Objective):
    """The right message must beat another context's: the failed experiment's contrast."""

    Config = MarginConfig
    config: MarginConfig

    def __call__(self, batch: PlayedBatch) -> Float[Tensor, ""]:
        """relu(margin - (CE under another context's message - CE))."""
        gap = batch.answers["shuffle"].nll.mean() - batch.answers["normal"].nll.mean()
        return functional.relu(self.config.margin - gap)


@register_objective("swap_contrast", needs={"normal"})
class SwapContrast(Objective):
    """The right message must beat those about the same context's other candidates.

    They were played in the same context anyway, so these hard negatives cost nothing.
    """

    Config = MarginConfig
    config: MarginConfig

    def __call__(self, batch: PlayedBatch) -> Float[Tensor, ""]:
        """Mean of relu(margin - (log p(target | right message) - log p(target | message about another))).

        Raises:
            ValueError: if contexts are played with one message only.
        """
        each, logits = batch.per_context, batch.answers["normal"].logits
        if each < 2:
            raise ValueError(
                f"swap_contrast needs messages_per_context of at least 2, got {each}: "
                "its negatives are the messages about a context's other candidates"
            )
        log_p = functional.log_softmax(logits, -1).reshape(-1, each, logits.shape[-1])
        targets = batch.targets.view(-1, 1, each).expand(-1, each, -1)
        of_target = log_p.gather(-1, targets)  # [g, i, j]: the j-th target under the i-th message
        right = of_target.diagonal(dim1=1, dim2=2)[:, None]
        losses = functional.relu(self.config.margin - (right - of_target))
        others = ~torch.eye(each, dtype=torch.bool, device=losses.device)
        return losses[:, others].mean()


@register_objective("teacher_kl", needs={"normal", "text"})
class TeacherKl(Objective):
    """The receiver must answer as if it had been told the words (Cheng et al., 2024)."""

    def __call__(self, batch: PlayedBatch) -> Float[Tensor, ""]:
        """KL(receiver told the words || receiver given the message) over the candidates."""
        taught, given = (
            functional.log_softmax(batch.answers[name].logits, dim=-1) for name in ("text", "normal")
        )
        return functional.kl_div(given, taught, log_target=True, reduction="batchmean")


@dataclass(frozen=True, kw_only=True)
class InfoNceConfig(ObjectiveConfig):
    """Settings of `info_nce`.

    Args:
        rows: most contexts, each under the messages of all of them.
    """

    rows: int = 8

    def __post_init__(self) -> None:
        check_range("info_nce.rows", self.rows, 2)

    @property
    def num_pairs(self) -> int:
        """The same."""
        return self.rows


@register_objective("info_nce", needs={"all_pairs"})
class InfoNce(Objective):
    """A bound on the information between messages and contexts (van den Oord et al., 2018)."""

    Config = InfoNceConfig
    config: InfoNceConfig

    def __call__(self, batch: PlayedBatch) -> Float[Tensor, ""]:
        """-log p(which of S messages belongs to a context), by the receiver's own log p(target).

        log S minus this is a lower bound on I(message; context and target) in nats.
        """
        nll, rows = batch.answers["all_pairs"].nll, self.config.rows
        scores = -nll.reshape(isqrt(len(nll)), -1)[:rows, :rows]
        return functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device))
