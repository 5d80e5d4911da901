"""`label`: the choices are lettered, and the letters' log-odds at one position are the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from parley.agents.context import Context
from parley.agents.full_pass import hear_uncached
from parley.agents.language_model import FrozenLM
from parley.agents.player import ReceiverSettings
from parley.agents.prompts import LABELS, RECEIVER_INSTRUCTION, Wording, receiver_prompt
from parley.agents.readout import Among, AnswerCost, Answers, Readout, register_readout
from parley.agents.receiver import Receiver
from parley.channels.receiver_input import ReceiverInput


@register_readout("label")
class LabelReadout(Readout):
    """The next token's log-odds, of the letters A to Z alone.

    Raises:
        ValueError: if two labels share a token or one is several tokens.
    """

    most_choices = len(LABELS)
    wordings: ClassVar[Mapping[str, Wording]] = {
        "plain": Wording(RECEIVER_INSTRUCTION),
        "again": Wording(RECEIVER_INSTRUCTION, "Which candidate is it? Answer with its letter only."),
    }

    def __init__(self, lm: FrozenLM, settings: ReceiverSettings, neutral: Sequence[str] = ()) -> None:
        super().__init__(lm, settings, neutral)
        ids = [lm.encode(label) for label in LABELS]
        if any(len(row) != 1 for row in ids) or len({row[0] for row in ids}) != len(LABELS):
            raise ValueError(f"model {lm.name!r} does not have one distinct token for each label A to Z")
        self.label_ids = torch.tensor([row[0] for row in ids], device=lm.device)

    def prompt(self, options: Sequence[str]) -> str:
        """The lettered candidates, then the message's place."""
        return receiver_prompt(options, wording=self.wording)

    def reply(self, options: Sequence[str], choice: int) -> str:
        """The letter."""
        return LABELS[choice]

    def answer(self, receiver: Receiver, context: Context, receiver_input: ReceiverInput) -> Answers:
        """The letters' log-odds where the answer begins."""
        return self._read(receiver.answer_states(context, receiver_input), context.num_candidates)

    def answer_uncached(
        self, receiver: Receiver, options: Sequence[Sequence[str]], receiver_input: ReceiverInput
    ) -> Answers:
        """The same in one full pass."""
        states = hear_uncached(receiver, options, receiver_input)[:, -1]
        return self._read(states, len(options[0]))

    def nll(self, answers: Answers, choices: Int[Tensor, " B"], among: Among) -> Float[Tensor, " B"]:
        """-log p(the choice's label), in nats, among the N labels or among all tokens."""
        if among == "choices":
            return functional.cross_entropy(answers.logits, choices, reduction="none")
        logits = self.vocabulary_logits(answers.read)
        return functional.cross_entropy(logits, self.label_ids[choices], reduction="none")

    def answer_cost(self, options: Sequence[Sequence[str]], among: Among, num_tokens: int) -> AnswerCost:
        """A row for each letter, and all of them where they are compared with all that could be said."""
        return AnswerCost(0, len(options[0]), 0 if among == "choices" else num_tokens)

    def vocabulary_logits(self, states: Float[Tensor, "B D"]) -> Float[Tensor, "B W"]:
        """Log-odds of all tokens that could be said next, float32."""
        logits: Tensor = self.lm.model.lm_head(states)
        return logits.float().to(self.lm.device)

    def _read(self, states: Float[Tensor, "B D"], num_choices: int) -> Answers:
        labels = self.lm.output_rows(self.label_ids[:num_choices])
        return Answers(functional.linear(states, labels).float(), states)
