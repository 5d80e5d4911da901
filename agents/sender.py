"""The sender: sees one referent, and says it in words and in the states of its own reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parley.agents.examples import NO_EXAMPLES, Examples
from parley.agents.features import (
    MAX_DESCRIPTION_TOKENS,
    Preamble,
    cache_rows,
    expectation,
    greedy_tokens,
    layer_states,
    read_preamble,
)
from parley.agents.language_model import FrozenLM
from parley.agents.lazy_words import LazyWords
from parley.agents.player import SenderSettings
from parley.agents.prompts import Turn, sender_prompt
from parley.agents.sender_cache import Kept, KeptStates, KeptWords, digest_of, in_batches
from parley.agents.shown_turns import ShownTurns
from parley.channels.base import SenderFeatures, Utterance
from parley.envs.world import AnyWorld, Referents

T = TypeVar("T")


class Sender:
    """Speaks about referents; each is described and read once and then kept.

    What it is shown first is the same for all referents, so it is read once, into a KV cache.

    Args:
        lm: the frozen model.
        world: what it speaks about.
        settings: how it is asked.
        examples: solved ones to be shown first.
        cache: folder in which what it says and reads is kept; None keeps it in memory alone.

    Raises:
        ValueError: if its examples leave no room in the model's context.

    Attributes:
        shown: tokens of the solved examples, before everything else.
        num_positions: most states that are read of a referent; those of the examples are not among them.
    """

    def __init__(
        self,
        lm: FrozenLM,
        world: AnyWorld,
        settings: SenderSettings = SenderSettings(),  # noqa: B008 - immutable
        examples: Examples = NO_EXAMPLES,
        cache: Path | None = None,
    ) -> None:
        self.lm, self.world, self.settings, self.cache = lm, world, settings, cache
        self.turns = [
            Turn(sender_prompt(example.facts), example.message)
            for example in examples.spoken[: settings.shots]
        ]
        self._examples = ShownTurns(lm, self.turns)
        self.shown = self._examples.tokens
        prompts = self.prompts(self._widest_referents())
        self.num_positions = max(MAX_DESCRIPTION_TOKENS, *(len(row) for row in prompts))
        self._check_length(max(map(len, prompts)))
        self._key = {
            "sender": self.fingerprint,
            "dtype": str(lm.dtype),
            "world": world.name,
            # every value of the world, as it is asked about
            "prompts": hashlib.sha256(json.dumps(prompts).encode()).hexdigest(),
            "longest": MAX_DESCRIPTION_TOKENS,
        }
        self._texts: Kept[str] = KeptWords(cache, "words", self._key)
        self._states: dict[str, Kept[Tensor]] = {}

    def _check_length(self, prompt: int) -> None:
        taken = len(self.shown) + prompt + MAX_DESCRIPTION_TOKENS
        if self.turns and taken > self.lm.max_length:
            raise ValueError(
                f"shots must be fewer than {len(self.turns)}: with them the sender's prompt and its answer "
                f"take {taken} tokens, more than the {self.lm.max_length} of model {self.lm.name!r}"
            )

    @cached_property
    def preamble(self) -> Preamble:
        """The solved examples, read once for all referents; of no tokens where there are none."""
        return read_preamble(self.lm, self.shown)

    @property
    def fingerprint(self) -> str:
        """What tells it from other senders: its weights, and the examples that it is shown."""
        if not self.turns:
            return self.lm.fingerprint
        shown = json.dumps([self.lm.fingerprint, *self.turns])
        return hashlib.sha256(shown.encode()).hexdigest()

    def speak(self, referents: Referents, features: SenderFeatures = SenderFeatures()) -> Utterance:  # noqa: B008 - immutable
        """What the sender says of B referents (B, A): greedy words, and the states that are wanted."""
        words = LazyWords(len(referents), partial(self.describe, referents))
        return Utterance(words, *self.read(referents, features))

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

        The prompt's are those of the last turn: what is shown before says nothing about the referent.

        Raises:
            ValueError: if the depth is not from 0 to 1.
        """
        if features.what == "expected":
            raise ValueError("expected embeddings are the receiver's too: ask the pair, not the sender alone")
        layer = self.layer(features.depth) if features.what == "states" else features.what
        if features.of == "message":
            self._remember(self._texts, referents, self._describe)
        known = self._known(layer if isinstance(layer, str) else f"layer-{layer}", features.of)
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
        known = self._known("expected", "message", embeddings)
        self._remember(
            known,
            referents,
            lambda rows: expectation(self.lm, self.prompts(rows), embeddings, self.preamble),
        )
        return self._padded(known, referents)

    def exactness(self, referents: Referents) -> float:
        """Share, 0 to 1, of n referents (n, A) that it describes exactly, but for blanks around.

        Raises:
            ValueError: if there are none.
        """
        if not len(referents):
            raise ValueError("exactness needs at least one referent, got none")
        wanted = [self.world.describe(referent).strip() for referent in referents]
        said = [text.strip() for text in self.describe(referents)]
        return float(np.mean([ours == theirs for ours, theirs in zip(said, wanted, strict=True)]))

    def _known(self, what: str, of: str, table: Float[Tensor, "V E"] | None = None) -> Kept[Tensor]:
        """What is known of one reading; what was kept of it on disk is read when it is first asked for."""
        reading = f"{what}-of-{of}"
        if reading not in self._states:
            more = {} if table is None or self.cache is None else {"table": digest_of(table)}
            self._states[reading] = KeptStates(self.lm.device, self.cache, reading, self._key | more)
        return self._states[reading]

    def _padded(
        self, known: dict[int, Tensor], referents: Referents
    ) -> tuple[Float[Tensor, "B T D"], Bool[Tensor, "B T"]]:
        """What is kept of B referents, and which positions count."""
        rows = [known[index] for index in self.world.index(referents).tolist()]
        states = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows], device=states.device)
        return states, torch.arange(states.shape[1], device=states.device) < lengths[:, None]

    def _remember(
        self, known: Kept[T], referents: Referents, compute: Callable[[list[Referents]], list[T]]
    ) -> None:
        """Compute what is not yet known, each referent once."""
        new: dict[int, Referents] = dict(zip(self.world.index(referents).tolist(), referents, strict=True))
        missing = [index for index in new if index not in known]
        for part in in_batches(missing, known.rows_at_once, known.reading):
            known.add(dict(zip(part, compute([new[index] for index in part]), strict=True)))

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
        """Token ids of what it is told of each referent, behind the preamble."""
        asked = (sender_prompt(self.world.facts(referent)) for referent in referents)
        return [self.lm.encode(self._examples.behind(question)) for question in asked]

    @torch.no_grad()
    def _describe(self, referents: list[Referents]) -> list[str]:
        """Greedy words, to the end of the turn or of the line."""
        said = greedy_tokens(self.lm, self.prompts(referents), self.preamble)
        texts = self.lm.tokenizer.batch_decode(said, skip_special_tokens=True)
        return [text.strip().split("\n")[0] for text in texts]

    @torch.no_grad()
    def _read(self, referents: list[Referents], layer: int | str, of: str) -> list[Float[Tensor, "T D"]]:
        rows = self.prompts(referents)
        if of == "message":
            said = [self.lm.encode_plain(text) for text in self._words(referents)]
            rows = [prompt + words for prompt, words in zip(rows, said, strict=True)]
        ids, mask = self.lm.left_pad(rows)
        if isinstance(layer, str):
            states = cache_rows(self.lm, ids, mask, self.preamble)
        else:
            states = layer_states(self.lm, ids, mask, layer, self.preamble)
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
