"""Train a channel's codec between two frozen language models.

    parley train --channel latent_vq --k 4 --codebook-size 64
    parley train --preset original
    parley train --model qwen2.5-3b --estimate

Draws fresh episodes from the training split, optimises the codec only, and keeps the checkpoint
that does best on validation episodes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import field, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import tyro
from rich.console import Console

from parley.agents.command_line import ExitCode, RunError, exit_with, parse_arguments
from parley.agents.pair import Pair
from parley.arguments import value_of
from parley.channels.base import ChannelConfig
from parley.channels.registry import channel_class, channel_names
from parley.envs.worlds import find_world
from parley.training.config import TrainConfig, check_same_run
from parley.training.costs.cards import EstimateConfig
from parley.training.costs.table import show_estimate
from parley.training.objective_flags import FLAGS
from parley.training.presets import DEFAULT_PRESET, PRESETS, find_preset
from parley.training.trainer import Trainer


class Asked(NamedTuple):
    """A command line, understood."""

    channel: str
    codec: ChannelConfig
    training: TrainConfig
    estimate: EstimateConfig


def parse(arguments: list[str]) -> tuple[str, ChannelConfig, TrainConfig]:
    """The channel, its settings and the trainer's that a command line asks for; errors are those of `ask`."""
    return ask(arguments)[:3]


def ask(arguments: list[str]) -> Asked:
    """Read the command line: a preset's defaults, the trainer's flags, and those of the channel.

    Raises:
        ValueError: if the preset or channel is unknown, the channel has nothing to train, or a value
            is out of range.
    """
    asked_preset = value_of("preset", arguments)
    preset_name = asked_preset or DEFAULT_PRESET
    preset = find_preset(preset_name)
    name = value_of("channel", arguments) or preset.channel
    kind = channel_class(name)
    trainable = [known for known in channel_names() if channel_class(known).trainable]
    if not kind.trainable:
        raise ValueError(f"channel {name!r} has nothing to train; these have: {', '.join(trainable)}")
    # a preset that was asked for is kept as it is; else a channel may know better than the default
    training = preset.training if asked_preset else preset.training_for(kind)
    flags = make_dataclass(
        "Flags",
        [
            ("preset", _choice(PRESETS), field(default=preset_name)),
            ("channel", _choice(trainable), field(default=name)),
            ("codec", kind.Config, field(default=preset.codec_for(kind))),
            ("training", TrainConfig, field(default=training)),
            ("estimate", EstimateConfig, field(default=EstimateConfig())),
        ],
        kw_only=True,
    )
    with FLAGS:
        parsed: Any = parse_arguments(flags, arguments, __doc__, "parley train")
    training = parsed.training
    if training.folder is None:
        training = replace(training, folder=default_folder(preset_name, name, training.seed))
    return Asked(name, parsed.codec, training, parsed.estimate)


def _choice(names: Iterable[str]) -> Any:
    return Annotated[str, tyro.conf.arg(help=f"one of {', '.join(names)}")]


def default_folder(preset: str, channel: str, seed: int) -> Path:
    """Where a run is kept unless it is said: by channel, and by preset if it is not the default."""
    name = channel if preset == DEFAULT_PRESET else preset
    if preset != DEFAULT_PRESET and channel != find_preset(preset).channel:
        name = f"{preset}-{channel}"
    return Path("runs") / f"{name}-seed{seed}"


def prepare_folder(folder: Path, record: dict[str, Any], resume: bool) -> bool:
    """Make the run folder and write its configuration; say whether there is a state to resume.

    Raises:
        ValueError: if it holds a run already and was not to be resumed, or has other settings.
        OSError: if it cannot be written.
    """
    settings = folder / "config.json"
    # one that was refused before its first step, such as for an unsuitable setting, is no run
    if settings.exists() and (folder / "metrics.jsonl").exists():
        if not resume:
            raise ValueError(
                f"{folder} holds a run already; continue it with --resume, or name another --folder"
            )
        check_same_run(settings, record)
        return (folder / "state.safetensors").exists()
    folder.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return False


def train(name: str, codec: ChannelConfig, config: TrainConfig, pair: Pair | None = None) -> Path:
    """Train a channel; returns the run folder.

    Args:
        name: of the channel.
        codec: its settings.
        config: how; its folder must be named.
        pair: who plays, if they are loaded already.

    Raises:
        ValueError: if the pair plays about another world than the configuration's.
        RunError: if it was interrupted or came to nothing; what was learned is kept.
    """
    assert config.folder is not None, "a run needs a folder"
    console, folder = Console(), config.folder
    game = config.find_game(find_world(config.world), "train")
    world = game.world
    if pair is not None and pair.world.name != world.name:
        raise ValueError(f"the pair must play about world {world.name!r}, got one about {pair.world.name!r}")
    resuming = prepare_folder(folder, config.record(name, codec), config.resume)
    with console.status("the models are loaded"):
        pair = pair or Pair.load(config.models, world, game)
    torch.manual_seed(config.seed)
    if (incompatibility := channel_class(name).incompatibility(pair.interface)) is not None:
        raise ValueError(f"channel {name!r} cannot stand between these models: {incompatibility}")
    channel = channel_class(name)(codec, pair.interface)
    trainer = Trainer(channel, pair, config, folder)  # the sender reads, and shows how far it is
    if resuming:
        trainer.resume()
    try:
        trainer.run()
    except KeyboardInterrupt:
        trainer.save()
        raise RunError(
            f"interrupted at step {trainer.step_number}; what was learned is kept in {folder}: "
            f"add --resume to the same command to go on"
        ) from None
    console.print(
        f"{name}: best validation success {trainer.best:.1%} after {trainer.step_number} steps and "
        f"{trainer.seconds:.0f} s of training; checkpoint {folder / 'channel.safetensors'}",
        soft_wrap=True,
    )
    return folder


def main() -> int:
    """Entry point of `parley train`, which is `python -m parley.training.run`."""
    asked = ask(sys.argv[1:])
    if asked.estimate.estimate:
        show_estimate(asked.channel, asked.codec, asked.training, asked.estimate, Console())
    else:
        train(asked.channel, asked.codec, asked.training)
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
