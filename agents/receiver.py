"""The receiver: reads the candidates once, then chooses under as many messages as one likes.

Its prompt is rendered by the model's own chat template and cut at the slot. What stands before
the slot depends on neither message nor channel, so it is read once, without gradient, into a
KV cache; only the slot and the few tokens after it are run for each receiver input, side by side for
all receiver inputs of one context.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from parley.agents.context import Context, Heard
from parley.agents.examples import NO_EXAMPLES, Examples, Solved
from parley.agents.features import positions_of
from parley.agents.injection import extend, patched
from parley.agents.language_model import FrozenLM
from parley.agents.packing import lay_out, messages_per_context
from parley.agents.player import ReceiverSettings
from parley.agents.prompts import SLOT, Turn, cut_at_slot, slot_text
from parley.agents.readout import READOUTS, Among, Answers
from parley.channels.base import ActivationPatch, CacheEntries, ReceiverInput, SoftPrompt
from parley.channels.receiver_input import num_inputs


class Slot(NamedTuple):
    """Vectors that fill the slot, left-padded, and which of them count."""

    vectors: Float[Tensor, "B S E"]
    mask: Bool[Tensor, "B S"]


class Receiver:
    """Chooses among candidates; a readout says how the choice is read off the model.

    Args:
        lm: the frozen model.
        settings: how it is asked, and which readout.
        examples: solved ones to be shown first, and messages by which scores are calibrated.

    Raises:
        ValueError: if a setting is unknown, or the model's tokenizer does not allow the readout.
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
        self._preamble = cut_at_slot(lm.render(SLOT, self.turns)).before if self.turns else ""
        # tokens between the slot and the answer
        self.tail = lm.encode(cut_at_slot(lm.render(self.readout.prompt([]), self.turns)).after)

    def _solve(self, example: Solved) -> Turn:
        """A solved example as an earlier turn of the chat."""
        asked = self.readout.prompt(example.options).replace(SLOT, slot_text(example.message))
        return Turn(asked, self.readout.reply(example.options, example.target))

    @torch.no_grad()
    def read(self, candidates: Sequence[Sequence[str]], cached: bool = True) -> Context:
        """Read B lists of N descriptions, once for all messages.

        Args:
            candidates: the descriptions.
            cached: False keeps only the tokens, for prefixes that stand before them: every message
                is then read together with them again.

        Raises:
            ValueError: if the lists differ in length, or the readout cannot tell two descriptions apart.
        """
        sizes = {len(descriptions) for descriptions in candidates}
        if len(sizes) != 1:
            raise ValueError(f"all receivers must see equally many candidates, got {sorted(sizes)}")
        prompts = [self._before(descriptions) for descriptions in candidates]
        context = self.read_tokens(prompts, sizes.pop(), cached)
        return context._replace(choices=self.readout.choices(self, context, candidates))

    @torch.no_grad()
    def read_tokens(self, prompts: Sequence[list[int]], num_candidates: int, cached: bool = True) -> Context:
        """Read B prompts up to the slot, as token ids behind the solved examples; `cached` is as in `read`."""
        ids, mask = self.lm.left_pad(prompts)
        shared = self.examples_read
        begun = shared.repeat(len(ids))
        own, start = ids, shared.mask.shape[1]
        ids, mask = torch.cat([begun.ids, ids], dim=1), torch.cat([begun.mask, mask], dim=1)
        self._check_length(ids.shape[1])
        if not cached:
            return Context((), ids, mask, num_candidates)
        cache = DynamicCache(ddp_cache_data=begun.layers, config=self.lm.model.config)
        self._backbone(self.embed_ids(own), mask.long(), positions_of(mask)[:, start:], cache)
        layers = tuple((layer.keys, layer.values) for layer in cache.layers)
        return Context(layers, ids, mask, num_candidates)

    @cached_property
    @torch.no_grad()
    def examples_read(self) -> Context:
        """The solved examples, read once for all episodes: one row, of no tokens where there are none."""
        ids, mask = self.lm.left_pad([self.lm.encode(self._preamble)])
        cache = DynamicCache(config=self.lm.model.config)
        if not ids.shape[1]:
            return Context((), ids, mask, 0)
        self._check_length(ids.shape[1])
        self._backbone(self.embed_ids(ids), mask.long(), positions_of(mask), cache)
        return Context(tuple((layer.keys, layer.values) for layer in cache.layers), ids, mask, 0)

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
                self._remember(context.repeat(each), receiver_input), self._nothing(receiver_input)
            )
        if isinstance(receiver_input, ActivationPatch):
            with patched(self.lm.model.model, receiver_input):
                return self.hear(context.repeat(each), self._nothing(receiver_input))
        slot = self.fill(receiver_input)
        tail = self._embed_tail(len(slot.vectors))
        vectors = torch.cat([slot.vectors, tail], dim=1)
        self._check_length(context.mask.shape[1] + vectors.shape[1])
        read = context.mask[:, None].expand(-1, each, -1)
        row = lay_out(read, vectors, torch.cat([slot.mask, _all_of(tail)], dim=1))
        cache = DynamicCache(ddp_cache_data=context.layers, config=self.lm.model.config)
        hidden = self._backbone(row.vectors, row.mask, row.positions, cache)
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
        self._check_length(int(heard.seen.sum(-1).max()) + length)
        read = heard.seen.repeat_interleave(branches, dim=1)
        row = lay_out(read, self.embed_ids(ids.flatten(0, 1)), counted.flatten(0, 1))
        hidden = self._backbone(row.vectors, row.mask, row.positions, heard.cache)
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

    def _nothing(self, receiver_input: ReceiverInput) -> SoftPrompt:
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

    def hear_uncached(
        self,
        candidates: Sequence[Sequence[str]],
        receiver_input: ReceiverInput,
        after: Int[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B L_1 D"]:
        """Final states where answers begin, and over L tokens of each answer, in one full pass.

        Args:
            candidates: B lists of descriptions.
            receiver_input: of B messages.
            after: tokens of the answers, padded on the right; by default none.
        """
        told = self.lm.encode(self._preamble)
        ids, mask = self.lm.left_pad([told + self._before(descriptions) for descriptions in candidates])
        if after is None:
            after = ids.new_zeros(len(ids), 0)
        vectors, mask = self._whole(ids, mask, receiver_input, after)
        if isinstance(receiver_input, ActivationPatch):
            with patched(self.lm.model.model, receiver_input, place=-1 - after.shape[1]):
                hidden = self._backbone(vectors, mask.long(), positions_of(mask), cache=None)
        else:
            hidden = self._backbone(vectors, mask.long(), positions_of(mask), cache=None)
        return hidden[:, -1 - after.shape[1] :]

    def _hear_anew(self, context: Context, receiver_input: ReceiverInput) -> Heard:
        """Hear one message behind each context, which is read again with it."""
        cache = DynamicCache(config=self.lm.model.config)
        nothing = context.ids.new_zeros(len(context.ids), 0)
        vectors, mask = self._whole(context.ids, context.mask, receiver_input, nothing)
        if isinstance(receiver_input, ActivationPatch):
            with patched(self.lm.model.model, receiver_input):
                hidden = self._backbone(vectors, mask.long(), positions_of(mask), cache)
        else:
            hidden = self._backbone(vectors, mask.long(), positions_of(mask), cache)
        return Heard(hidden[:, -1], cache, mask[:, None])

    def _whole(
        self,
        ids: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"],
        receiver_input: ReceiverInput,
        after: Int[Tensor, "B L"],
    ) -> tuple[Float[Tensor, "B A E"], Bool[Tensor, "B A"]]:
        """All that a receiver gets, with a prefix where it belongs: in the slot or at the start."""
        if isinstance(receiver_input, ActivationPatch):
            receiver_input = self._nothing(receiver_input)
        slot = self.fill(receiver_input)
        parts = [(self.embed_ids(ids), mask), (slot.vectors, slot.mask)]
        if isinstance(receiver_input, SoftPrompt) and receiver_input.at_start:
            parts.reverse()  # padding between prefix and prompt is masked, and takes no position
        tail = torch.cat([self._embed_tail(len(ids)), self.embed_ids(after)], dim=1)
        vectors, masks = zip(*parts, (tail, _all_of(tail)), strict=True)
        self._check_length(sum(part.shape[1] for part in masks))
        return torch.cat(vectors, dim=1), torch.cat(masks, dim=1)

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

    def fill(self, receiver_input: ReceiverInput) -> Slot:
        """The vectors that stand in the slot for a receiver input.

        Raises:
            ValueError: if a prefix is not as wide as the model's embeddings, or nothing stands in the slot.
        """
        if isinstance(receiver_input, SoftPrompt):
            vectors = receiver_input.vectors.to(self.lm.device, self.lm.dtype)
            if vectors.shape[-1] != self.lm.width:
                raise ValueError(f"prefix width must be {self.lm.width}, got {vectors.shape[-1]}")
            mask = _all_of(vectors) if receiver_input.mask is None else receiver_input.mask.to(self.lm.device)
            return Slot(vectors, mask)
        if isinstance(receiver_input, ActivationPatch | CacheEntries):
            raise ValueError(f"the slot holds words or vectors, got a {type(receiver_input).__name__}")
        ids, mask = self.lm.left_pad(self.message_tokens(receiver_input.texts))
        return Slot(self.embed_ids(ids), mask)

    def _before(self, descriptions: Sequence[str]) -> list[int]:
        before = cut_at_slot(self.lm.render(self.readout.prompt(descriptions), self.turns)).before
        return self.lm.encode(before.removeprefix(self._preamble))

    def _embed_tail(self, batch: int) -> Float[Tensor, "B S E"]:
        tail = torch.tensor(self.tail, device=self.lm.device)
        return self.embed_ids(tail.expand(batch, -1))

    def _check_length(self, length: int) -> None:
        if length > self.lm.max_length:
            raise ValueError(
                f"candidates, message and answer take {length} tokens, more than the "
                f"{self.lm.max_length} of model {self.lm.name!r}"
            )

    def _backbone(
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


def _all_of(vectors: Float[Tensor, "B S E"]) -> Bool[Tensor, "B S"]:
    return torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
