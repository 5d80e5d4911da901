"""What the pocket reads while it is pretrained: the two agents' turns, as text alone.

In-context matching sits at chance for long and then clicks, so the receiver's lessons climb
a curriculum: fewer attributes and unlike candidates first. Only training referents occur.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from parley.agents.prompts import LABELS, SLOT, cut_at_slot, receiver_prompt, sender_prompt, slot_text
from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialGame
from parley.envs.world import Referents, World

IGNORED = -100  # the label that torch's cross-entropy leaves out

Piece = tuple[str, bool]  # a text, and whether the model is to learn to say it
Encode = Callable[[str], list[int]]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of the receiver's curriculum; each batch draws one size of each kind.

    Args:
        num_attributes: how many attributes the candidates show (which ones is drawn for each lesson).
        num_candidates: how many candidates there are.
        shared: chance that a candidate keeps an attribute of the common base referent.
        shuffled_labels: share of lessons whose candidates bear any letters in any order, so that
            labels must be copied and cannot be counted.
    """

    num_attributes: tuple[int, ...]
    num_candidates: tuple[int, ...]
    shared: float = 0.0
    shuffled_labels: float = 0.0


CURRICULUM = (
    Stage(num_attributes=(1,), num_candidates=(3,)),
    Stage(num_attributes=(1, 2, 3, 4), num_candidates=(3, 4, 5)),
    Stage(num_attributes=(4,), num_candidates=(5,), shared=0.3, shuffled_labels=0.0),
    Stage(num_attributes=(4,), num_candidates=(5,), shared=0.5, shuffled_labels=0.0),
    Stage(
        num_attributes=(4,),
        num_candidates=(5, 5, 5, 5, 5, 2, 3, 4, 6, 7, 8, 9, 10),
        shared=0.5,
        shuffled_labels=0.2,
    ),
)


class Lessons:
    """Draws lessons about a world's training referents.

    Args:
        world: what the lessons are about.
        num_rounds: messages and answers over one candidate list; their targets are drawn with
            replacement (without it the model learns elimination instead of matching).
    """

    def __init__(self, world: World, num_rounds: int) -> None:
        self.world, self.num_rounds = world, num_rounds
        self._referents = world.referents("train")

    def sender_lesson(self, rng: np.random.Generator) -> list[Piece]:
        """The sender's turn: describe one training referent."""
        referent = self._referents[rng.integers(len(self._referents))]
        return [
            (_user_turn(sender_prompt(self.world.facts(referent))), False),
            (f"{self.world.describe(referent)}<|im_end|>", True),
        ]

    def receiver_batch(self, stage: Stage, size: int, rng: np.random.Generator) -> list[list[Piece]]:
        """`size` lessons of one kind, so that they are equally long."""
        num_attributes = int(rng.choice(stage.num_attributes))
        num_candidates = int(rng.choice(stage.num_candidates))
        return [self.receiver_lesson(stage, num_attributes, num_candidates, rng) for _ in range(size)]

    def receiver_lesson(
        self, stage: Stage, num_attributes: int, num_candidates: int, rng: np.random.Generator
    ) -> list[Piece]:
        """The receiver's turn: one candidate list, then rounds of message and answer."""
        descriptions = self._candidates(stage, num_attributes, num_candidates, rng)
        labels = LABELS[:num_candidates]
        if rng.random() < stage.shuffled_labels:
            labels = tuple(LABELS[i] for i in rng.permutation(len(LABELS))[:num_candidates])
        before, after = cut_at_slot(_user_turn(receiver_prompt(descriptions, labels)))
        pieces: list[Piece] = [(before, False)]
        for number, target in enumerate(rng.integers(num_candidates, size=self.num_rounds)):
            if number:
                pieces.append(("<|im_end|>\n<|im_start|>user\nMessage:", False))
            pieces += [(slot_text(descriptions[target]), False), (after, False), (labels[target], True)]
        return pieces

    def _candidates(
        self, stage: Stage, num_attributes: int, num_candidates: int, rng: np.random.Generator
    ) -> list[str]:
        if num_attributes == len(self.world.attributes):
            config = EpisodeConfig(num_candidates=num_candidates, resample_probability=1 - stage.shared)
            candidates = self._sampler(config).draw(rng).candidates
            return [self.world.describe(candidate) for candidate in candidates]
        kept = np.sort(rng.permutation(len(self.world.attributes))[:num_attributes])
        texts: dict[str, None] = {}
        while len(texts) < num_candidates:
            referent = self._referents[rng.integers(len(self._referents))]
            texts[self._partial_description(referent, kept)] = None
        return list(texts)

    @lru_cache(maxsize=64)  # noqa: B019 - lives as long as one training
    def _sampler(self, config: EpisodeConfig) -> ReferentialGame:
        return ReferentialGame(self.world, config)

    def _partial_description(self, referent: Referents, kept: np.ndarray) -> str:
        words = self.world.words(referent)
        return " ".join(words[i] for i in kept)


def _user_turn(content: str) -> str:
    """ChatML for one user turn and the start of the answer; a test holds it to the template."""
    return f"<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n"


def encode_lessons(
    lessons: list[list[Piece]], encode: Encode, padding_id: int
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Token ids and labels, right-padded; labels are IGNORED where nothing is to be learned."""
    rows, labels = [], []
    for pieces in lessons:
        row: list[int] = []
        label: list[int] = []
        for text, learned in pieces:
            ids = encode(text)
            row += ids
            label += ids if learned else [IGNORED] * len(ids)
        rows.append(row)
        labels.append(label)
    longest = max(map(len, rows))
    padded = [row + [padding_id] * (longest - len(row)) for row in rows]
    padded_labels = [label + [IGNORED] * (longest - len(label)) for label in labels]
    return torch.tensor(padded), torch.tensor(padded_labels)


def corpus(world: World) -> list[str]:
    """Texts about the training referents in which every word of the prompts occurs."""
    texts = []
    for referent in world.referents("train"):
        description = world.describe(referent)
        texts.append(_user_turn(sender_prompt(world.facts(referent))) + description)
        texts.append(receiver_prompt([description] * 3).replace(SLOT, slot_text(description)))
    return texts
