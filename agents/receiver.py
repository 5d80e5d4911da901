"""The receiver: reads the candidates once, then chooses under as many messages as one likes.

Its prompt is rendered by the model's own chat template and cut at the slot. What stands before
the slot depends on neither message nor channel, so it is read once, without gradient, into a
KV cache; only the slot and the few tokens after it are run for each receiver input, side by side for
all receiver inputs of one context.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from parley.agents.context import Context, Heard
from parley.agents.features import Preamble, positions_of, read_preamble
from parley.agents.full_pass import full_pass
from parley.agents.injection import extend, patched
from parley.agents.packing import lay_out, messages_per_context
from parley.agents.prompted_model import PromptedModel, all_of
from parley.agents.readout import Among, Answers
from parley.channels.base import ActivationPatch, CacheEntries, ReceiverInput, SoftPrompt
from parley.channels.receiver_input import num_inputs


class Receiver(PromptedModel):
    """Chooses among candidates; a readout says how the choice is read off the model."""

    @torch.no_grad()
    def read(self, candidates: Sequence[Sequence[str]], cached: bool = True) -> Context:
        """Read B lists of N descriptions, once for all messages.

        Args:
            candidates: the descriptions.
            cached: False keeps only the tokens, for prefixes that stand before them: every message
                is then read together with them again.

        Raises:
            ValueError: if the lists differ in length, or two descriptions are the same to the readout.
        """
        sizes = {len(descriptions) for descriptions in candidates}
        if len(sizes) != 1:
            raise ValueError(f"all receivers must see equally many candidates, got {sorted(sizes)}")
        prompts = [self.before(descriptions) for descriptions in candidates]
        context = self.read_tokens(prompts, sizes.pop(), cached)
        return context._replace(choices=self.readout.choices(self, context, candidates))

    @torch.no_grad()
    def read_tokens(self, prompts: Sequence[list[int]], num_candidates: int, cached: bool = True) -> Context:
        """Read B prompts up to the slot, as token ids behind the solved examples; `cached`: see `read`."""
        own, counted = self.lm.left_pad(prompts)
        preamble = self.preamble
        ids, mask = torch.cat([preamble.ids.expand(len(own), -1), own], dim=1), preamble.begin(counted)
        self.check_length(ids.shape[1])
        if not cached:
            return Context((), ids, mask, num_candidates)
        cache = preamble.cache(self.lm, len(own))
        self.run(self.embed_ids(own), mask.long(), positions_of(mask)[:, -own.shape[1] :], cache)
        layers = tuple((layer.keys, layer.values) for layer in cache.layers)
        return Context(layers, ids, mask, num_candidates)

    @cached_property
    def preamble(self) -> Preamble:
        """The solved examples, read once for all episodes; of no tokens where there are none."""
        return read_preamble(self.lm, self.shown)

    def choose(self, context: Context, receiver_input: ReceiverInput) -> Float[Tensor, "B N"]:
        """Log-odds of the N candidates, float32, with gradient to the receiver input.

        Args:
            context: what G receivers have read.
            receiver_input: of B = G * M messages, M in a row for each context.

        Raises:
            ValueError: if a prefix has another width than the model, all of it is too long, or some contexts
                would get more messages than others.
        """
        return self.answer(context, receiver_input).logits

    def answer(self, context: Context, receiver_input: ReceiverInput) -> Answers:
        """What the receivers answer, as their readout reads it; see `choose`."""
        return self.readout.answer(self, context, receiver_input)

    def nll(self, answers: Answers, choices: Int[Tensor, " B"], among: Among) -> Float[Tensor, " B"]:
        """-log p of B choices, in nats: among the N choices alone, or among all that could be said."""
        return self.readout.nll(answers, choices, among)

    def answer_states(self, context: Context, receiver_input: ReceiverInput) -> Float[Tensor, "B D"]:
        """The final states in which answers begin, with gradient to the receiver input; see `choose`."""
        return self.hear(context, receiver_input).states

    def hear(self, context: Context, receiver_input: ReceiverInput) -> Heard:
        """Up to where answers begin, with gradient to the receiver input; see `choose`."""
        each = messages_per_context(len(context.mask), num_inputs(receiver_input))
        if not context.layers or (isinstance(receiver_input, SoftPrompt) and receiver_input.at_start):
            # what was read without the prefix is of no use: it could not look at what stands before it
            return self._hear_anew(context.repeat(each), receiver_input)
        if isinstance(receiver_input, CacheEntries):
            return self.hear(
                self._remember(context.repeat(each), receiver_input), self.nothing(receiver_input)
            )
        if isinstance(receiver_input, ActivationPatch):
            with patched(self.lm.model.model, receiver_input):
                return self.hear(context.repeat(each), self.nothing(receiver_input))
        slot = self.fill(receiver_input)
        tail = self.embed_tail(len(slot.vectors))
        vectors = torch.cat([slot.vectors, tail], dim=1)
        self.check_length(context.mask.shape[1] + vectors.shape[1])
        read = context.mask[:, None].expand(-1, each, -1)
        row = lay_out(read, vectors, torch.cat([slot.mask, all_of(tail)], dim=1))
        cache = DynamicCache(ddp_cache_data=context.layers, config=self.lm.model.config)
        hidden = self.run(row.vectors, row.mask, row.positions, cache)
        length = vectors.shape[1]
        states = hidden.reshape(len(vectors), length, -1)[:, -1]
        return Heard(states, cache, row.seen[:, length - 1 :: length])

    def continue_with(
        self, heard: Heard, ids: Int[Tensor, "B N L"], counted: Bool[Tensor, "B N L"]
    ) -> Float[Tensor, "B N L D"]:
        """Final states of N continuations behind each of B messages: a tree in each row.

        Args:
            heard: what the continuations begin behind; used up by this.
            ids: their tokens, padded on the right.
            counted: which are no padding.
        """
        batch, branches, length = ids.shape
        self.check_length(int(heard.seen.sum(-1).max()) + length)
        read = heard.seen.repeat_interleave(branches, dim=1)
        row = lay_out(read, self.embed_ids(ids.flatten(0, 1)), counted.flatten(0, 1))
        hidden = self.run(row.vectors, row.mask, row.positions, heard.cache)
        return hidden.reshape(batch, branches, length, -1)

    def _remember(self, context: Context, memory: CacheEntries) -> Context:
        """The context with entries behind it in every layer's cache, as if they had been read."""
        layers, kept = extend(self.lm.model.model, context.layers, context.mask, memory)
        ids = torch.zeros_like(kept, dtype=torch.long)  # they stand for no token
        return context._replace(
            layers=layers,
            ids=torch.cat([context.ids, ids], dim=1),
            mask=torch.cat([context.mask, kept], dim=1),
        )

    def nothing(self, receiver_input: ReceiverInput) -> SoftPrompt:
        """Empty slots, for as many messages."""
        return SoftPrompt(torch.zeros(num_inputs(receiver_input), 0, self.lm.width, device=self.lm.device))

    def choose_uncached(
        self, candidates: Sequence[Sequence[str]], receiver_input: ReceiverInput
    ) -> Float[Tensor, "B N"]:
        """The same as `choose(read(candidates), receiver input)` in full passes: the plain reference.

        Raises:
            ValueError: for entries of the cache, which no full pass can hold.
        """
        return self.readout.answer_uncached(self, candidates, receiver_input).logits

    def _hear_anew(self, context: Context, receiver_input: ReceiverInput) -> Heard:
        """Hear one message behind each context, which is read again with it."""
        cache = DynamicCache(config=self.lm.model.config)
        states, mask = full_pass(self, context.ids, context.mask, receiver_input, cache=cache)
        return Heard(states[:, -1], cache, mask[:, None])

    def run(
        self, vectors: Tensor, mask: Tensor, positions: Int[Tensor, "B T"], cache: DynamicCache | None
    ) -> Float[Tensor, "B T D"]:
        """Final hidden states of new positions; the mask is (B, past + T), or added: (B, 1, T, past + T)."""
        hidden: Tensor = self.lm.model.model(
            inputs_embeds=vectors,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        return hidden.to(self.lm.device)
