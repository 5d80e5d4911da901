"""What one episode costs the receiver, in floating-point operations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from parley.agents.flop_counter import flop_counter
from parley.agents.pair import Pair, ReceiverView
from parley.channels.base import Channel
from parley.envs.game import Episode
from parley.envs.world import AnyWorld
from parley.evaluation.playing.plan import PlayConfig

COUNTED_EPISODES = 8


def counted_episodes(world: AnyWorld, config: PlayConfig) -> list[Episode]:
    """The episodes on which is counted: the first 8 of those that are played, or all of fewer."""
    rng, game = np.random.default_rng(config.seed), config.make_game(world)
    return [game.draw(rng) for _ in range(min(config.episodes, COUNTED_EPISODES))]


@torch.no_grad()
def receiver_flops(pair: Pair, channel: Channel, episodes: Sequence[Episode]) -> float:
    """Floating-point operations of the receiver, mean of some episodes under the condition normal.

    Counted are the matrix products of reading the candidates and of choosing, for one episode at a time and
    so without padding; a multiplication and its addition are two. Not counted are the channel's decoder,
    the embedding look-up, norms and activations. Attention is counted in full, though half of it is masked.
    The formulas are those of torch's FlopCounterMode; for attention on the CPU, whose kernel it leaves out,
    the one that it has for the other kernels.

    Args:
        pair: who speaks and listens.
        channel: in eval mode.
        episodes: at least one.

    Raises:
        ValueError: if there is no episode.
    """
    if not episodes:
        raise ValueError("episodes must be at least 1, got 0")
    views, targets = [e.receiver_view for e in episodes], [e.target for e in episodes]
    told = np.stack([episode.sender_view for episode in episodes])
    messages = channel.send(pair.speak(channel, told, ReceiverView(views, targets)))
    total = 0
    for shown, message in zip(views, messages, strict=True):
        receiver_input = channel.receive([message])
        with flop_counter() as counter:
            context = pair.read([shown], cached=not channel.at_start)
            pair.receiver.choose(context, receiver_input)
        total += counter.get_total_flops()
    return total / len(episodes)
