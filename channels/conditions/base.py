"""What a condition is, and which there are: `@register("name")` in any file of this folder makes one known.

A condition says what the sender is told of, and what happens to its message on the way. An installed package
brings more by an entry point of the group `parley.conditions`. Conditions know no channel, no language model
and no game.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from gymnasium import Space
from jaxtyping import Int

from parley.channels.canonical import Message
from parley.plugins.registry import Registry

C = TypeVar("C", bound="type[Condition]")
Expectation = Literal["above_floor", "at_chance", "swap_consistency"]


@runtime_checkable
class Draws(Protocol):
    """What was drawn for the n episodes of a run before the first message."""

    @property
    def targets(self) -> Int[np.ndarray, " n"]:
        """The target's place among the candidates."""

    @property
    def partners(self) -> Int[np.ndarray, " n"]:
        """Another episode: a derangement."""

    @property
    def swap_targets(self) -> Int[np.ndarray, " n"]:
        """Another candidate of the same episode."""


class Told(NamedTuple):
    """Whom the sender is told to speak of."""

    episode: int
    candidate: int


class Look(NamedTuple):
    """How a condition is drawn: told apart without colour."""

    marker: str  # matplotlib's
    size: float  # of the marker, in points


class Condition(ABC):
    """One condition; it has no state, so one object serves all channels and runs.

    Attributes:
        name: set by `register`.
        order: place in tables and in the order of play; equal ones by name.
        delivers: what the receiver gets, in a few words.
        expectation: what is expected of a channel that carries meaning; None where nothing is. A gate asks it
            only of the conditions that its rule names; of others it is reported.
        names_candidate: whether the message that arrives names the candidate that the sender was told of.
        for_channels: whether channels play it.
        for_baseline: whether the channel without any message plays it.
        needs_sample: whether it makes its message of those of other episodes.
        content_free: whether the receiver gets zeros of the kind that it gets from the channel, whatever was
            sent; the channel is not asked.
        reorders: whether the receiver sees the candidates in another order.
        shown_in_gallery: whether the report's episodes show it.
        look: how it is drawn.
    """

    name: ClassVar[str]
    order: ClassVar[int] = 100
    delivers: ClassVar[str] = ""
    expectation: ClassVar[Expectation | None] = None
    names_candidate: ClassVar[bool] = False
    for_channels: ClassVar[bool] = True
    for_baseline: ClassVar[bool] = False
    needs_sample: ClassVar[bool] = False
    content_free: ClassVar[bool] = False
    reorders: ClassVar[bool] = False
    shown_in_gallery: ClassVar[bool] = False
    look: ClassVar[Look] = Look("p", 6.0)

    def __repr__(self) -> str:
        return type(self).__qualname__

    @abstractmethod
    def told(self, row: int, draws: Draws) -> Told:
        """Whom the sender speaks of in an episode; where two conditions agree it speaks once."""

    def deliver(
        self, message: Message, space: Space[Any], rng: np.random.Generator, sample: Sequence[Message] = ()
    ) -> Message:
        """The message that crosses, an element of the space.

        Args:
            message: as it was sent.
            space: the message space, a plain one.
            rng: of this episode, channel and condition alone.
            sample: what was sent about the targets of other episodes, for a condition that needs it.
        """
        return message


class OwnMessage(Condition):
    """A condition in which the sender speaks of the target, as it is meant to."""

    def told(self, row: int, draws: Draws) -> Told:
        """The target of the same episode."""
        return Told(row, int(draws.targets[row]))


class PartnersMessage(Condition):
    """A condition in which the sender speaks of another episode's target, by a derangement over the run."""

    def told(self, row: int, draws: Draws) -> Told:
        """The target of the partner."""
        partner = int(draws.partners[row])
        return Told(partner, int(draws.targets[partner]))


CONDITIONS: Registry[Condition] = Registry(
    "condition", "parley.conditions", folder="parley.channels.conditions"
)


def register(name: str) -> Callable[[C], C]:
    """Class decorator that makes a condition known by name.

    Raises:
        ValueError: if another class has the name already, or it may not be one.
    """

    def add(kind: C) -> C:
        CONDITIONS.register(name)(kind())
        kind.name = name
        return kind

    return add


def conditions(*, baseline: bool = False) -> list[Condition]:
    """All conditions that channels play, or those of the baseline, in the order of tables and of play."""
    known = map(CONDITIONS.find, CONDITIONS.names())
    played = [item for item in known if (item.for_baseline if baseline else item.for_channels)]
    return sorted(played, key=lambda item: (item.order, item.name))


def condition_names(*, baseline: bool = False) -> list[str]:
    """Their names, in the same order."""
    return [condition.name for condition in conditions(baseline=baseline)]


def find_condition(name: str) -> Condition:
    """The condition of a name.

    Raises:
        ValueError: if there is none; lists the valid names and suggests the nearest.
        PluginError: if a plug-in of that name is there and cannot be used.
    """
    return CONDITIONS.find(name)
