"""Which of a message's tokens each slot of a prefix answers for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from parley.agents.pair import Pair
from parley.training.step import MessageTokens

Labels = Literal["said", "exact"]


class TokenTargets:
    """Which tokens each slot answers for, for every training referent.

    Of a message of M tokens, token j belongs to slot floor(j * k / M): slots share a longer message
    evenly, and with a shorter one some slots are free. With `first_only` slot j answers for token j
    alone, and what a longer message holds after its k-th token is left out.

    Args:
        rows: the receiver's token ids of each message.
        embeddings: the receiver's token embeddings.
        num_slots: k.
        first_only: one token a slot.
        indices: ascending, by which the messages are asked for; by default 0 to their number.
    """

    def __init__(
        self,
        rows: Sequence[list[int]],
        embeddings: Float[Tensor, "W E"],
        num_slots: int,
        first_only: bool = False,
        indices: NDArray[np.int64] | None = None,
    ) -> None:
        if first_only:
            rows = [row[:num_slots] for row in rows]
        vocabulary = sorted({token for row in rows for token in row})
        place = {token: index for index, token in enumerate(vocabulary)}
        shares = torch.zeros(len(rows), num_slots, len(vocabulary))
        for number, row in enumerate(rows):
            for j, token in enumerate(row):
                shares[number, j if first_only else j * num_slots // len(row), place[token]] += 1
        shares /= shares.sum(-1, keepdim=True).clamp(min=1)
        self._indices = np.arange(len(rows)) if indices is None else indices
        self._shares = shares.to(embeddings.device)
        self._table = embeddings[torch.tensor(vocabulary, dtype=torch.long, device=embeddings.device)]

    @classmethod
    def of_training(
        cls, pair: Pair, num_slots: int, first_only: bool, labels: Labels = "said"
    ) -> TokenTargets:
        """Those of all training referents, by the world's index of what the sender sees.

        Args:
            pair: who plays.
            num_slots: k.
            first_only: one token a slot.
            labels: the messages: what the sender says, or the world's descriptions, for which it need not
                speak.
        """
        referents, world = pair.world.referents("train"), pair.world
        said = labels == "said"
        texts = pair.sender.describe(referents) if said else [world.describe(row) for row in referents]
        rows = pair.receiver.message_tokens(texts)
        return cls(rows, pair.receiver.lm.embedding_table, num_slots, first_only, world.index(referents))

    def of(self, indices: NDArray[np.int64]) -> MessageTokens:
        """The targets of the messages with these indices (B,)."""
        rows = torch.from_numpy(np.searchsorted(self._indices, indices))
        return MessageTokens(self._table, self._shares[rows.to(self._shares.device)])
