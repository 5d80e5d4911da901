"""Train a channel's codec between two frozen language models.

    python -m training.run --channel latent_vq --k 4 --codebook-size 64

Draws fresh episodes from the training split, optimises the codec only, and keeps the checkpoint
that does best on validation episodes.
"""

from __future__ import annotations

import json
import sys
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console

from agents.command_line import ExitCode, RunError, exit_with
from agents.pair import Pair
from channels.base import ChannelConfig
from channels.latent import LatentChannel
from channels.registry import channel_class, channel_names
from envs.world import objects_world
from training.config import TrainConfig, check_same_run
from training.trainer import Trainer

DEFAULT_CHANNEL = "latent_vq"


def parse(arguments: list[str]) -> tuple[str, ChannelConfig, TrainConfig]:
    """Read the command line: the trainer's flags, and those of the channel that is named.

    Raises:
        ValueError: if the channel is unknown or has nothing to train, or a value is out of range.
    """
    trainable = [name for name in channel_names() if channel_class(name).trainable]
    name = _channel_named(arguments)
    kind = channel_class(name)
    if not kind.trainable:
        raise ValueError(f"channel {name!r} has nothing to train; these have: {', '.join(trainable)}")
    chosen = Annotated[str, tyro.conf.arg(help=f"one of {', '.join(trainable)}")]
    flags = make_dataclass(
        "Flags",
        [
            ("channel", chosen, field(default=DEFAULT_CHANNEL)),
            ("codec", kind.Config, field(default_factory=kind.Config)),
            ("training", TrainConfig, field(default_factory=TrainConfig)),
        ],
        kw_only=True,
    )
    parsed: Any = tyro.cli(
        flags, args=arguments, description=__doc__, config=(tyro.conf.OmitArgPrefixes,), prog="training.run"
    )
    return name, parsed.codec, parsed.training


def _channel_named(arguments: list[str]) -> str:
    """The channel's name must be known before its own flags can be."""
    for position, argument in enumerate(arguments):
        if argument == "--channel" and position + 1 < len(arguments):
            return arguments[position + 1]
        if argument.startswith("--channel="):
            return argument.removeprefix("--channel=")
    return DEFAULT_CHANNEL


def prepare_folder(folder: Path, record: dict[str, Any], resume: bool) -> bool:
    """Make the run folder and write its configuration; say whether there is a state to resume.

    Raises:
        ValueError: if it holds a run already and was not to be resumed, or has other settings.
        OSError: if it cannot be written.
    """
    settings = folder / "config.json"
    if settings.exists():
        if not resume:
            raise ValueError(
                f"{folder} holds a run already; continue it with --resume, or name another --folder"
            )
        check_same_run(settings, record)
        return (folder / "state.safetensors").exists()
    folder.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(record, indent=2) + "\n")
    return False


def train(name: str, codec: ChannelConfig, config: TrainConfig) -> int:
    """Train, and say where the result is."""
    console = Console()
    folder = config.folder or Path("runs") / f"{name}-seed{config.seed}"
    resuming = prepare_folder(folder, config.record(name, codec), config.resume)
    torch.manual_seed(config.seed)
    with console.status("the sender describes and reads every training referent"):
        pair = Pair.load(config.models, objects_world())
        channel = channel_class(name)(codec, pair.ends)
        assert isinstance(channel, LatentChannel), "trainable channels are latent"
        trainer = Trainer(channel, pair, config, folder)
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
    return ExitCode.PASS


def main() -> int:
    """Entry point of `python -m training.run`."""
    return train(*parse(sys.argv[1:]))


if __name__ == "__main__":
    exit_with(main)
