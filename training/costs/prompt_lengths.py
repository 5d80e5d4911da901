"""How many tokens a step reads and says, counted with tokenizers alone on episodes as they will be drawn."""

from __future__ import annotations

from statistics import fmean
from typing import NamedTuple

import numpy as np

from parley.agents.language_model import FrozenLM
from parley.agents.prompts import SLOT, cut_at_slot, sender_prompt
from parley.agents.receiver import Receiver
from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialGame
from parley.envs.world import AnyWorld
from parley.training.config import TrainConfig
from parley.training.episodes import Episodes

DRAWN_BATCHES = 4


class Lengths(NamedTuple):
    """Tokens; padding to the longest row of a batch counts."""

    before: int  # T, of the receiver's prompt before the slot
    tail: int  # after the slot
    words: int  # that fill the slot where the receiver is told the message
    prompt: int  # of the sender
    said: int  # of the sender's description
    vocabulary: int  # different ones in all training messages


def count_lengths(sender: FrozenLM, receiver: FrozenLM, world: AnyWorld, config: TrainConfig) -> Lengths:
    """Count on the first batches of a run; what the sender will say is taken to be the exact description.

    Args:
        sender: who speaks; its tokenizer alone is asked.
        receiver: who listens; its tokenizer alone is asked.
        world: what is talked about.
        config: how episodes are drawn.

    Raises:
        ValueError: if the split has fewer referents than an episode has candidates.
    """
    sampler = ReferentialGame(world, EpisodeConfig(split="train", num_candidates=config.num_candidates))
    episodes = Episodes(sampler, config.messages_per_context, config.fixed_episodes, config.seed)
    rng, listening = np.random.default_rng(config.seed), Receiver(receiver)
    batches = [episodes.draw(config.batch_size, step, rng) for step in range(DRAWN_BATCHES)]
    before = [
        listening.read([[world.describe(c) for c in row] for row in batch.candidates], cached=False)
        for batch in batches
    ]
    referents = world.referents("train")
    said = [world.describe(referent) for referent in referents]
    rows = listening.message_tokens(said)
    prompts = [sender.encode(sender.render(sender_prompt(world.facts(referent)))) for referent in referents]
    return Lengths(
        before=round(fmean(context.ids.shape[1] for context in before)),
        tail=len(receiver.encode(cut_at_slot(receiver.render(SLOT)).after)),
        words=max(map(len, rows)),
        prompt=max(map(len, prompts)),
        said=max(len(sender.encode_plain(text)) for text in said),
        vocabulary=len({token for row in rows for token in row}),
    )
