"""Environments side by side, for one channel: the wire between the batches of sender and receiver."""

from __future__ import annotations

from collections.abc import Sequence

from parley.channels.base import Channel, Message
from parley.envs.referential import ReferentialEpisode
from parley.envs.referential_v0 import parallel_env
from parley.envs.rules import RECEIVER, SENDER
from parley.envs.world import AnyWorld, Referents
from parley.evaluation.playing.plan import PlayConfig

IGNORED_CHOICE = 0  # in the sender's phase the environment ignores what the receiver does


class Table:
    """Environments side by side, for one channel.

    Args:
        world: what is played about.
        channel: whose message space the sender acts in.
        config: how many at once, with how many candidates.
    """

    def __init__(self, world: AnyWorld, channel: Channel, config: PlayConfig) -> None:
        size = min(config.episodes, config.episodes_at_once)
        self._all = [
            parallel_env(world=world, config=config.candidates, message_space=channel.message_space)
            for _ in range(size)
        ]
        self._playing = self._all

    def sample_contexts(self, episodes: Sequence[ReferentialEpisode]) -> list[Referents]:
        """Begin the episodes; returns the candidates (N, A) that each receiver sees."""
        self._playing = self._all[: len(episodes)]
        return [
            environment.reset(options={"episodes": [episode]})[0][RECEIVER]["candidates"]
            for environment, episode in zip(self._playing, episodes, strict=True)
        ]

    def speak(self, messages: Sequence[Message]) -> list[Message]:
        """Let the senders act; returns the messages that the receivers observe."""
        return [
            environment.step({SENDER: message, RECEIVER: IGNORED_CHOICE})[0][RECEIVER]["message"]
            for environment, message in zip(self._playing, messages, strict=True)
        ]

    def choose(self, messages: Sequence[Message], choices: Sequence[int]) -> list[float]:
        """Let the receivers act; returns their rewards."""
        return [
            environment.step({SENDER: message, RECEIVER: choice})[1][RECEIVER]
            for environment, message, choice in zip(self._playing, messages, choices, strict=True)
        ]
