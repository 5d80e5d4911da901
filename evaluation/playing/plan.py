"""What is drawn before the first message: the episodes, and what stands in for what in each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tyro

from parley.agents.command_line import GameName, WorldName
from parley.channels.base import check_range
from parley.channels.conditions import Condition, Told
from parley.channels.conditions.shuffle import derangement
from parley.envs.game import DEFAULT_GAME, EpisodeConfig, Game, find_game
from parley.envs.world import AnyWorld, Split
from parley.envs.worlds import DEFAULT_WORLD

# what is drawn from the evaluation's seed; the episodes themselves from the seed alone
_MESSAGES, _ORDERS, _SHUFFLES = 1, 2, 3


@dataclass(frozen=True, kw_only=True)
class PlayConfig:
    """Which episodes are played.

    Args:
        episodes: how many, at least 2; with --until-decided the most that are played.
        seed: of the episodes, the derangement, the swapped candidates, the random messages and the other
            orders.
        num_candidates: N.
        resample_probability: chance that a candidate differs from the others' common base in an attribute;
            the lower, the more confusable they are.
        episodes_at_once: episodes stepped together; a matter of speed.
        game: what is played.
        world: what is talked about.
    """

    episodes: int = 400
    seed: tyro.conf.Suppress[int] = 0  # each command has a flag of its own for it
    num_candidates: int = 5
    resample_probability: float = 0.5
    episodes_at_once: int = 100
    game: GameName = DEFAULT_GAME
    world: WorldName = DEFAULT_WORLD

    def __post_init__(self) -> None:
        check_range("episodes", self.episodes, 2, 10_000_000)
        check_range("seed", self.seed, 0, 2**31 - 1)
        check_range("num_candidates", self.num_candidates, 2, 26)
        check_range("resample_probability", self.resample_probability, 1e-3, 1)
        check_range("episodes_at_once", self.episodes_at_once, 1)

    def make_game(self, world: AnyWorld, split: Split = "test") -> Game:
        """The game that is named, about a split of a world: of another than `test`, for solved examples.

        Raises:
            ValueError: if there is no such game, or the split is too small.
        """
        candidates = EpisodeConfig(
            split=split,
            num_candidates=self.num_candidates,
            resample_probability=self.resample_probability,
        )
        return find_game(self.game, world, candidates)


class EpisodePlan(NamedTuple):
    """Episodes, what stands in for each one's message under `shuffle` and `swap`, and its other order."""

    game: Game
    episodes: list[Any]  # of the game
    targets: np.ndarray  # (n,) the target's place
    partners: np.ndarray  # (n,) the episode whose message is delivered under shuffle
    swap_targets: np.ndarray  # (n,) the candidate whose message is delivered under swap
    orders: np.ndarray  # (n, N) which candidate stands in each place under reordered

    def episode(self, row: int, condition: Condition) -> Any:
        """An episode as a condition lays its candidates out."""
        episode = self.episodes[row]
        if not condition.reorders:
            return episode
        return self.game.reordered(episode, self.orders[row])

    def about(self, told: Told) -> Any:
        """The episode that the sender is told of: under `shuffle` and `swap` not the receiver's."""
        return self.game.retargeted(self.episodes[told.episode], told.candidate)


def make_plan(world: AnyWorld, config: PlayConfig, split: Split = "test") -> EpisodePlan:
    """Draw the episodes, a derangement over them, and another candidate and another order in each.

    Raises:
        ValueError: if the game is unknown or cannot be played about that split of the world.
    """
    game = config.make_game(world, split)
    rng = np.random.default_rng(config.seed)
    episodes = [game.draw(rng) for _ in range(config.episodes)]
    steps = rng.integers(1, game.num_choices, size=config.episodes)
    targets = np.array([episode.target for episode in episodes])
    swap_targets = (targets + steps) % game.num_choices
    partners = derangement(config.episodes, rng)
    return EpisodePlan(game, episodes, targets, partners, swap_targets, _orders(config, game.num_choices))


def _orders(config: PlayConfig, num_choices: int) -> np.ndarray:
    """(n, N) uniform permutations.

    The one that changes nothing is among them: only so is the target's new place independent of its old one,
    and what a receiver without a message does in one order tells nothing of the other but what it sees.
    """
    rng = np.random.default_rng([config.seed, _ORDERS])
    places = np.tile(np.arange(num_choices), (config.episodes, 1))
    return rng.permuted(places, axis=1)


def message_rng(config: PlayConfig, row: int, channel: str, condition: str) -> np.random.Generator:
    """What draws the message of one episode where a condition leaves it to chance, and then breaks a tie.

    It depends on nothing that was played before: a run that resumes draws what it would have drawn
    before, and that is the same however many episodes are played at once.

    Args:
        config: whose seed it is.
        row: the episode.
        channel: the name under which the channel plays.
        condition: under which.
    """
    return np.random.default_rng([config.seed, _MESSAGES, row, *f"{channel}\n{condition}".encode()])


def order_rng(config: PlayConfig, row: int, channel: str, what: str) -> np.random.Generator:
    """What shuffles the requests to a channel in a round of episodes.

    Args:
        config: whose seed it is.
        row: the first episode of the round.
        channel: the name under which the channel plays.
        what: `send` or `receive`.
    """
    return np.random.default_rng([config.seed, _SHUFFLES, row, *f"{channel}\n{what}".encode()])


def rounds(config: PlayConfig, look_every: int | None = None) -> list[range]:
    """The episodes that are played side by side, round by round.

    Args:
        config: how many there are, and how many at most make a round.
        look_every: no round goes across a multiple of this.
    """
    block = look_every or config.episodes
    return [
        range(start, min(start + config.episodes_at_once, first + block, config.episodes))
        for first in range(0, config.episodes, block)
        for start in range(first, min(first + block, config.episodes), config.episodes_at_once)
    ]
