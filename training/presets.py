"""Recipes by name: `original` failed, `default` is the repaired one, `aligned` is for real models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from parley.channels.base import Channel, ChannelConfig
from parley.plugins.names import unknown
from parley.training.config import TrainConfig
from parley.training.loss import ObjectiveWeights
from parley.training.objective import OBJECTIVES

DEFAULT_PRESET = "default"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Defaults that the command line's flags may override.

    Args:
        about: what it is, in a line.
        channel: which channel it trains, unless another is named.
        codec: the channel's settings, where they are not its defaults.
        training: how it is trained.
        differs: what of the original could not be carried over.
    """

    about: str
    channel: str
    codec: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    training: TrainConfig = field(default_factory=TrainConfig)
    differs: tuple[str, ...] = ()

    def training_for(self, kind: type[Channel]) -> TrainConfig:
        """The trainer's settings, with those that the channel asks for in their place.

        Raises:
            ValueError: if it asks for a setting that the trainer does not have.
        """
        own = {setting.name for setting in fields(TrainConfig)}
        objectives = set(OBJECTIVES.names())
        for name in kind.train_defaults:
            if name not in own | objectives:
                raise unknown("setting of the trainer", name, sorted(own | objectives))
        asked = {name: value for name, value in kind.train_defaults.items() if name in own}
        changed = {name: value for name, value in kind.train_defaults.items() if name in objectives}
        weights = replace(self.training.objectives, weights=self.training.objectives.weights | changed)
        return replace(self.training, objectives=weights, **asked)

    def codec_for(self, kind: type[Channel]) -> ChannelConfig:
        """The settings of a channel: the preset's, as far as it has them."""
        known = {setting.name for setting in fields(kind.Config)}
        return kind.Config(**{name: value for name, value in self.codec.items() if name in known})


def _original() -> Preset:
    return Preset(
        about="the failed experiment, constant for constant",
        channel="latent",
        codec={
            "k": 4,
            "latent_width": 0,
            "encoder": "pooled",
            "decoder": "identity",
            "codec_width": 512,
            "depth": 1.0,
            "reads": "message",
            "standardize": False,
            "at_start": True,
            "initial_gate": 0.5,
        },
        training=TrainConfig(
            steps=1374,  # 10 epochs of 1,099 samples, 8 at a time
            alignment_steps=0,
            fixed_episodes=1099,
            batch_size=8,
            messages_per_context=1,
            learning_rate=1e-3,
            warmup_steps=0,
            learning_rate_every=137,  # once an epoch
            beta2=0.999,
            validate_every=137,
            objectives=ObjectiveWeights(
                weights={
                    "ce": 1.0,
                    "contrast": 0.5,
                    "help": 1.0,
                    "state_reconstruction": 20.0,
                    "info_preserve": 10.0,
                },
                among="vocabulary",
            ),
        ),
        differs=(
            "the models: the pocket, or any Qwen that --model names, for Qwen2.5-3B-Instruct",
            "the task: objects among five candidates, for the experiment's own",
            "the answer is one letter, so its cross-entropy stands at one position, among all tokens, for a "
            "weighted sum over the tokens of a JSON string",
            "tanh bounds the latents before LayerNorm: what crosses is an element of a bounded space",
            "the checkpoint that does best on validation is kept, for the last one",
        ),
    )


def _default() -> Preset:
    return Preset(about="the repaired recipe", channel="latent_vq")


def _aligned() -> Preset:
    return Preset(
        about="alignment with exact descriptions alone, without a receiver: minutes on a real model",
        channel="latent_vq",
        training=TrainConfig(
            steps=300,
            alignment_steps=300,
            labels="exact",
            batch_size=4,  # contexts of a step through the receiver, if --steps asks for some
            validate_every=150,
            validation_episodes=60,
        ),
    )


def _reinforce() -> Preset:
    return Preset(
        about="discrete codes from the environment's reward alone, without labels",
        channel="symbols",
        codec={"codebook_size": 32},
        training=TrainConfig(
            steps=1000,
            alignment_steps=0,
            objectives=ObjectiveWeights(weights={"reinforce": 1.0, "entropy": 0.02}),
        ),
    )


# made when they are asked for: which objectives there are is known once plug-ins are imported
PRESETS: dict[str, Callable[[], Preset]] = {
    "original": _original,
    "default": _default,
    "aligned": _aligned,
    "reinforce": _reinforce,
}


def find_preset(name: str) -> Preset:
    """The preset of a name.

    Raises:
        ValueError: if there is none; lists the valid names and suggests the nearest.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]()
