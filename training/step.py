"""One batch as the objectives see it: messages, and what the receivers answered to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from parley.agents.context import Context
from parley.agents.pair import ReceiverView
from parley.agents.readout import Among, Answers
from parley.agents.receiver import Receiver
from parley.channels.base import ChannelOutput, Policy, ReceiverInput, SoftPrompt, TextInput, Utterance
from parley.envs.world import Referents


class MessageTokens(NamedTuple):
    """Which tokens each slot answers for, over the vocabulary of all training messages."""

    table: Float[Tensor, "V E"]  # the receiver's embeddings of that vocabulary
    shares: Float[Tensor, "B k V"]  # for each slot, a distribution over it; zeros if the slot has no token


class Answered(NamedTuple):
    """What B receivers answered to one kind of message.

    Attributes:
        logits: log-odds of the N choices.
        nll: -log p(target), in nats.
    """

    logits: Float[Tensor, "B N"]
    nll: Float[Tensor, " B"]


class ContextBatch(NamedTuple):
    """The B = G * M episodes of a step, as the environment shows them before anything is sent.

    Attributes:
        episodes: that the environment plays, context by context.
        sender_views: (B, A) what the senders see.
        receiver_views: (B, N, ...) what the receivers see; the M of a context are alike.
        targets: the right choices, for losses that are told them.
        context: what G receivers have read.
    """

    episodes: list[Any]
    sender_views: Referents
    receiver_views: np.ndarray
    targets: Int[Tensor, " B"]
    context: Context

    @property
    def seen(self) -> ReceiverView:
        """What the receivers see, for channels that are told."""
        return ReceiverView(list(self.receiver_views), self.targets.cpu().numpy())


@dataclass(frozen=True, kw_only=True)
class MessageBatch:
    """B messages: all that needs no receiver.

    Args:
        utterance: what the sender handed over.
        output: what came through the channel.
        pooled: the sender's last state of each utterance, as the codec's encoder gets it.
        sender_views: what the sender saw, as value indices.
        tokens: which message tokens each slot answers for.
    """

    utterance: Utterance
    output: ChannelOutput
    pooled: Float[Tensor, "B D"]
    sender_views: Int[Tensor, "B A"]
    tokens: MessageTokens

    @property
    def soft_prompt(self) -> SoftPrompt:
        """What the receivers got, where it is vectors in the slot.

        Raises:
            ValueError: if it is not.
        """
        if not isinstance(self.output.receiver_input, SoftPrompt):
            raise ValueError(
                f"reconstruction compares the slot's vectors with tokens, and this channel delivers a "
                f"{type(self.output.receiver_input).__name__}: set --reconstruction 0 and --alignment-steps 0"
            )
        return self.output.receiver_input

    @property
    def latents(self) -> Float[Tensor, "B k C"]:
        """What the decoder made it of.

        Raises:
            ValueError: if the channel has none.
        """
        if self.output.latents is None:
            raise ValueError("this objective needs latents, as channel `latent` has")
        return self.output.latents


@dataclass(frozen=True, kw_only=True)
class PlayedBatch(MessageBatch):
    """The same messages, played: G contexts with M targets in turn each, so B = G * M rows in this order.

    Args:
        targets: the right choices, 0 to N - 1.
        per_context: M.
        answers: of the receivers, by pass: `normal`, and those of `shuffle`, `null`, `text` and `all_pairs`
            that an objective needs. Of `all_pairs` row i * S + j is context i under the message of context j.
        rewards: what the environment paid.
    """

    targets: Int[Tensor, " B"]
    per_context: int
    answers: Mapping[str, Answered]
    rewards: Float[Tensor, " B"]

    @property
    def policy(self) -> Policy:
        """How likely the codes were that the channel drew.

        Raises:
            ValueError: if it draws none.
        """
        if self.output.policy is None:
            raise ValueError("reinforce and entropy need a channel that draws its codes, such as symbols")
        return self.output.policy


@dataclass(frozen=True, kw_only=True)
class ReceiverPasses:
    """Runs the receiver as often as the objectives need it, and not once more.

    Args:
        receiver: who answers.
        needs: of all objectives together.
        num_pairs: most contexts of `all_pairs`.
        among: whether the target is to be likely among the choices alone, or among all that could be said;
            `text` and `all_pairs` look at the choices alone.
    """

    receiver: Receiver
    needs: Collection[str]
    num_pairs: int
    among: Among

    def __call__(
        self, context: Context, messages: MessageBatch, null: ReceiverInput, targets: Int[Tensor, " B"]
    ) -> dict[str, Answered]:
        """The answers by pass; gradient flows to the messages where an objective needs it.

        Args:
            context: what G receivers have read.
            messages: B = G * M of them, context by context.
            null: the content-free prefix, one a context.
            targets: the right choices.

        Raises:
            ValueError: if another context's message is needed and there is no other context.
        """
        given, each = messages.output.receiver_input, len(targets) // len(context.mask)
        with torch.set_grad_enabled("normal" in self.needs):  # reward needs none
            answers = {"normal": self._ask(context, given, targets, self.among)}
        if "shuffle" in self.needs:
            others = given.take(_of_another_context(len(targets), each).to(targets.device))
            answers["shuffle"] = self._ask(context, others, targets, self.among)
        if "all_pairs" in self.needs:
            rows = torch.arange(0, len(targets), each, device=targets.device)[: self.num_pairs]
            crossed = given.take(rows.repeat(len(rows)))
            wanted = targets[rows].repeat_interleave(len(rows))
            answers["all_pairs"] = self._ask(context.take(rows // each), crossed, wanted, "choices")
        with torch.no_grad():
            if "null" in self.needs:
                answers["null"] = self._ask(context, null, targets, self.among)
            if "text" in self.needs:
                told = TextInput(messages.utterance.texts)
                answers["text"] = self._ask(context, told, targets, "choices")
        return answers

    def _ask(
        self, context: Context, given: ReceiverInput, targets: Int[Tensor, " B"], among: Among
    ) -> Answered:
        answers = self.receiver.answer(context, given)
        each = len(targets) // len(answers.logits)
        if each > 1:  # null: its messages are all alike, so each context is answered once
            answers = Answers(*(rows.repeat_interleave(each, dim=0) for rows in answers))
        return Answered(answers.logits, self.receiver.nll(answers, targets, among))


def _of_another_context(size: int, per_context: int) -> Int[Tensor, " B"]:
    """Rows whose messages are of the context before.

    Raises:
        ValueError: if there is no other.
    """
    if size == per_context:
        raise ValueError(
            "contrast needs a batch_size of at least 2: one context alone has no other context's message"
        )
    return torch.arange(size).roll(per_context)
