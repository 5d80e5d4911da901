"""Success on fixed validation episodes, by messages that cross in the environment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from gymnasium.spaces import MultiDiscrete
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from parley.agents.choosing import pick
from parley.agents.pair import Pair, ReceiverView
from parley.channels.base import Channel, Message, SoftPrompt
from parley.channels.diagnostics import effective_rank, norm_ratio, perplexity, prefix_cosine
from parley.channels.tensor_file import check_finite
from parley.envs.batched import BatchedEnv
from parley.envs.game import Game
from parley.envs.rules import RECEIVER, SENDER
from parley.training.metrics import ValidationMetrics

VALIDATION_SEED = 1_000_003
CONDITIONS = 3  # normal, shuffle, swap: an episode is played once under each


class Validation:
    """Episodes of the validation split, read once and played whenever the channel is to be validated.

    Args:
        pair: who plays.
        channel: that is validated.
        game: about the validation split.
        num_episodes: how many.
    """

    def __init__(self, pair: Pair, channel: Channel, game: Game, num_episodes: int) -> None:
        rng = np.random.default_rng(VALIDATION_SEED)
        own = [game.draw(rng) for _ in range(num_episodes)]
        swapped = [game.retargeted(episode, (episode.target + 1) % game.num_choices) for episode in own]
        self.pair, self.channel = pair, channel
        self.env = BatchedEnv(game, channel.message_space)
        self.episodes = [episode for episode in own for _ in range(CONDITIONS)]
        observations, _ = self.env.reset(options={"episodes": self.episodes})
        self.sender_views = observations[SENDER]["target"][::CONDITIONS]
        candidates = list(observations[RECEIVER]["candidates"][::CONDITIONS])
        self.swapped_views = np.stack([episode.sender_view for episode in swapped])
        self.seen = ReceiverView(candidates, [episode.target for episode in own])
        self.seen_swapped = ReceiverView(candidates, [episode.target for episode in swapped])
        self.targets = torch.tensor(self.seen.targets, device=pair.device)
        self.context = pair.read(candidates)
        self._nll_null: float | None = None

    @torch.no_grad()
    def play(self) -> ValidationMetrics:
        """Success, -log p(target) under four conditions, and how codes and prefixes are spread.

        Returns:
            `validation_success`, 0 to 1; `nll_normal`, `nll_shuffle` (the next episode's message),
            `nll_swap` (about the next candidate) and `nll_null`: means in nats; and what `observe` sees in
            the messages about targets and about the next candidates.

        Raises:
            NotFiniteError: if a message or an answer is not finite.
        """
        channel, speak = self.channel, self.pair.speak
        own = channel.send(speak(channel, self.sender_views, self.seen))
        swapped = channel.send(speak(channel, self.swapped_views, self.seen_swapped))
        check_sent([*own, *swapped])
        others = [own[-1], *own[:-1]]
        # side by side, so that every context is gone through once
        sent = [message for three in zip(own, others, swapped, strict=True) for message in three]
        self.env.reset(options={"episodes": self.episodes})
        delivered = self.env.step({SENDER: sent}).observations[RECEIVER]["message"]
        logits = self.pair.receiver.choose(self.context, channel.receive(delivered))
        check_finite({"what the receiver answers": logits})
        choices = pick(logits, lambda row: np.random.default_rng([VALIDATION_SEED, row]))
        rewards = self.env.step({RECEIVER: choices}).rewards[RECEIVER]
        normal, shuffle, swap = logits.reshape(len(own), CONDITIONS, -1).unbind(1)
        return {
            "validation_success": float(rewards[::CONDITIONS].mean()),
            "nll_normal": self._nll(normal),
            "nll_shuffle": self._nll(shuffle),
            "nll_swap": self._nll(swap),
            "nll_null": self._null(),
            **observe(channel, [*own, *swapped]),
        }

    def _null(self) -> float:
        """The content-free prefix stays what it is, whatever was learned."""
        if self._nll_null is None:
            null = self.channel.null_input(len(self.targets))
            self._nll_null = self._nll(self.pair.receiver.choose(self.context, null))
        return self._nll_null

    def _nll(self, logits: Float[Tensor, "B N"]) -> float:
        return float(cross_entropy(logits, self.targets))


def check_sent(messages: Sequence[Message]) -> None:
    """Refuse messages of numbers that are not finite, as a codec that diverged sends.

    Raises:
        NotFiniteError: if there is one.
    """
    arrays = [message for message in messages if isinstance(message, np.ndarray)]
    if arrays:
        check_finite({"what is sent": torch.from_numpy(np.stack(arrays))})


@torch.no_grad()
def observe(channel: Channel, messages: Sequence[Message]) -> ValidationMetrics:
    """How messages' codes and what is received of them are spread, in eval mode."""
    receiver_input = channel.receive(messages)
    seen: ValidationMetrics = {}
    if isinstance(receiver_input, SoftPrompt):
        seen["prefix_cosine"] = prefix_cosine(receiver_input.vectors)
        seen["prefix_rank"] = effective_rank(receiver_input.vectors)
        seen["norm_ratio"] = norm_ratio(receiver_input.vectors, channel.interface.embedding_norm)
    if isinstance(channel.message_space, MultiDiscrete):
        codes = torch.from_numpy(np.stack(messages))
        seen["perplexity"] = perplexity(codes, int(channel.message_space.nvec[0]))
    return seen
