"""One batch as the objectives see it; what costs another pass of the receiver is run when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from parley.agents.receiver import Context, Receiver
from parley.channels.base import ChannelOutput, Policy, ReceiverInput, SoftPrompt, TextInput, Utterance

Among = Literal["labels", "vocabulary"]


class MessageTokens(NamedTuple):
    """Which tokens each slot answers for, over the vocabulary of all training messages."""

    table: Float[Tensor, "V E"]  # the receiver's embeddings of that vocabulary
    shares: Float[Tensor, "B k V"]  # for each slot, a distribution over it; zeros if the slot has no token


@dataclass(frozen=True, kw_only=True)
class MessageBatch:
    """B messages, before anybody has heard them: all that needs no receiver.

    Args:
        utterance: what the sender handed over.
        relay: what came through the channel.
        pooled: the sender's last state of each utterance, as the codec's encoder gets it.
        referents: the targets' value indices.
        tokens: which message tokens each slot answers for.
    """

    utterance: Utterance
    relay: ChannelOutput
    pooled: Float[Tensor, "B D"]
    referents: Int[Tensor, "B A"]
    tokens: MessageTokens

    @property
    def prefix(self) -> SoftPrompt:
        """What the receivers got, where it is vectors in the slot.

        Raises:
            ValueError: if it is not.
        """
        if not isinstance(self.relay.receiver_input, SoftPrompt):
            raise ValueError(
                f"reconstruction compares the slot's vectors with tokens, and this channel delivers a "
                f"{type(self.relay.receiver_input).__name__}: set --reconstruction 0 and --alignment-steps 0"
            )
        return self.relay.receiver_input

    @property
    def latents(self) -> Float[Tensor, "B k C"]:
        """What the decoder made it of.

        Raises:
            ValueError: if the channel has none.
        """
        if self.relay.latents is None:
            raise ValueError(
                "attributes, state_reconstruction and info_preserve need latents, as channel `latent` has"
            )
        return self.relay.latents


@dataclass(frozen=True, kw_only=True)
class PlayedBatch(MessageBatch):
    """The same messages, played: G contexts with M targets in turn each, so B = G * M rows in this order.

    Args:
        receiver: who listens.
        context: what it has read, (G,).
        null: the channel's content-free prefix, (G,).
        targets: the right candidates' places, 0 to N - 1.
        per_context: M.
        among: whether the target's label is to be likely among the candidates' `labels` alone, or among
            the whole `vocabulary`.
        differentiable: whether gradient is to flow through the receiver.
    """

    receiver: Receiver
    context: Context
    null: ReceiverInput
    targets: Int[Tensor, " B"]
    per_context: int
    among: Among = "labels"
    differentiable: bool = True

    @cached_property
    def answer_states(self) -> Float[Tensor, "B D"]:
        """The receivers' answering states under the right messages."""
        with torch.set_grad_enabled(self.differentiable):
            return self.receiver.answer_states(self.context, self.relay.receiver_input)

    @cached_property
    def logits(self) -> Float[Tensor, "B N"]:
        """Log-odds of the candidates under the right messages."""
        return self.receiver.label_logits(self.answer_states, self.context.num_candidates)

    def nll(self, answer_states: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """-log p(the target's label), in nats: among the candidates' labels, or among all tokens."""
        if self.among == "labels":
            logits = self.receiver.label_logits(answer_states, self.context.num_candidates)
            return functional.cross_entropy(logits, self.targets, reduction="none")
        labels = self.receiver.label_ids[self.targets]
        return functional.cross_entropy(
            self.receiver.vocabulary_logits(answer_states), labels, reduction="none"
        )

    @cached_property
    def answer_states_shuffled(self) -> Float[Tensor, "B D"]:
        """The answering states when every context hears the message of another context.

        Raises:
            ValueError: if there is no other.
        """
        if len(self.targets) == self.per_context:
            raise ValueError(
                "contrast needs a batch_size of at least 2: one context alone hears its own messages"
            )
        others = torch.arange(len(self.targets), device=self.targets.device).roll(self.per_context)
        return self.receiver.answer_states(self.context, self.relay.receiver_input.take(others))

    @cached_property
    def answer_states_null(self) -> Float[Tensor, "B D"]:
        """The answering states under the content-free prefix; nothing to learn from: without gradient.

        Nothing tells the messages of one context apart here, so each context hears it once.
        """
        with torch.no_grad():
            answer_states = self.receiver.answer_states(self.context, self.null)
        return answer_states.repeat_interleave(len(self.targets) // len(answer_states), dim=0)

    @cached_property
    def text_logits(self) -> Float[Tensor, "B N"]:
        """Log-odds of the candidates when the receiver is told the sender's own words; without gradient."""
        with torch.no_grad():
            return self.receiver.choose(self.context, TextInput(self.utterance.texts))

    def all_pairs_logits(self, rows: Int[Tensor, " S"]) -> Float[Tensor, "S S N"]:
        """Log-odds in context i under message j, for S of the rows."""
        size = len(rows)
        contexts = self.context.take(rows // self.per_context)
        messages = self.relay.receiver_input.take(rows.repeat(size))
        return self.receiver.choose(contexts, messages).reshape(size, size, -1)

    @property
    def policy(self) -> Policy:
        """How likely the codes were that the channel drew.

        Raises:
            ValueError: if it draws none.
        """
        if self.relay.policy is None:
            raise ValueError("reinforce and entropy need a channel that draws its codes, such as symbols")
        return self.relay.policy

    @cached_property
    def rewards(self) -> Float[Tensor, " B"]:
        """What the environment pays: 1 where the receiver picks the target, else 0."""
        return (self.logits.detach().argmax(-1) == self.targets).float()
