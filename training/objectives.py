"""What a codec is asked for: small terms, in nats, each with a weight and a logged value.

To add one, write a function of a `Step` that returns a scalar, and give it a name in
`OBJECTIVES` and a weight in `ObjectiveWeights`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from channels.base import Prefix, Relay

COSINE_TEMPERATURE = 0.1


@dataclass(frozen=True, kw_only=True)
class ObjectiveWeights:
    """How much each term counts; 0 leaves it out.

    Args:
        cross_entropy: of the right candidate's label under the receiver.
        reconstruction: of the message's tokens from the prefix.
        quantizer: the channel's own loss (commitment), where it has one.
    """

    cross_entropy: float = 1.0
    reconstruction: float = 1.0
    quantizer: float = 1.0

    def __post_init__(self) -> None:
        for term in fields(self):
            if not 0 <= getattr(self, term.name) < float("inf"):
                raise ValueError(
                    f"{term.name} must be a finite weight of at least 0, got {getattr(self, term.name)}"
                )


class MessageTokens(NamedTuple):
    """Which tokens each slot answers for, over the vocabulary of all training messages."""

    table: Float[Tensor, "V E"]  # the receiver's embeddings of that vocabulary
    shares: Float[Tensor, "B k V"]  # for each slot, a distribution over it; zeros if the slot has no token


class Step(NamedTuple):
    """One batch as the objectives see it."""

    logits: Float[Tensor, "B N"]
    targets: Int[Tensor, " B"]
    relay: Relay
    tokens: MessageTokens


def cross_entropy(step: Step) -> Float[Tensor, ""]:
    """-log p(target's label | context, prefix): the candidates' labels only, at one position."""
    return functional.cross_entropy(step.logits, step.targets)


def reconstruction(step: Step) -> Float[Tensor, ""]:
    """Each slot's vector, classified by cosine / 0.1 as the message's tokens that it replaces.

    It ties the prefix to what was said. Cross-entropy alone leaves a good receiver at chance,
    because a prefix that resembles no token gives its matching circuit nothing to match.
    """
    assert isinstance(step.relay.reception, Prefix), "only a prefix has slots to read tokens from"
    vectors = functional.normalize(step.relay.reception.vectors.float(), dim=-1)
    cosines = vectors @ functional.normalize(step.tokens.table.float(), dim=-1).T
    surprisal = -(step.tokens.shares * functional.log_softmax(cosines / COSINE_TEMPERATURE, dim=-1)).sum(-1)
    return surprisal.sum() / step.tokens.shares.sum()


def quantizer(step: Step) -> Float[Tensor, ""]:
    """The sum of the channel's own losses; 0 for a channel without any."""
    losses = list(step.relay.losses.values())
    return torch.stack(losses).sum() if losses else step.logits.new_zeros(())


OBJECTIVES: dict[str, Callable[[Step], Tensor]] = {
    "cross_entropy": cross_entropy,
    "reconstruction": reconstruction,
    "quantizer": quantizer,
}


def evaluate_objectives(step: Step, weights: ObjectiveWeights) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, and every term that counts, unweighted."""
    terms = {name: objective(step) for name, objective in OBJECTIVES.items() if getattr(weights, name) > 0}
    if not terms:
        raise ValueError("at least one objective must have a weight above 0")
    total = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
    return total, {name: value.detach() for name, value in terms.items()}


class TokenTargets:
    """Which tokens each slot answers for, for every training referent.

    Token j of a message of M tokens belongs to slot floor(j * k / M), so slots share a longer
    message evenly, and with a shorter one some slots are free.

    Args:
        rows: the receiver's token ids of each message.
        embeddings: the receiver's token embeddings.
        num_slots: k.
    """

    def __init__(self, rows: Sequence[list[int]], embeddings: Float[Tensor, "W E"], num_slots: int) -> None:
        vocabulary = sorted({token for row in rows for token in row})
        place = {token: index for index, token in enumerate(vocabulary)}
        shares = torch.zeros(len(rows), num_slots, len(vocabulary))
        for number, row in enumerate(rows):
            for j, token in enumerate(row):
                shares[number, j * num_slots // len(row), place[token]] += 1
        shares /= shares.sum(-1, keepdim=True).clamp(min=1)
        self._shares = shares.to(embeddings.device)
        self._table = embeddings[torch.tensor(vocabulary, device=embeddings.device)]

    def of(self, numbers: Int[Tensor, " B"]) -> MessageTokens:
        """The targets of the messages with these numbers."""
        return MessageTokens(self._table, self._shares[numbers.to(self._shares.device)])
