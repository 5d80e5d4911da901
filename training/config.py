"""How a codec is trained: one frozen dataclass; the command line is made from it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from parley.agents.command_line import ASIDE, GameName, RunError, WorldName, check_same_settings, defining
from parley.agents.pair import ModelConfig
from parley.agents.player import find_profile
from parley.channels.base import Channel, ChannelConfig, check_range
from parley.envs.game import DEFAULT_GAME, EpisodeConfig, Game, find_game
from parley.envs.world import AnyWorld, Split
from parley.envs.worlds import DEFAULT_WORLD, find_world
from parley.training.loss import ObjectiveWeights
from parley.training.token_targets import Labels

LARGEST_STEP = 1e6
"""Of learning rate and weight decay: beyond, what AdamW multiplies no longer fits its numbers."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a codec is trained.

    Args:
        folder: run folder; by default runs/CHANNEL-seedSEED.
        resume: continue what the run folder holds, instead of refusing to overwrite it.
        seed: of the codec's initial weights and of the episodes.
        steps: optimiser steps.
        alignment_steps: the first steps, which ask no receiver: only the terms that need none (reconstruction
            and its like) are trained, on messages about random training referents.
        alignment_batch: messages of such a step.
        first_tokens_only: reconstruction asks slot j for the message's token j alone, and for nothing after
            the k-th; for fewer slots than tokens, and for few bits.
        labels: the messages whose tokens reconstruction asks for: what the sender says, or the exact
            description of what it sees, for which nothing need be decoded.
        continuous_share: share of the steps before a discrete channel is quantised.
        batch_size: contexts a step, from the training split.
        messages_per_context: how many of a context's candidates take their turn as the target.
        fixed_episodes: train on this many samples over and over; 0 draws fresh ones every step.
        learning_rate: AdamW's peak, after a linear warm-up and before a cosine to 0.
        warmup_steps: length of the warm-up.
        learning_rate_every: steps between changes of the learning rate.
        beta2: decay of AdamW's second moment.
        weight_decay: AdamW's.
        max_grad_norm: gradients are clipped to this L2 norm.
        num_candidates: N of the training and validation episodes.
        validate_every: steps between validations.
        validation_episodes: fixed episodes of the validation split; the latest of the best checkpoints wins.
        game: what is played.
        world: what is talked about.
        objectives: what the codec is asked for; each weight puts a term into the loss, and 0 leaves it out.
        models: which frozen models play.
    """

    folder: Path | None = field(default=None, metadata=ASIDE)
    resume: bool = field(default=False, metadata=ASIDE)
    seed: int = 0
    steps: int = 160
    alignment_steps: int = 100
    alignment_batch: int = 256
    first_tokens_only: bool = False
    labels: Labels = "said"
    continuous_share: float = 0.5
    batch_size: int = 32
    messages_per_context: int = 5
    fixed_episodes: int = 0
    learning_rate: float = 2e-3
    warmup_steps: int = 30
    learning_rate_every: int = 1
    beta2: float = 0.99
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    num_candidates: int = 5
    validate_every: int = 20
    validation_episodes: int = 200
    game: GameName = DEFAULT_GAME
    world: WorldName = DEFAULT_WORLD
    objectives: ObjectiveWeights = field(default_factory=ObjectiveWeights)
    models: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        check_range("seed", self.seed, 0, 2**31 - 1)
        check_range("steps", self.steps, 1)
        check_range("alignment_steps", self.alignment_steps, 0, self.steps)
        check_range("alignment_batch", self.alignment_batch, 1)
        if self.alignment_steps and not self.objectives.aligning:
            raise ValueError(
                f"alignment_steps must be 0 without an objective of messages alone, such as reconstruction, "
                f"got {self.alignment_steps}"
            )
        check_range("continuous_share", self.continuous_share, 0, 1)
        check_range("batch_size", self.batch_size, 1)
        check_range("num_candidates", self.num_candidates, 2, 26)
        check_range("messages_per_context", self.messages_per_context, 1, self.num_candidates)
        check_range("fixed_episodes", self.fixed_episodes, 0, 10_000_000)
        check_range("learning_rate", self.learning_rate, 0, LARGEST_STEP)
        check_range("learning_rate_every", self.learning_rate_every, 1)
        if not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2 must be from 0 to less than 1, got {self.beta2}")
        check_range("weight_decay", self.weight_decay, 0, LARGEST_STEP)
        check_range("warmup_steps", self.warmup_steps, 0)
        check_range("max_grad_norm", self.max_grad_norm, 1e-9)
        check_range("validate_every", self.validate_every, 1)
        check_range("validation_episodes", self.validation_episodes, 1)

    def find_game(self, world: AnyWorld, split: Split) -> Game:
        """The game about a split of a world.

        Raises:
            ValueError: if there is no such game, or it cannot be played about this split.
            PluginError: if the plug-in that was to bring it cannot be used.
        """
        return find_game(self.game, world, EpisodeConfig(split=split, num_candidates=self.num_candidates))

    def check_channel(self, channel: Channel) -> None:
        """Refuse a channel that cannot go through this training.

        Raises:
            ValueError: if it would never be quantised, is told of episodes and should be aligned without
                any, or logs something by the name of an objective.
        """
        if not channel.ready and int(self.continuous_share * self.steps) >= self.steps:
            raise ValueError(
                f"continuous_share must leave steps in which channel {channel.name!r} is quantised, "
                f"got {self.continuous_share} of {self.steps} steps"
            )
        if channel.sees_scene and self.alignment_steps:
            raise ValueError(
                f"alignment_steps must be 0 for channel {channel.name!r}, which speaks about episodes, not "
                f"about referents alone, got {self.alignment_steps}"
            )
        for name in self.objectives.weights.keys() & channel.logged().keys():
            raise ValueError(
                f"objective {name!r} must have another name: channel {channel.name!r} logs a metric of "
                f"that name"
            )

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, then a cosine to 0; `step` counts those that were made before."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        held = max(step // self.learning_rate_every * self.learning_rate_every, self.warmup_steps)
        done = (held - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def record(self, channel: str, channel_config: ChannelConfig) -> dict[str, Any]:
        """What defines the run beside its models, as JSON: not where it is kept, nor how fast it goes.

        Raises:
            ValueError: if there is no such world or game.
            ModelError: if the player profile cannot be read.
        """
        own = defining(self)
        own["players"] = find_profile(self.models).settings  # what the flags of the profile come to
        # its name tells a file's content, unlike its path, and a game may bring a world of its own
        own["world"] = self.find_game(find_world(self.world), "train").world.name
        record = {"channel": channel, "codec": asdict(channel_config), "training": own}
        as_read_again: dict[str, Any] = json.loads(json.dumps(record))  # a tuple becomes a list
        return as_read_again


def check_same_run(path: Path, record: dict[str, Any]) -> None:
    """Refuse to continue a run under other settings, or with other models.

    Args:
        path: of the run's configuration.
        record: what is to be the same of it.

    Raises:
        ValueError: naming each setting that differs.
        RunError: if the file is damaged.
    """
    try:
        kept = json.loads(path.read_bytes())
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if not isinstance(kept, dict) or not all(
        isinstance(kept.get(name), type(record[name])) for name in record
    ):
        raise RunError(f"{path} is damaged: it must hold {', '.join(record)}")
    check_same_settings(path.parent, {name: kept[name] for name in record}, record)
