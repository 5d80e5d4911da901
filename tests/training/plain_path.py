"""The plain path: one receiver, one list of candidates, one message, the whole chat in one pass.

Nothing here is batched, padded or kept from one message to the next. What it has in common with the
receiver is what is not under test: the prompt's words, the tokenizer and the model's own modules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from transformers import DynamicCache

from parley.agents.prompts import LABELS, SLOT, receiver_prompt
from parley.agents.receiver import Receiver
from parley.channels.base import ActivationPatch, CacheEntries, TextInput


class PlainReceiver:
    """Log-odds of all tokens after the whole chat, for one list of candidates and one message."""

    def __init__(self, lm):
        self.lm, self.model = lm, lm.model
        self.labels = [lm.encode(label)[0] for label in LABELS]

    def answer(self, candidates: Sequence[str], receiver_input) -> torch.Tensor:
        """(W,) float32, with gradient to the one receiver input that is given."""
        return self.say(candidates, receiver_input, [])[0]

    def scores(self, answer, num_candidates):
        """Those of the candidates' letters."""
        return answer[self.labels[:num_candidates]]

    def nll(self, answer, candidate):
        """-log p of a candidate's letter among all tokens."""
        return answer.logsumexp(0) - answer[self.labels[candidate]]

    def say(self, candidates, receiver_input, words: list[int]) -> torch.Tensor:
        """(1 + L, W): log-odds where the answer begins, and after each of its L words."""
        before, after = map(self._embed, self.prompt(candidates))
        after, answers = torch.cat([after, self._embed(words)]), 1 + len(words)
        if isinstance(receiver_input, TextInput):
            [text] = receiver_input.texts
            return self._run([before, self._embed(self.tokens_of(text)), after], answers)
        if isinstance(receiver_input, CacheEntries):
            return self._run_after(before, receiver_input, after, answers)
        if isinstance(receiver_input, ActivationPatch):
            return self._run_grafted([before, after], receiver_input, answers)
        vectors = receiver_input.vectors[0]
        if receiver_input.mask is not None:
            vectors = vectors[receiver_input.mask[0]]
        vectors = vectors.to(self.lm.dtype)
        parts = [vectors, before] if receiver_input.at_start else [before, vectors]
        return self._run([*parts, after], answers)

    def tokens_of(self, text):
        """What stands in the slot for a text: after a space, and nothing for nothing."""
        return self.lm.encode_plain(f" {text}" if text else "")

    def prompt(self, candidates):
        """Token ids of the chat before the message and after it."""
        before, after = self.lm.render(receiver_prompt(candidates)).split(SLOT)
        return self.lm.encode(before), self.lm.encode(after)

    def _embed(self, ids):
        return self.model.get_input_embeddings().weight[torch.tensor(ids, dtype=torch.long)]

    def _run(self, parts, answers):
        return self.model(inputs_embeds=torch.cat(parts)[None], use_cache=False).logits[0, -answers:].float()

    def _run_grafted(self, parts, graft, answers):
        """Ramesh and Li (2025): layer max(1, floor(depth * L)) has another result where the answer begins."""
        number = max(1, math.floor(graft.depth * len(self.model.model.layers)))
        place = sum(map(len, parts)) - answers

        def change(module, arguments, states):
            own, sent = states[0, place], graft.states[0].to(states.dtype)
            new = {"replace": sent, "add": own + sent, "mean": (own + sent) / 2}[graft.mode]
            return torch.cat([states[:, :place], new[None, None], states[:, place + 1 :]], dim=1)

        hook = self.model.model.layers[number - 1].register_forward_hook(change)
        try:
            return self._run(parts, answers)
        finally:
            hook.remove()

    def _run_after(self, before, memory, after, answers):
        """No single pass can hold entries of the cache: they are put there between two."""
        cache = DynamicCache(config=self.model.config)
        with torch.no_grad():
            self.model(inputs_embeds=before[None], past_key_values=cache, use_cache=True)
        kept = torch.ones(memory.keys.shape[3], dtype=torch.bool) if memory.mask is None else memory.mask[0]
        longer = []
        for layer, keys, values in zip(cache.layers, memory.keys[0], memory.values[0], strict=True):
            turned = self._turned(keys[:, kept], first=len(before)).to(layer.keys.dtype)
            longer.append(
                (
                    torch.cat([layer.keys[0], turned], dim=1)[None],
                    torch.cat([layer.values[0], values[:, kept].to(layer.values.dtype)], dim=1)[None],
                )
            )
        behind = DynamicCache(ddp_cache_data=longer, config=self.model.config)
        logits = self.model(inputs_embeds=after[None], past_key_values=behind, use_cache=True).logits
        return logits[0, -answers:].float()

    def _turned(self, keys, first):
        """Keys (H, k, W) at positions first, first + 1, ...: pairs of numbers, turned (Su et al., 2021)."""
        half = keys.shape[-1] // 2
        slowness = self.model.config.rope_parameters["rope_theta"] ** (torch.arange(half) / half)
        angles = torch.arange(first, first + keys.shape[1])[:, None] / slowness
        one, other = keys[..., :half], keys[..., half:]
        return torch.cat(
            [one * angles.cos() - other * angles.sin(), other * angles.cos() + one * angles.sin()], dim=-1
        )


class PlainLikelihood(PlainReceiver):
    """The score of each candidate's text, one text after another."""

    def __init__(self, receiver: Receiver):
        super().__init__(receiver.lm)
        self.readout, self.turns = receiver.readout, receiver.turns
        self._baselines = {}

    def answer(self, candidates, receiver_input):
        """(2, N): calibrated, and as they are."""
        scores, known = self._score(candidates, receiver_input), tuple(candidates)
        if known not in self._baselines:
            with torch.no_grad():
                neutral = [self._score(candidates, TextInput([message])) for message in self.readout.neutral]
            self._baselines[known] = sum(neutral) / len(neutral)
        return torch.stack([scores - self._baselines[known], scores])

    def scores(self, answer, num_candidates):
        """Those that are calibrated."""
        return answer[0]

    def nll(self, answer, candidate):
        """-log p of a candidate's text among all that could be said."""
        return -answer[1][candidate]

    def prompt(self, candidates):
        """Token ids of the chat before the message and after it, behind the solved examples."""
        before, after = self.lm.render(self.readout.prompt(candidates), self.turns).split(SLOT)
        return self.lm.encode(before), self.lm.encode(after)

    def _score(self, candidates, receiver_input):
        scores = []
        for text in candidates:
            words = self.lm.encode_plain(text)
            log_p = self.say(candidates, receiver_input, words).log_softmax(-1)
            scores.append(sum(log_p[place, word] for place, word in enumerate(words)))
        return torch.stack(scores)
