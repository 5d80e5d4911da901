"""The loss: registered objectives, each with a weight and settings of its own, and their weighted sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from parley.agents.readout import Among
from parley.channels.base import Channel
from parley.envs.world import AnyWorld
from parley.plugins.names import unknown
from parley.training.objective import OBJECTIVES, ObjectiveConfig, of_messages
from parley.training.step import MessageBatch, PlayedBatch


def default_weights() -> dict[str, float]:
    """Those of the repaired recipe."""
    return {"ce": 1.0, "quantizer": 1.0, "reconstruction": 1.0}


@dataclass(frozen=True, kw_only=True)
class ObjectiveWeights:
    """What a codec is asked for, and how much each term counts.

    Args:
        weights: by the registered names of objectives; what is left out or 0 is not computed.
        settings: of objectives, by name, where they are not the defaults.
        among: whether ce, help and contrast want the target to be likely among the `choices` alone, or among
            the whole `vocabulary`.

    Raises:
        ValueError: if an objective or a setting is unknown, a value is out of range, or nothing is asked for.
        PluginError: if the plug-in that was to bring an objective cannot be used.
    """

    weights: dict[str, float] = field(default_factory=default_weights)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    among: Among = "choices"

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            OBJECTIVES.find(name)
            if not 0 <= weight < float("inf"):
                raise ValueError(f"{name} must be a finite weight of at least 0, got {weight}")
        asked = {name: weight for name, weight in sorted(self.weights.items()) if weight}
        if not any(OBJECTIVES.find(name).sufficient for name in asked):
            raise ValueError("at least one objective must have a weight above 0")
        # as they are recorded: what does not count is left out, and what counts has all its settings
        made = {name: asdict(self.config_of(name)) for name in {*asked, *self.settings}}
        object.__setattr__(self, "weights", asked)
        object.__setattr__(self, "settings", {name: made[name] for name in asked if made[name]})

    def config_of(self, name: str) -> ObjectiveConfig:
        """The settings of an objective.

        Raises:
            ValueError: if it has no such setting, or a value is out of range.
        """
        kind, given = OBJECTIVES.find(name).Config, self.settings.get(name, {})
        known = [setting.name for setting in fields(kind)]
        for setting in given:
            if setting not in known:
                raise unknown(f"{name} setting", setting, known)
        return kind(**given)

    @property
    def aligning(self) -> bool:
        """Whether a codec can learn to speak by some of them without the receiver."""
        asked = map(OBJECTIVES.find, self.weights)
        return any(objective.sufficient and of_messages(objective.needs) for objective in asked)

    @property
    def needs(self) -> frozenset[str]:
        """What a step must hold for all of them."""
        return frozenset().union(*(OBJECTIVES.find(name).needs for name in self.weights))

    @property
    def num_pairs(self) -> int:
        """Most contexts of `all_pairs` that one of them looks at."""
        return max(self.config_of(name).num_pairs for name in self.weights)


class Loss(nn.Module):
    """The weighted sum of objectives, with the heads that some of them train.

    Args:
        config: which, and how much each counts.
        channel: that is trained.
        world: what the sender sees.

    Raises:
        ValueError: if an objective does not suit the channel.
    """

    def __init__(self, config: ObjectiveWeights, channel: Channel, world: AnyWorld) -> None:
        super().__init__()
        self.weights = config.weights
        made = {
            name: OBJECTIVES.find(name)(config.config_of(name), channel, world) for name in config.weights
        }
        self.objectives = made
        self.heads = nn.ModuleList(each.head for each in made.values() if each.head is not None)

    def of_messages(self, batch: MessageBatch) -> dict[str, Float[Tensor, ""]]:
        """Every term that needs the messages alone, unweighted."""
        return self._terms(batch, alone=True)

    def of_play(self, batch: PlayedBatch) -> dict[str, Float[Tensor, ""]]:
        """Every term that needs the game, unweighted."""
        return self._terms(batch, alone=False)

    def forward(self, terms: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """The weighted sum."""
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()

    def _terms(self, batch: MessageBatch, alone: bool) -> dict[str, Tensor]:
        """Evaluate the objectives of one kind.

        Raises:
            ValueError: if an objective's value is not one number.
        """
        asked = [name for name, each in self.objectives.items() if of_messages(each.needs) is alone]
        terms = {name: self.objectives[name](batch) for name in asked}
        for name, value in terms.items():
            if not isinstance(value, Tensor) or value.ndim:
                got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f"objective {name!r} must return a tensor of no dimension, got {got}")
        return terms
