"""The sender: sees one referent, and says it in words and in the states of its own reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parley.agents.examples import NO_EXAMPLES, Examples
from parley.agents.features import MAX_DESCRIPTION_TOKENS, cache_rows, expectation, layer_states
from parley.agents.language_model import FrozenLM
from parley.agents.player import SenderSettings
from parley.agents.prompts import Turn, sender_prompt
from parley.channels.base import SenderFeatures, Utterance
from parley.envs.world import AnyWorld, Referents

ROWS_AT_ONCE = 256
T = TypeVar("T")


class Sender:
    """Speaks about referents; each is described and read once and then kept.

    Args:
        lm: the frozen model.
        world: what it speaks about.
        settings: how it is asked.
        examples: solved ones to be shown first.
    """

    def __init__(
        self,
        lm: FrozenLM,
        world: AnyWorld,
        settings: SenderSettings = SenderSettings(),  # noqa: B008 - immutable
        examples: Examples = NO_EXAMPLES,
    ) -> None:
        self.lm, self.world, self.settings = lm, world, settings
        self.turns = [
            Turn(sender_prompt(example.facts), example.message)
            for example in examples.spoken[: settings.shots]
        ]
        self._texts: dict[int, str] = {}
        self._states: dict[tuple[int | str, str], dict[int, Tensor]] = {}
        prompts = self.prompts(self._widest_referents())
        self.num_positions = max(MAX_DESCRIPTION_TOKENS, *(len(row) for row in prompts))

    @property
    def fingerprint(self) -> str:
        """What tells it from other senders: its weights, and the examples that it is shown."""
        if not self.turns:
            return self.lm.fingerprint
        shown = json.dumps([self.lm.fingerprint, *self.turns])
        return hashlib.sha256(shown.encode()).hexdigest()

    def speak(self, referents: Referents, features: SenderFeatures = SenderFeatures()) -> Utterance:  # noqa: B008 - immutable
        """What the sender says of B referents (B, A): greedy words, and the states that are wanted."""
        texts = self.describe(referents)
        return Utterance(texts, *self.read(referents, features))

    def describe(self, referents: Referents) -> list[str]:
        """Its greedy words about B referents (B, A)."""
        self._remember(self._texts, referents, self._describe)
        return self._words(referents)

    def read(
        self,
        referents: Referents,
        features: SenderFeatures = SenderFeatures(),  # noqa: B008 - immutable
    ) -> tuple[Float[Tensor, "B T D"], Bool[Tensor, "B T"]]:
        """States over the prompt's or the message's tokens, aligned at the first of them, and their mask.

        Raises:
            ValueError: if the depth is not from 0 to 1.
        """
        if features.what == "expected":
            raise ValueError("expected embeddings are the receiver's too: ask the pair, not the sender alone")
        layer = self.layer(features.depth) if features.what == "states" else features.what
        if features.of == "message":
            self._remember(self._texts, referents, self._describe)
        known = self._states.setdefault((layer, features.of), {})
        self._remember(known, referents, partial(self._read, layer=layer, of=features.of))
        return self._padded(known, referents)

    def expect(
        self, referents: Referents, embeddings: Float[Tensor, "V E"]
    ) -> tuple[Float[Tensor, "B T E"], Bool[Tensor, "B T"]]:
        """What it would say of B referents as expected embeddings, and their mask; see `expectation`.

        Args:
            referents: value indices (B, A).
            embeddings: the table in which is expected; always the same one.
        """
        known = self._states.setdefault(("expected", "message"), {})
        self._remember(known, referents, lambda rows: expectation(self.lm, self.prompts(rows), embeddings))
        return self._padded(known, referents)

    def _padded(
        self, known: dict[int, Tensor], referents: Referents
    ) -> tuple[Float[Tensor, "B T D"], Bool[Tensor, "B T"]]:
        """What is kept of B referents, and which positions count."""
        rows = [known[index] for index in self.world.index(referents).tolist()]
        states = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows], device=states.device)
        return states, torch.arange(states.shape[1], device=states.device) < lengths[:, None]

    def _remember(
        self, known: dict[int, T], referents: Referents, compute: Callable[[list[Referents]], list[T]]
    ) -> None:
        """Compute what is not yet known, each referent once."""
        new: dict[int, Referents] = dict(zip(self.world.index(referents).tolist(), referents, strict=True))
        missing = [index for index in new if index not in known]
        for start in range(0, len(missing), ROWS_AT_ONCE):
            part = missing[start : start + ROWS_AT_ONCE]
            known.update(zip(part, compute([new[index] for index in part]), strict=True))

    def layer(self, depth: float) -> int:
        """The layer at a depth from 0 (embeddings) to 1 (last).

        Raises:
            ValueError: if the depth is out of range.
        """
        if not 0 <= depth <= 1:
            raise ValueError(f"depth must be from 0 to 1, got {depth}")
        return int(depth * self.lm.num_layers)

    def _words(self, referents: Iterable[Referents]) -> list[str]:
        return [self._texts[int(self.world.index(referent))] for referent in referents]

    def prompts(self, referents: list[Referents]) -> list[list[int]]:
        """Token ids of what it is told of each referent, solved examples first."""
        return [
            self.lm.encode(self.lm.render(sender_prompt(self.world.facts(referent)), self.turns))
            for referent in referents
        ]

    @torch.no_grad()
    def _describe(self, referents: list[Referents]) -> list[str]:
        """Greedy words, to the end of the turn or of the line."""
        ids, mask = self.lm.left_pad(self.prompts(referents))
        said = self.lm.model.generate(
            input_ids=ids,
            attention_mask=mask.long(),
            max_new_tokens=MAX_DESCRIPTION_TOKENS,
            do_sample=False,
            pad_token_id=self.lm.tokenizer.pad_token_id,
        )
        texts = self.lm.tokenizer.batch_decode(said[:, ids.shape[1] :], skip_special_tokens=True)
        return [text.strip().split("\n")[0] for text in texts]

    @torch.no_grad()
    def _read(self, referents: list[Referents], layer: int | str, of: str) -> list[Float[Tensor, "T D"]]:
        rows = self.prompts(referents)
        if of == "message":
            said = [self.lm.encode_plain(text) for text in self._words(referents)]
            rows = [prompt + words for prompt, words in zip(rows, said, strict=True)]
        ids, mask = self.lm.left_pad(rows)
        if isinstance(layer, str):
            states = cache_rows(self.lm, ids, mask)
        else:
            states = layer_states(self.lm, ids, mask, layer)
        whole = [row[kept].float() for row, kept in zip(states, mask, strict=True)]
        if of == "prompt":
            return whole
        # an empty message still has one state, the last of the prompt
        return [row[-max(1, len(words)) :].clone() for row, words in zip(whole, said, strict=True)]

    def _widest_referents(self) -> list[Referents]:
        """The referent whose every value takes most tokens, and those by which it was found."""
        base = np.zeros(len(self.world.num_values), dtype=np.int64)
        widest, tried = base.copy(), [base]
        for attribute, num_values in enumerate(self.world.num_values.tolist()):
            variants = [base.copy() for _ in range(num_values)]
            for value, variant in enumerate(variants):
                variant[attribute] = value
            widest[attribute] = int(np.argmax([len(row) for row in self.prompts(variants)]))
            tried += variants
        return [widest, *tried]
