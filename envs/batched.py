"""Many episodes of one game, stepped together: what training, validation and evaluation play through.

It follows the parallel interface of `referential_v0`, whose rules it shares, with arrays in the place of
single values: B episodes begin together, all senders act, then all receivers, and all terminate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Space
from gymnasium.utils.seeding import np_random
from numpy.typing import NDArray

from parley.envs.game import Episode, Game
from parley.envs.rules import AGENTS, RECEIVER, SENDER, Rules

Observations = dict[str, dict[str, Any]]


class Step(NamedTuple):
    """What a step returns, by agent; arrays are (B,)."""

    observations: Observations
    rewards: dict[str, NDArray[np.float64]]
    terminations: dict[str, NDArray[np.bool_]]
    truncations: dict[str, NDArray[np.bool_]]
    infos: dict[str, dict[str, NDArray[np.int64]]]


class BatchedEnv:
    """A game played B episodes at a time.

    Observations of the sender: `target` (B, A) and `speaking` (B,); of the receiver: `candidates`
    (B, N, ...), `message`, a list of B elements of the message space, and `heard` (B,). Actions: a sequence
    of B messages in the first step, of B choices in the second.

    Args:
        game: what is played.
        message_space: what senders may send; by default the space of sender views.
    """

    def __init__(self, game: Game, message_space: Space[Any] | None = None) -> None:
        self.game, self.rules = game, Rules(game, message_space)
        self.possible_agents, self.agents = list(AGENTS), list[str]()
        self._rng: np.random.Generator | None = None
        self._episodes: Sequence[Episode] = ()
        self._views: dict[str, NDArray[np.int64]] = {}
        self._messages: list[Any] | None = None

    def observation_space(self, agent: str) -> Space[Any]:
        """What the agent observes in one episode."""
        return self.rules.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[Any]:
        """What the agent may do in one episode."""
        return self.rules.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observations, dict[str, dict[str, NDArray[np.int64]]]]:
        """Begin B episodes.

        Args:
            seed: of the episodes that are drawn; without one the generator continues.
            options: `episodes`, which are to be played and are checked, or `num_episodes`, how many are
                drawn (by default 1).

        Raises:
            ValueError: if the game could not have drawn an episode, or there is none.
        """
        if seed is not None or self._rng is None:
            self._rng = np_random(seed)[0]
        self._episodes, self._messages = self._asked(options or {}, self._rng), None
        self.agents = list(AGENTS)
        self._views = {
            SENDER: np.stack([episode.sender_view for episode in self._episodes]),
            RECEIVER: np.stack([episode.receiver_view for episode in self._episodes]),
        }
        return self._observe(), self._infos(None)

    def _asked(self, options: Mapping[str, Any], rng: np.random.Generator) -> Sequence[Episode]:
        given = options.get("episodes")
        size = int(options.get("num_episodes", 1)) if given is None else len(given)
        if size < 1:
            raise ValueError(f"episodes must be at least 1, got {size}")
        return self.game.draw_many(size, rng) if given is None else self.game.check(list(given))

    def step(self, actions: Mapping[str, Sequence[Any] | NDArray[Any]]) -> Step:
        """Play the actions of all senders, then of all receivers; those of the other agent are ignored.

        Raises:
            ValueError: if actions are missing, too few or too many, or one is not in its space; or if
                nothing is in play. Nothing is played then.
        """
        if not self.agents:
            raise ValueError("no episodes are in play: call reset() first")
        agent = SENDER if self._messages is None else RECEIVER
        if agent not in actions:
            raise ValueError(f"actions must hold actions of {agent}, got {list(actions)}")
        played = list(actions[agent])
        if len(played) != len(self._episodes):
            raise ValueError(
                f"{agent} must act in all {len(self._episodes)} episodes, got {len(played)} actions"
            )
        if agent == SENDER:
            self._messages = [self.rules.accept_message(message) for message in played]
            return self._step(None)
        choices = [self.rules.accept_choice(choice) for choice in played]
        self.agents = []
        pairs = zip(self._episodes, choices, strict=True)
        return self._step(np.array([self.rules.reward(episode, choice) for episode, choice in pairs]))

    def _step(self, rewards: NDArray[np.float64] | None) -> Step:
        size, over = len(self._episodes), rewards is not None
        paid = np.zeros(size) if rewards is None else rewards
        return Step(
            self._observe(),
            dict.fromkeys(AGENTS, paid),
            {agent: np.full(size, over) for agent in AGENTS},
            {agent: np.zeros(size, dtype=np.bool_) for agent in AGENTS},
            self._infos(rewards),
        )

    def _observe(self) -> Observations:
        size, sent = len(self._episodes), self._messages is not None
        messages = self._messages if sent else [self.rules.empty_message] * size
        return {
            SENDER: {"target": self._views[SENDER], "speaking": np.full(size, int(not sent))},
            RECEIVER: {
                "candidates": self._views[RECEIVER],
                "message": messages,
                "heard": np.full(size, int(sent)),
            },
        }

    def _infos(self, rewards: NDArray[np.float64] | None) -> dict[str, dict[str, NDArray[np.int64]]]:
        size = len(self._episodes)
        over = np.full(size, int(rewards is not None))
        success = np.zeros(size, dtype=np.int64) if rewards is None else (rewards > 0).astype(np.int64)
        return {agent: {"round": over, "success": success} for agent in AGENTS}
