"""Success on fixed validation episodes, by messages that really cross: send, then receive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from gymnasium.spaces import MultiDiscrete
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from parley.agents.pair import Pair, ReceiverView
from parley.channels.base import Channel, Message, SoftPrompt
from parley.channels.diagnostics import effective_rank, norm_ratio, perplexity, prefix_cosine
from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialGame

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
        sampler = ReferentialGame(pair.world, config)
        rng = np.random.default_rng(VALIDATION_SEED)
        episodes = [sampler.draw(rng) for _ in range(num_episodes)]
        self.pair = pair
        self.context = pair.read([episode.candidates for episode in episodes])
        self.targets = torch.tensor([episode.target for episode in episodes], device=pair.device)
        self.referents = np.stack([episode.sender_view for episode in episodes])
        self.swap_targets = np.stack([e.candidates[(e.target + 1) % num_candidates] for e in episodes])
        places = np.array([episode.target for episode in episodes])
        candidates = [episode.candidates for episode in episodes]
        self.seen = ReceiverView(candidates, places)
        self.view_of_swap = ReceiverView(candidates, (places + 1) % num_candidates)

        self._nll_null: dict[Channel, float] = {}

    @torch.no_grad()
    def play(self, channel: Channel) -> dict[str, float]:
        """Success, how much the target surprises the receiver under four conditions, and what crossed.

        Returns:
            `validation_success`, 0 to 1; `nll_normal`, `nll_shuffle` (the next episode's message),
            `nll_swap` (about the next candidate) and `nll_null`: mean -log p(target's label) in nats; and
            what `observe` sees in the messages about targets and swap targets.
        """
        own = channel.send(self.pair.speak(channel, self.referents, self.seen))
        swap_targets = channel.send(self.pair.speak(channel, self.swap_targets, self.view_of_swap))
        others = [own[-1], *own[:-1]]
        # side by side, so that every context is gone through once
        delivered = [message for three in zip(own, others, swap_targets, strict=True) for message in three]
        logits = self.pair.receiver.choose(self.context, channel.receive(delivered))
        normal, shuffle, swap = logits.reshape(len(own), 3, -1).unbind(1)
        right = normal.argmax(-1) == self.targets
        return {
            "validation_success": float(right.double().mean()),
            "nll_normal": self._nll(normal),
            "nll_shuffle": self._nll(shuffle),
            "nll_swap": self._nll(swap),
            "nll_null": self._null(channel),
            **observe(channel, [*own, *swap_targets]),
        }

    def _null(self, channel: Channel) -> float:
        """The content-free prefix stays what it is, whatever was learned."""
        if channel not in self._nll_null:
            null = channel.null_input(len(self.targets))
            self._nll_null[channel] = self._nll(self.pair.receiver.choose(self.context, null))
        return self._nll_null[channel]

    def _nll(self, logits: Float[Tensor, "B N"]) -> float:
        return float(cross_entropy(logits, self.targets))


@torch.no_grad()
def observe(channel: Channel, messages: Sequence[Message]) -> dict[str, float]:
    """How messages' codes and what is received of them are spread, in eval mode."""
    receiver_input = channel.receive(messages)
    seen = {}
    if isinstance(receiver_input, SoftPrompt):
        seen = {
            "prefix_cosine": prefix_cosine(receiver_input.vectors),
            "prefix_rank": effective_rank(receiver_input.vectors),
            "norm_ratio": norm_ratio(receiver_input.vectors, channel.interface.embedding_norm),
        }
    if isinstance(channel.message_space, MultiDiscrete):
        codes = torch.from_numpy(np.stack(messages))
        seen["perplexity"] = perplexity(codes, int(channel.message_space.nvec[0]))
    return seen
