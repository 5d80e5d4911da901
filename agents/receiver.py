"""The receiver: reads the candidates once, then chooses under as many messages as one likes.

Its prompt is rendered by the model's own chat template and cut at the slot. What stands before
the slot depends on neither message nor channel, so it is read once, without gradient, into a
KV cache; only the slot and the few tokens after it are run for each receiver input, side by side for
all receiver inputs of one context.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from parley.agents.features import positions_of
from parley.agents.injection import Layer, extend, patched
from parley.agents.language_model import FrozenLM
from parley.agents.packing import lay_out, messages_per_context
from parley.agents.prompts import SLOT, cut_at_slot, slot_text
from parley.agents.readout import DEFAULT_READOUT, READOUTS, Among, Answers
from parley.channels.base import ActivationPatch, CacheEntries, ReceiverInput, SoftPrompt
from parley.channels.receiver_input import num_inputs


class Context(NamedTuple):
    """What B receivers have read: its tokens, their keys and values, and which positions count."""

    layers: tuple[Layer, ...]
    ids: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]
    num_candidates: int

    def repeat(self, times: int) -> Context:
        """Each row `times` times in a row, to be played under that many messages: B * times rows."""
        rows = torch.arange(len(self.mask), device=self.mask.device).repeat_interleave(times)
        return self.take(rows)

    def take(self, rows: Int[Tensor, " R"]) -> Context:
        """The contexts with these numbers, in this order; one may be taken more than once."""
        # each layer's keys and values are where the layer is, which need not be where the masks are
        layers = tuple(
            (keys[here], values[here]) for keys, values in self.layers for here in [rows.to(keys.device)]
        )
        return Context(layers, self.ids[rows], self.mask[rows], self.num_candidates)


class Slot(NamedTuple):
    """Vectors that fill the slot, left-padded, and which of them count."""

    vectors: Float[Tensor, "B S E"]
    mask: Bool[Tensor, "B S"]


class Receiver:
    """Chooses among candidates; a readout says how the choice is read off the model.

    Args:
        lm: the frozen model.
        readout: registered name of the readout.

    Raises:
        ValueError: if the readout is unknown, or the model's tokenizer does not allow it.
    """

    def __init__(self, lm: FrozenLM, readout: str = DEFAULT_READOUT) -> None:
        self.lm, self.readout = lm, READOUTS.find(readout)(lm)
        self.tail = lm.encode(cut_at_slot(lm.render(SLOT)).after)  # tokens between the slot and the answer

    @torch.no_grad()
    def read(self, candidates: Sequence[Sequence[str]], cached: bool = True) -> Context:
        """Read B lists of N descriptions, once for all messages.

        Args:
            candidates: the descriptions.
            cached: False keeps only the tokens, for prefixes that stand before them: every message
                is then read together with them again.

        Raises:
            ValueError: if the lists differ in length.
        """
        sizes = {len(descriptions) for descriptions in candidates}
        if len(sizes) != 1:
            raise ValueError(f"all receivers must see equally many candidates, got {sorted(sizes)}")
        prompts = [self._before(descriptions) for descriptions in candidates]
        return self.read_tokens(prompts, sizes.pop(), cached)

    @torch.no_grad()
    def read_tokens(self, prompts: Sequence[list[int]], num_candidates: int, cached: bool = True) -> Context:
        """Read B prompts up to the slot, as token ids; `cached` is as in `read`."""
        ids, mask = self.lm.left_pad(prompts)
        if not cached:
            return Context((), ids, mask, num_candidates)
        cache = DynamicCache(config=self.lm.model.config)
        self._backbone(self.embed_ids(ids), mask.long(), positions_of(mask), cache)
        layers = tuple((layer.keys, layer.values) for layer in cache.layers)
        return Context(layers, ids, mask, num_candidates)

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
        each = messages_per_context(len(context.mask), num_inputs(receiver_input))
        if not context.layers or (isinstance(receiver_input, SoftPrompt) and receiver_input.at_start):
            # what was read without the prefix is of no use: it could not look at what stands before it
            whole = context.repeat(each)
            return self._full_pass(whole.ids, whole.mask, receiver_input)
        if isinstance(receiver_input, CacheEntries):
            return self.answer_states(
                self._remember(context.repeat(each), receiver_input), self._nothing(receiver_input)
            )
        if isinstance(receiver_input, ActivationPatch):
            with patched(self.lm.model.model, receiver_input):
                return self.answer_states(context.repeat(each), self._nothing(receiver_input))
        slot = self.fill(receiver_input)
        tail = self._embed_tail(len(slot.vectors))
        vectors = torch.cat([slot.vectors, tail], dim=1)
        self._check_length(context.mask.shape[1] + vectors.shape[1])
        row = lay_out(context.mask, vectors, torch.cat([slot.mask, _all_of(tail)], dim=1))
        cache = DynamicCache(ddp_cache_data=context.layers, config=self.lm.model.config)
        hidden = self._backbone(*row, cache)
        return hidden.reshape(len(vectors), vectors.shape[1], -1)[:, -1]

    def _remember(self, context: Context, memory: CacheEntries) -> Context:
        """The context with entries behind it in every layer's cache, as if they had been read."""
        layers, kept = extend(self.lm.model.model, context.layers, context.mask, memory)
        ids = torch.zeros_like(kept, dtype=torch.long)  # they stand for no token
        return Context(
            layers,
            torch.cat([context.ids, ids], dim=1),
            torch.cat([context.mask, kept], dim=1),
            context.num_candidates,
        )

    def _nothing(self, receiver_input: ReceiverInput) -> SoftPrompt:
        """Empty slots, for as many messages."""
        return SoftPrompt(torch.zeros(num_inputs(receiver_input), 0, self.lm.width, device=self.lm.device))

    def choose_uncached(
        self, candidates: Sequence[Sequence[str]], receiver_input: ReceiverInput
    ) -> Float[Tensor, "B N"]:
        """The same as `choose(read(candidates), receiver input)` in one full pass: the plain reference.

        Raises:
            ValueError: for entries of the cache, which no full pass can hold.
        """
        return self.readout.answer_uncached(self, candidates, receiver_input).logits

    def answer_states_uncached(
        self, candidates: Sequence[Sequence[str]], receiver_input: ReceiverInput
    ) -> Float[Tensor, "B D"]:
        """The states of `answer_states` in one full pass over B lists of descriptions."""
        ids, mask = self.lm.left_pad([self._before(descriptions) for descriptions in candidates])
        return self._full_pass(ids, mask, receiver_input)

    def _full_pass(
        self, ids: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"], receiver_input: ReceiverInput
    ) -> Float[Tensor, "B D"]:
        """The same in one full pass, with a prefix where it belongs: in the slot or at the start."""
        if isinstance(receiver_input, ActivationPatch):
            with patched(self.lm.model.model, receiver_input):
                return self._full_pass(ids, mask, self._nothing(receiver_input))
        slot = self.fill(receiver_input)
        tail = self._embed_tail(len(slot.vectors))
        parts = [(self.embed_ids(ids), mask), (slot.vectors, slot.mask)]
        if isinstance(receiver_input, SoftPrompt) and receiver_input.at_start:
            parts.reverse()  # padding between prefix and prompt is masked, and takes no position
        vectors, masks = zip(*parts, (tail, _all_of(tail)), strict=True)
        inputs, mask = torch.cat(vectors, dim=1), torch.cat(masks, dim=1)
        self._check_length(mask.shape[1])
        return self._backbone(inputs, mask.long(), positions_of(mask), cache=None)[:, -1]

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
        return self.lm.encode(cut_at_slot(self.lm.render(self.readout.prompt(descriptions))).before)

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
