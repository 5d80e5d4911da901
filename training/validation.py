"""Success on fixed validation episodes, by messages that really cross: send, then receive."""

from __future__ import annotations

import numpy as np
import torch

from agents.pair import Pair
from channels.base import Channel
from envs.episode import EpisodeConfig, EpisodeSampler

VALIDATION_SEED = 1_000_003


class Validation:
    """Episodes of the validation split, read once and played with every candidate checkpoint.

    Args:
        pair: who plays.
        num_episodes: how many.
        num_candidates: N.
    """

    def __init__(self, pair: Pair, num_episodes: int, num_candidates: int) -> None:
        config = EpisodeConfig(split="validation", num_candidates=num_candidates)
        sampler = EpisodeSampler(pair.world, config)
        rng = np.random.default_rng(VALIDATION_SEED)
        episodes = [sampler.draw(rng) for _ in range(num_episodes)]
        self.pair = pair
        self.context = pair.read([episode.candidates for episode in episodes])
        self.targets = torch.tensor([episode.target for episode in episodes])
        self.referents = np.stack([episode.referent for episode in episodes])

    @torch.no_grad()
    def success(self, channel: Channel) -> float:
        """Share of episodes in which the receiver picks the target, 0 to 1."""
        messages = channel.send(self.pair.sender.speak(self.referents))
        choices = self.pair.receiver.choose(self.context, channel.receive(messages)).argmax(-1)
        return float((choices.cpu() == self.targets).double().mean())
