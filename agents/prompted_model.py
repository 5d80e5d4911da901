"""A frozen model and the receiver's prompt around the slot: as tokens, and what fills the slot as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from parley.agents.examples import NO_EXAMPLES, Examples, Solved
from parley.agents.language_model import FrozenLM
from parley.agents.player import ReceiverSettings
from parley.agents.prompts import SLOT, Turn, cut_at_slot, slot_text
from parley.agents.readout import READOUTS
from parley.agents.shown_turns import ShownTurns
from parley.channels.base import ActivationPatch, CacheEntries, ReceiverInput, SoftPrompt


class Slot(NamedTuple):
    """Vectors that fill the slot, left-padded, and which of them count."""

    vectors: Float[Tensor, "B S E"]
    mask: Bool[Tensor, "B S"]


class PromptedModel:
    """A model that is asked about candidates and a message, by the words of its readout.

    Args:
        lm: the frozen model.
        settings: how it is asked, and which readout.
        examples: solved ones to be shown first, and messages by which scores are calibrated.

    Raises:
        ValueError: if a setting is unknown, or the model's tokenizer does not allow the readout.

    Attributes:
        shown: tokens of the solved examples, before everything else.
        tail: tokens between the slot and the answer.
    """

    def __init__(
        self,
        lm: FrozenLM,
        settings: ReceiverSettings = ReceiverSettings(),  # noqa: B008 - immutable
        examples: Examples = NO_EXAMPLES,
    ) -> None:
        self.lm, self.settings = lm, settings
        self.readout = READOUTS.find(settings.readout)(lm, settings, examples.neutral)
        self.turns = [self._solve(example) for example in examples.solved[: settings.shots]]
        self._examples = ShownTurns(lm, self.turns)
        self.shown = self._examples.tokens
        self.tail = lm.encode(cut_at_slot(lm.render(self.readout.prompt([]), self.turns)).after)

    def _solve(self, example: Solved) -> Turn:
        """A solved example as an earlier turn of the chat."""
        asked = self.readout.prompt(example.options).replace(SLOT, slot_text(example.message))
        return Turn(asked, self.readout.reply(example.options, example.target))

    def before(self, descriptions: Sequence[str]) -> list[int]:
        """Tokens of the prompt about some candidates, from behind the solved examples to the slot.

        Raises:
            ModelError: if the chat template renders the solved examples differently before this question.
        """
        return self.lm.encode(cut_at_slot(self._examples.behind(self.readout.prompt(descriptions))).before)

    def message_tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids with which text messages fill the slot; control tokens in them are plain text."""
        return [self.lm.encode_plain(slot_text(text)) for text in texts]

    def message_texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Texts that such token ids stand for in the slot; control tokens say nothing."""
        decode = self.lm.tokenizer.decode
        texts = [
            decode(list(row), skip_special_tokens=True, clean_up_tokenization_spaces=False) for row in rows
        ]
        return [text.removeprefix(" ") for text in texts]  # `slot_text` puts it there again

    @property
    def num_tokens(self) -> int:
        """V, tokens of its vocabulary; a model may have embeddings to spare."""
        return len(self.lm.tokenizer)

    def embed_ids(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T E"]:
        """Token embeddings."""
        return self.lm.embed(ids)

    def embed_tail(self, batch: int) -> Float[Tensor, "B S E"]:
        """Embeddings of the tail, for each of B messages."""
        tail = torch.tensor(self.tail, device=self.lm.device)
        return self.embed_ids(tail.expand(batch, -1))

    def fill(self, receiver_input: ReceiverInput) -> Slot:
        """The vectors that stand in the slot for a receiver input.

        Raises:
            ValueError: if a prefix is not as wide as the model's embeddings, or nothing stands in the slot.
        """
        if isinstance(receiver_input, SoftPrompt):
            vectors = receiver_input.vectors.to(self.lm.device, self.lm.dtype)
            if vectors.shape[-1] != self.lm.width:
                raise ValueError(f"prefix width must be {self.lm.width}, got {vectors.shape[-1]}")
            mask = receiver_input.mask
            return Slot(vectors, all_of(vectors) if mask is None else mask.to(self.lm.device))
        if isinstance(receiver_input, ActivationPatch | CacheEntries):
            raise ValueError(f"the slot holds words or vectors, got a {type(receiver_input).__name__}")
        ids, mask = self.lm.left_pad(self.message_tokens(receiver_input.texts))
        return Slot(self.embed_ids(ids), mask)

    def check_length(self, length: int) -> None:
        """Refuse what the model's context does not hold.

        Raises:
            ValueError: naming the number of tokens and the bound.
        """
        if length > self.lm.max_length:
            raise ValueError(
                f"candidates, message and answer take {length} tokens, more than the "
                f"{self.lm.max_length} of model {self.lm.name!r}"
            )


def all_of(vectors: Float[Tensor, "B S E"]) -> Bool[Tensor, "B S"]:
    """A mask by which every position counts."""
    return torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
