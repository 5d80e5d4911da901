"""Success on fixed validation episodes, by messages that really cross: send, then receive."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium.spaces import MultiDiscrete
from torch.nn.functional import cross_entropy

from agents.pair import Pair, Seen
from channels.base import Channel, Prefix, Utterance
from channels.diagnostics import effective_rank, norm_ratio, perplexity, prefix_cosine
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
        self.targets = torch.tensor([episode.target for episode in episodes], device=pair.device)
        self.referents = np.stack([episode.referent for episode in episodes])
        self.foils = np.stack([e.candidates[(e.target + 1) % num_candidates] for e in episodes])
        places = np.array([episode.target for episode in episodes])
        candidates = [episode.candidates for episode in episodes]
        self.seen = Seen(candidates, places)
        self.seen_by_foil = Seen(candidates, (places + 1) % num_candidates)

    @torch.no_grad()
    def play(self, channel: Channel) -> dict[str, float]:
        """Success, and how much the target surprises the receiver under four conditions.

        Returns:
            `validation_success`, 0 to 1; `nll_normal`, `nll_shuffle` (the next episode's message),
            `nll_swap` (about the next candidate) and `nll_null`: mean -log p(target's label) in nats.
        """
        said = channel.receive(channel.send(self.pair.speak(channel, self.referents, self.seen)))
        swapped = channel.receive(channel.send(self.pair.speak(channel, self.foils, self.seen_by_foil)))
        others = torch.arange(len(self.targets), device=self.targets.device).roll(1)
        receptions = {
            "normal": said,
            "shuffle": said.take(others),
            "swap": swapped,
            "null": channel.null_reception(len(self.targets)),
        }
        logits = {name: self.pair.receiver.choose(self.context, heard) for name, heard in receptions.items()}
        right = logits["normal"].argmax(-1) == self.targets
        nll = {f"nll_{name}": float(cross_entropy(row, self.targets)) for name, row in logits.items()}
        return {"validation_success": float(right.double().mean()), **nll}


@torch.no_grad()
def observe(channel: Channel, utterance: Utterance) -> dict[str, float]:
    """How a codec's prefixes and codes of many utterances are spread, in eval mode."""
    reception = channel.relay(utterance).reception
    seen = {}
    if isinstance(reception, Prefix):
        seen = {
            "prefix_cosine": prefix_cosine(reception.vectors),
            "prefix_rank": effective_rank(reception.vectors),
            "norm_ratio": norm_ratio(reception.vectors, channel.ends.embedding_norm),
        }
    if isinstance(channel.message_space, MultiDiscrete):
        codes = torch.from_numpy(np.stack(channel.send(utterance)))
        seen["perplexity"] = perplexity(codes, int(channel.message_space.nvec[0]))
    return seen
