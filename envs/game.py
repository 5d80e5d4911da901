"""What training, evaluation and the environments ask of a game of one message and one choice.

A game is one file: a class that keeps the protocol, under `@register_game("name")`, in this folder or in an
installed package with an entry point of the group `parley.games`. `--game` names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from gymnasium.spaces import Space
from numpy.typing import NDArray

from parley.envs.world import AnyWorld, Split
from parley.plugins.registry import Registry

View = NDArray[np.int64]
DEFAULT_GAME = "referential"
LEAST_RESAMPLED = 1e-9  # below, rounding decides between the least likely candidates


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """How candidates are drawn.

    Args:
        num_candidates: N, at least 2.
        resample_probability: chance, 1e-9 to 1, that an attribute of the common base referent is
            drawn anew; the lower, the more confusable the candidates.
        split: the split that every candidate belongs to.
    """

    num_candidates: int = 5
    resample_probability: float = 0.5
    split: Split = "train"

    def __post_init__(self) -> None:
        if self.num_candidates < 2:
            raise ValueError(f"num_candidates must be at least 2, got {self.num_candidates}")
        if not LEAST_RESAMPLED <= self.resample_probability <= 1:
            raise ValueError(
                f"resample_probability must be in [{LEAST_RESAMPLED}, 1], got {self.resample_probability}"
            )


@runtime_checkable
class Episode(Protocol):
    """One episode: what each agent sees, and the choice that is right.

    Attributes:
        sender_view: (A,) what the sender alone sees, such as the target's value indices.
        receiver_view: (N, ...) what the receiver sees, one row a choice.
        target: the right choice, 0 to N - 1; the sender sees what makes it so. Evaluation records it and
            refuses an environment that pays for another.
    """

    @property
    def sender_view(self) -> View: ...  # noqa: D102 - see the class

    @property
    def receiver_view(self) -> View: ...  # noqa: D102

    @property
    def target(self) -> int: ...  # noqa: D102


@runtime_checkable
class Game(Protocol):
    """A game of one message and one choice, about one split of a world.

    Attributes:
        world: what senders can see, numbered, in splits, and how all views read in words.
        num_choices: N.
        chance: success rate of a receiver that gets no message, whatever it does.
        sender_space: the space of sender views.
        receiver_space: the space of receiver views.
    """

    world: AnyWorld
    num_choices: int
    sender_space: Space[Any]
    receiver_space: Space[Any]

    @property
    def chance(self) -> float: ...  # noqa: D102 - see the class

    def draw(self, rng: np.random.Generator) -> Any:
        """One episode."""

    def draw_many(self, size: int, rng: np.random.Generator) -> list[Any]:
        """`size` episodes of the same law, which need not be those that `draw` gives one by one."""

    def check(self, episodes: Sequence[Any]) -> list[Any]:
        """Copies of episodes that this game could have drawn.

        Raises:
            ValueError: if it could not have drawn one of them.
        """

    def succeeds(self, episode: Any, choice: int) -> bool:
        """Whether a choice is right: the rule by which every environment pays."""

    def retargeted(self, episode: Any, choice: int) -> Any:
        """The same receiver view with `choice` right; its sender view is what a swapped message is about."""

    def reordered(self, episode: Any, order: NDArray[np.int64]) -> Any:
        """The same episode with its choices in another order, a permutation (N,) of their places."""


Factory = Callable[[AnyWorld, EpisodeConfig], Game]
F = TypeVar("F", bound=Factory)
GAMES: Registry[Factory] = Registry("game", "parley.games", folder="parley.envs")


def register_game(name: str) -> Callable[[F], F]:
    """Decorator that makes a game known by name: a class or function of a world and an `EpisodeConfig`.

    Raises:
        ValueError: if another one has the name already.
    """
    return GAMES.register(name)


def find_game(name: str, world: AnyWorld, config: EpisodeConfig) -> Game:
    """The game registered under a name, about a world (it may bring one of its own instead).

    Raises:
        ValueError: if there is none; lists the valid names and suggests the nearest; or as the game does.
        PluginError: if a plug-in of that name is there and cannot be used.
    """
    return GAMES.find(name)(world, config)
