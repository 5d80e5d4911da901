"""The referential game as a PettingZoo environment: one message, one choice, one shared reward.

| Agents          | `sender_0`, `receiver_0` (acting in that order)                        |
|-----------------|------------------------------------------------------------------------|
| Interfaces      | `env` (AEC, wrapped), `raw_env` (AEC), `parallel_env` (two phases)     |
| Sender acts     | `message_space`: codes, bounded Box, Text, or Dict or Tuple of them    |
| Sender sees     | `Dict(target=MultiDiscrete(num_values), speaking=Discrete(2))`         |
| Receiver acts   | `Discrete(N)`: the position of the candidate it takes for the target   |
| Receiver sees   | `Dict(candidates=MultiDiscrete (N, A), message=message_space, heard=Discrete(2))` |
| Reward          | 1.0 to both when the receiver picks the target, 0.0 otherwise          |
| Infos, of both  | `round`: rounds finished so far, 0 to num_rounds; also the index of the round in play |
|                 | `success`: 1 if round `round - 1`, the last finished, succeeded; 0 if not or none is |

A round has two phases. First the sender acts: `speaking` is 1, and the receiver has `heard` 0 and
an empty message (zeros clipped into the space; for Text the shortest string). Then the receiver
acts: `heard` is 1 and the message is the sender's. After `num_rounds` rounds both agents terminate.
In `parallel_env` both agents act at each step; the action of the agent whose phase it is not is
ignored. `reset(options={"episodes": [...]})` plays the given `num_rounds` episodes, which must
belong to the config's split, instead of drawing; other options are ignored.
Observations are not copied for each step: read them, do not write to them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Space
from gymnasium.utils.seeding import np_random
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from parley.envs.game import Episode, EpisodeConfig, Game
from parley.envs.referential import ReferentialGame
from parley.envs.render import show_round
from parley.envs.rules import AGENTS, RECEIVER, SENDER, Rules, sender_view
from parley.envs.stream import EpisodeStream
from parley.envs.world import AnyWorld, objects_world

_BIT = (np.int64(0), np.int64(1))
_NOT_PLAYING = "no round is in play: call reset() first"

Observation = dict[str, Any]
Infos = dict[str, dict[str, int]]


def env(**arguments: Any) -> OrderEnforcingWrapper:
    """The AEC environment, guarded against calls out of order; takes the arguments of `GameEnv`."""
    # AssertOutOfBoundsWrapper is left out: it would turn the ValueErrors into bare assertions.
    return OrderEnforcingWrapper(raw_env(**arguments))


class _Round(NamedTuple):
    """A finished round, kept for render."""

    episode: Episode
    message: Any
    choice: int


class GameEnv:
    """Spaces, phases and rules: all that the two interfaces share.

    Args:
        world: what is talked about; the default is `objects_world()`.
        config: how episodes are drawn; the default is `EpisodeConfig()`.
        game: what is played; the default is the referential game of `world` and `config`.
        message_space: what the sender may send; the default, the space of what it sees, can name any
            referent. Each environment keeps copies of its own.
        num_rounds: rounds until both agents terminate, at least 1.
        render_mode: "ansi" (render returns a string), "human" (render prints it) or None.

    Raises:
        ValueError: if an argument is out of bounds.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - PettingZoo's; each environment has a copy
        "name": "referential_v0",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": False,  # the receiver acts on what the sender did; `parallel_env` has phases
        "render_fps": 1,
    }

    def __init__(
        self,
        *,
        world: AnyWorld | None = None,
        config: EpisodeConfig | None = None,
        game: Game | None = None,
        message_space: Space[Any] | None = None,
        num_rounds: int = 1,
        render_mode: str | None = None,
    ) -> None:
        super().__init__()
        self.metadata = deepcopy(type(self).metadata)  # wrappers change an environment's in place
        if num_rounds < 1:
            raise ValueError(f"num_rounds must be at least 1, got {num_rounds}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be None, 'human' or 'ansi', got {render_mode!r}")
        self.game: Game = ReferentialGame(world or objects_world(), config or EpisodeConfig())
        if game is not None:
            self.game = game
        self.num_rounds, self.render_mode = num_rounds, render_mode
        self.possible_agents, self.agents = list(AGENTS), list[str]()
        self._rules = Rules(self.game, message_space)
        self.action_spaces = self._rules.action_spaces
        self.observation_spaces = self._rules.observation_spaces
        self._stream: EpisodeStream | None = None
        self._given: Sequence[Episode] | None = None
        self._episode: Episode | None = None
        self._message: Any = None  # None until the sender acts
        self._finished: _Round | None = None
        self._num_finished, self._success = 0, 0

    def observation_space(self, agent: str) -> Space[Any]:
        """What the agent observes, the same object on every call."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space[Any]:
        """What the agent may do, the same object on every call."""
        return self.action_spaces[agent]

    def observe(self, agent: str) -> Observation:
        """What the agent sees now: the sender never the candidates, the receiver never the target."""
        candidates = self._playing().receiver_view
        sent = self._message is not None
        if agent == SENDER:
            return {"target": self._target, "speaking": _BIT[not sent]}
        if agent == RECEIVER:
            message = self._message if sent else self._rules.empty_message
            return {"candidates": candidates, "message": message, "heard": _BIT[sent]}
        raise ValueError(f"agent must be one of {', '.join(AGENTS)}, got {agent!r}")

    def render(self) -> str | None:
        """The last finished round and the one in play, as text for a person to follow."""
        episode = self._playing()
        if self.render_mode is None:
            raise ValueError("render_mode must be 'human' or 'ansi' to render, got None")
        rounds: list[tuple[Episode, Any, int | None, int]] = []
        if self._finished is not None:
            rounds.append((*self._finished, self._num_finished))
        if self._num_finished < self.num_rounds:
            rounds.append((episode, self._message, None, self._num_finished + 1))
        text = "\n\n".join(show_round(self.game, *shown, self.num_rounds) for shown in rounds)
        if self.render_mode == "ansi":
            return text
        sys.stdout.write(text + "\n")
        return None

    def close(self) -> None:
        """There is nothing to release."""

    def _begin(self, seed: int | None, options: Mapping[str, Any] | None) -> None:
        """Begin the first round; without a seed the generator continues."""
        self._given = self._given_episodes(options or {})
        if seed is not None or self._stream is None:
            self._stream = EpisodeStream(self.game, np_random(seed)[0])
        self.agents = list(AGENTS)
        self._num_finished, self._success, self._finished = 0, 0, None
        self._begin_round(self._stream)

    def _begin_round(self, stream: EpisodeStream) -> None:
        given = self._given
        self._episode = stream.draw() if given is None else given[self._num_finished]
        self._target = sender_view(self._episode)
        self._message = None

    def _act(self, action: Any) -> float:
        """Play the action of the agent whose phase it is; return the reward of both."""
        episode = self._playing()
        if self._message is None:
            self._message = self._rules.accept_message(action)
            return 0.0
        choice = self._rules.accept_choice(action)
        reward = self._rules.reward(episode, choice)
        self._finished, self._success = _Round(episode, self._message, choice), int(reward)
        self._num_finished += 1
        if self._num_finished < self.num_rounds:
            assert self._stream is not None
            self._begin_round(self._stream)
        return reward

    def _infos(self) -> Infos:
        return {agent: {"round": self._num_finished, "success": self._success} for agent in AGENTS}

    def _playing(self) -> Episode:
        """The episode in play."""
        if self._episode is None:
            raise ValueError(_NOT_PLAYING)
        return self._episode

    def _given_episodes(self, options: Mapping[str, Any]) -> Sequence[Episode] | None:
        """The episodes to play instead of drawing, checked and copied, or None."""
        if not options:
            return None
        # Foreign options must pass (PettingZoo's own tests send some), but a misspelt one may not.
        misspelt = get_close_matches("episodes", set(options) - {"episodes"})
        if misspelt:
            raise ValueError(f"unknown option {misspelt[0]!r}, did you mean 'episodes'?")
        if options.get("episodes") is None:
            return None
        episodes = list(options["episodes"])
        if len(episodes) != self.num_rounds:
            raise ValueError(f"episodes must be num_rounds = {self.num_rounds} episodes, got {len(episodes)}")
        return self.game.check(episodes)


class raw_env(GameEnv, AECEnv):  # type: ignore[misc]  # noqa: N801 (PettingZoo's name; its classes are untyped)
    """The agent-environment-cycle interface; takes the arguments of `GameEnv`."""

    def reset(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Begin the first round; see the module's docstring for `options`."""
        self._begin(seed, options)
        self.agent_selection = SENDER
        self.rewards = dict.fromkeys(AGENTS, 0.0)
        self._cumulative_rewards = dict.fromkeys(AGENTS, 0.0)
        self.terminations = dict.fromkeys(AGENTS, False)
        self.truncations = dict.fromkeys(AGENTS, False)
        self.infos = self._infos()

    def step(self, action: Any) -> None:
        """Play the selected agent's action; a terminated agent's is None.

        Raises:
            ValueError: if the action is not in the agent's space, or nothing is in play.
        """
        if not self.agents:
            raise ValueError(_NOT_PLAYING)
        agent = self.agent_selection
        if self.terminations[agent]:
            self._was_dead_step(action)
            return
        reward = self._act(action)
        self._cumulative_rewards[agent] = 0.0
        self.rewards = dict.fromkeys(AGENTS, reward)
        self._accumulate_rewards()
        if agent == RECEIVER:
            self.infos = self._infos()
            self.terminations = dict.fromkeys(AGENTS, self._num_finished == self.num_rounds)
        self.agent_selection = RECEIVER if agent == SENDER else SENDER


class parallel_env(GameEnv, ParallelEnv):  # type: ignore[misc]  # noqa: N801 (as above)
    """The parallel interface: a step is a phase; takes the arguments of `GameEnv`."""

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Observation], Infos]:
        """Begin the first round; see the module's docstring for `options`."""
        self._begin(seed, options)
        return {agent: self.observe(agent) for agent in AGENTS}, self._infos()

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, Observation], dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Play the action of the agent whose phase it is; the other's is ignored.

        Returns:
            Observations, rewards, terminations, truncations and infos of both agents.

        Raises:
            ValueError: if the action is missing or not in the agent's space, or nothing is in play.
        """
        if not self.agents:
            raise ValueError(_NOT_PLAYING)
        agent = SENDER if self._message is None else RECEIVER
        if agent not in actions:
            raise ValueError(f"actions must hold an action of {agent}, got {list(actions)}")
        reward = self._act(actions[agent])
        over = self._num_finished == self.num_rounds
        if over:
            self.agents = []
        return (
            {agent: self.observe(agent) for agent in AGENTS},
            dict.fromkeys(AGENTS, reward),
            dict.fromkeys(AGENTS, over),
            dict.fromkeys(AGENTS, False),
            self._infos(),
        )
