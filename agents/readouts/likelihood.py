"""`likelihood`: choices are listed without letters, and the log-probability of each one's text is its score.

Small models that cannot bind letters to choices can still say which text is likelier (Robinson et al., 2023,
and OLMES, Gu et al., 2024, have the figures). The choices branch as a tree behind each message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from parley.agents.context import Context
from parley.agents.full_pass import hear_uncached
from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.prompts import Wording, listing_prompt
from parley.agents.readout import Among, AnswerCost, Answers, Choices, Readout, register_readout
from parley.agents.receiver import Receiver
from parley.channels.receiver_input import ReceiverInput, TextInput

ROWS_AT_ONCE = 512
"""States whose log-probabilities over the whole vocabulary are held in memory together."""


@register_readout("likelihood")
class LikelihoodReadout(Readout):
    """Sum of the log-probabilities of a choice's tokens, less its baseline, in nats.

    The baseline of a choice is its mean score, in the same context, under messages that say nothing about it
    (`content_free`), or nothing (`none`). It is not its score under null or silence, which would put those
    controls at chance by construction.
    """

    calibrates = True
    wordings: ClassVar[Mapping[str, Wording]] = {
        "plain": Wording("Which candidate does the message describe? Answer with its description only."),
        "repeat": Wording(
            "Here are some candidates, and a message about one of them.",
            "Which candidate is it? Repeat it word for word.",
        ),
        "copy": Wording("Candidates:", "Copy the candidate that the message describes."),
    }

    def prompt(self, options: Sequence[str]) -> str:
        """The candidates, one a line, then the message's place."""
        return listing_prompt(options, self.wording)

    def reply(self, options: Sequence[str], choice: int) -> str:
        """The candidate's text."""
        return options[choice]

    def choices(self, receiver: Receiver, context: Context, options: Sequence[Sequence[str]]) -> Choices:
        """The candidates' tokens, and their baseline in this context.

        Raises:
            ValueError: if a candidate has no tokens, or two have the same.
        """
        rows = [self._tokens(texts) for texts in options]
        for texts, tokens in zip(options, rows, strict=True):
            check_distinct(texts, tokens)
        ids = pad(rows).to(context.mask.device)
        found = Choices(ids.clamp(min=0), ids >= 0, torch.zeros(ids.shape[:2], device=ids.device))
        if self.settings.calibration == "none":
            return found
        told = TextInput(self.neutral * len(options))
        scores = self._scores(receiver, context._replace(choices=found), told)
        return found._replace(baseline=scores.reshape(len(options), len(self.neutral), -1).mean(1))

    def answer(self, receiver: Receiver, context: Context, receiver_input: ReceiverInput) -> Answers:
        """The candidates' scores behind each message; the context is not run again."""
        assert context.choices is not None, "what a receiver has read holds its choices"
        scores = self._scores(receiver, context, receiver_input)
        baseline = context.choices.baseline.repeat_interleave(len(scores) // len(context.mask), dim=0)
        return Answers(scores - baseline, scores)

    def answer_uncached(
        self, receiver: Receiver, options: Sequence[Sequence[str]], receiver_input: ReceiverInput
    ) -> Answers:
        """The same in one full pass for each candidate."""
        scores = self._scores_uncached(receiver, options, receiver_input)
        if self.settings.calibration == "none":
            return Answers(scores, scores)
        baseline = [
            self._scores_uncached(receiver, options, TextInput([message] * len(options)))
            for message in self.neutral
        ]
        return Answers(scores - torch.stack(baseline).mean(0), scores)

    def nll(self, answers: Answers, choices: Int[Tensor, " B"], among: Among) -> Float[Tensor, " B"]:
        """-log p(the choice), in nats, among the N scores, or of its text among all that could be said."""
        if among == "choices":
            return functional.cross_entropy(answers.logits, choices, reduction="none")
        return -answers.read.gather(1, choices[:, None])[:, 0]

    def answer_cost(self, options: Sequence[Sequence[str]], among: Among, num_tokens: int) -> AnswerCost:
        """Choices are run up to their last tokens, and where one is read, all tokens there are compared.

        All first tokens are read at one place.
        """
        lengths = [[len(tokens) for tokens in self._tokens(texts)] for texts in options]
        branches = len(options[0]) * (max(map(max, lengths)) - 1)
        places = fmean(1 + sum(row) - len(row) for row in lengths)
        return AnswerCost(branches, num_tokens * places, again=True)

    def _scores(
        self, receiver: Receiver, context: Context, receiver_input: ReceiverInput
    ) -> Float[Tensor, "B N"]:
        """Log-probability of each choice's text behind each message."""
        assert context.choices is not None, "what a receiver has read holds its choices"
        heard = receiver.hear(context, receiver_input)
        each = len(heard.states) // len(context.mask)
        ids, counted = (part.repeat_interleave(each, dim=0) for part in context.choices[:2])
        first = token_log_probs(self.lm, heard.states, ids[..., 0])
        if ids.shape[-1] == 1:
            return finite(first, self.lm)
        states = receiver.continue_with(heard, ids[..., :-1], counted[..., :-1])
        follows = counted[..., 1:]
        later = torch.zeros(follows.shape, device=first.device)
        later[follows] = token_log_probs(self.lm, states[follows], ids[..., 1:][follows][:, None])[:, 0]
        return finite(first + later.sum(-1), self.lm)

    def _scores_uncached(
        self, receiver: Receiver, options: Sequence[Sequence[str]], receiver_input: ReceiverInput
    ) -> Float[Tensor, "B N"]:
        scores = []
        for texts in zip(*options, strict=True):  # the n-th candidate of every receiver
            ids = pad([self._tokens(texts)])[0].to(self.lm.device)
            states = hear_uncached(receiver, options, receiver_input, ids[:, :-1].clamp(min=0))
            log_p = token_log_probs(self.lm, states.flatten(0, 1), ids.clamp(min=0).reshape(-1, 1))
            scores.append((log_p.reshape(ids.shape) * (ids >= 0)).sum(-1))
        return finite(torch.stack(scores, dim=1), self.lm)

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.lm.encode_plain(text) for text in texts]


def token_log_probs(
    lm: FrozenLM, states: Float[Tensor, "R D"], ids: Int[Tensor, "R J"]
) -> Float[Tensor, "R J"]:
    """Log-probabilities, in nats, of J tokens where each of R states ends, float32.

    Those of the whole vocabulary are made for some states at a time, and again for their gradient.
    """

    def some(part: Tensor, wanted: Tensor) -> Tensor:
        logits: Tensor = lm.model.lm_head(part).float().to(lm.device)
        return logits.gather(1, wanted) - logits.logsumexp(-1, keepdim=True)

    parts = zip(*(torch.split(each, ROWS_AT_ONCE) for each in (states, ids)), strict=True)
    if torch.is_grad_enabled() and states.requires_grad:
        return torch.cat([checkpoint(some, *part, use_reentrant=False) for part in parts])
    return torch.cat([some(*part) for part in parts])


def pad(rows: Sequence[Sequence[list[int]]]) -> Int[Tensor, "B N L"]:
    """Token ids padded on the right with -1."""
    longest = max(len(ids) for row in rows for ids in row)
    return torch.tensor([[ids + [-1] * (longest - len(ids)) for ids in row] for row in rows])


def check_distinct(texts: Sequence[str], tokens: Sequence[list[int]]) -> None:
    """Refuse candidates without tokens, and candidates of the same tokens.

    Raises:
        ValueError: if one has no tokens, or two have the same.
    """
    known: dict[tuple[int, ...], str] = {}
    for text, ids in zip(texts, tokens, strict=True):
        if not ids:
            raise ValueError(f"a candidate's text must have at least one token to be scored, got {text!r}")
        if tuple(ids) in known:
            raise ValueError(
                f"candidates must differ in their tokens to be told apart by likelihood, got "
                f"{known[tuple(ids)]!r} and {text!r}"
            )
        known[tuple(ids)] = text


def finite(scores: Float[Tensor, "B N"], lm: FrozenLM) -> Float[Tensor, "B N"]:
    """The scores, if they are.

    Raises:
        ModelError: if one is not.
    """
    if not torch.isfinite(scores).all():
        row, place = (~torch.isfinite(scores)).nonzero()[0].tolist()
        raise ModelError(
            f"model {lm.name!r} gives candidate {place + 1} a log-likelihood of {scores[row, place].item()}; "
            f"it must be finite for a choice to be read"
        )
    return scores
