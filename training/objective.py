"""What a codec is asked for: `@register_objective("name", needs=...)` on a class of one file.

The file stands in training/objectives/, or in an installed package with an entry point of the group
`parley.objectives`. `--NAME WEIGHT` puts the term into the loss; terms are in nats unless they say otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from parley.channels.base import Channel
from parley.envs.world import AnyWorld
from parley.plugins.names import unknown
from parley.plugins.registry import Registry
from parley.training.metrics import METRICS

NEEDS = ("messages", "normal", "shuffle", "null", "text", "all_pairs", "rewards", "policy")
T = TypeVar("T", bound="type[Objective]")


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """An objective's own settings; those that have some subclass it."""

    @property
    def num_pairs(self) -> int:
        """S, most contexts and messages of `all_pairs`, where that is needed."""
        return 8


class Objective(ABC):
    """One term of the loss.

    Args:
        config: an instance of the class's `Config`.
        channel: that is trained.
        world: what the sender sees.

    Attributes:
        name: under which it is weighed and logged; set by `register_objective`.
        needs: what a step must hold for it, likewise: `messages` (as they left the channel; a term that needs
            nothing else is trained while the codec is aligned too), or the receiver's answers under `normal`
            messages, `shuffle` (another context's), `null` (the content-free prefix), `text` (the sender's
            words) or `all_pairs` (some contexts under each other's messages), its `rewards`, or the `policy`
            by which codes were drawn.
        Config: the dataclass of its settings.
        sufficient: whether a codec can learn to speak from it alone.
        head: layers of its own that are trained beside the codec.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]]
    Config: ClassVar[type[ObjectiveConfig]] = ObjectiveConfig
    sufficient: ClassVar[bool] = True
    head: nn.Module | None = None

    def __init__(self, config: ObjectiveConfig, channel: Channel, world: AnyWorld) -> None:
        self.config = config

    @abstractmethod
    def __call__(self, batch: Any) -> Tensor:
        """Its value on a `MessageBatch`, or on a `PlayedBatch` where it needs the game: one number."""


OBJECTIVES: Registry[type[Objective]] = Registry(
    "objective", "parley.objectives", folder="parley.training.objectives"
)


def register_objective(name: str, needs: Collection[str]) -> Callable[[T], T]:
    """Class decorator that makes a term of the loss known by name.

    Raises:
        ValueError: if another class has the name already, a metric has it, or there is no such need.
    """
    for need in needs:
        if need not in NEEDS:
            raise unknown("need", need, NEEDS)
    if not needs:
        raise ValueError(f"needs must name at least one of {', '.join(NEEDS)}, got none")
    if name in METRICS:
        raise ValueError(f"no objective may be named {name!r}: the training's log has a metric of that name")

    def add(objective: T) -> T:
        OBJECTIVES.register(name)(objective)
        objective.name, objective.needs = name, frozenset(needs)
        return objective

    return add


def of_messages(needs: Collection[str]) -> bool:
    """Whether these needs are met without any receiver."""
    return set(needs) == {"messages"}
