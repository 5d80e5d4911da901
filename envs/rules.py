"""The rules of a round, one message and one choice: every environment plays by these and no others."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium.spaces import Dict, Discrete, Space

from parley.envs.game import Episode, Game
from parley.envs.message import contains, empty_message, own_copy

SENDER, RECEIVER = "sender_0", "receiver_0"
AGENTS = (SENDER, RECEIVER)


class Rules:
    """What the agents of a game see and may do in a round, and what it pays.

    Args:
        game: what is played.
        message_space: what the sender may send; the default, the space of sender views, can name any of
            them. Each space is a copy: a shared one would share its generator.

    Attributes:
        action_spaces: by agent.
        observation_spaces: by agent.
        empty_message: stands where nothing was sent yet.
    """

    def __init__(self, game: Game, message_space: Space[Any] | None = None) -> None:
        self.game = game
        messages = game.sender_space if message_space is None else message_space
        self.empty_message = empty_message(messages)
        self.action_spaces: dict[str, Space[Any]] = {
            SENDER: deepcopy(messages),
            RECEIVER: Discrete(game.num_choices),
        }
        self.observation_spaces: dict[str, Space[Any]] = {
            SENDER: Dict(target=deepcopy(game.sender_space), speaking=Discrete(2)),
            RECEIVER: Dict(
                candidates=deepcopy(game.receiver_space), message=deepcopy(messages), heard=Discrete(2)
            ),
        }

    def accept_message(self, message: Any) -> Any:
        """What crosses: the message in the space's own type, apart from whatever carried it.

        Raises:
            ValueError: if it is not in the message space.
        """
        space = self.action_spaces[SENDER]
        if not contains(space, message):
            raise ValueError(f"message must be in {space}, got {message!r}")
        return own_copy(space, message)

    def accept_choice(self, choice: Any) -> int:
        """The choice as a plain number.

        Raises:
            ValueError: if it is no choice of the game.
        """
        if not contains(self.action_spaces[RECEIVER], choice):
            raise ValueError(f"choice must be in [0, {self.game.num_choices}), got {choice!r}")
        return int(choice)

    def reward(self, episode: Episode, choice: int) -> float:
        """What both agents are paid: 1.0 for a right choice, else 0.0."""
        return float(self.game.succeeds(episode, choice))


def sender_view(episode: Episode) -> np.ndarray:
    """A copy, because a view would carry the receiver's whole observation along in its `base`."""
    return episode.sender_view.copy()
