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
from parley.agents.folder_lock import locked
from parley.agents.pair import Pair
from parley.arguments import value_of
from parley.channels.base import ChannelConfig
from parley.channels.files import atomic_write
from parley.channels.registry import channel_class, channel_names
from parley.envs.worlds import find_world
from parley.training.config import TrainConfig, check_same_run
from parley.training.costs.cards import EstimateConfig
from parley.training.costs.table import show_estimate
from parley.training.log import METRICS_FILE, STATE_FILE
from parley.training.objective_flags import FLAGS
from parley.training.presets import DEFAULT_PRESET, PRESETS, find_preset
from parley.training.trainer import CHECKPOINT_FILE, Trainer

CONFIG_FILE = "config.json"
_TRACES = (CONFIG_FILE, STATE_FILE, METRICS_FILE, CHECKPOINT_FILE)


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


def check_folder(folder: Path, record: dict[str, Any], resume: bool) -> bool:
    """Refuse a folder in which a run would be lost; say whether there is a state to resume.

    Args:
        folder: of the run.
        record: its settings.
        resume: whether what it holds is to be continued.

    Raises:
        ValueError: if it holds a run that was not to be resumed, or has other settings.
        RunError: if it holds what is left of one, which cannot be continued.
    """
    traces = [name for name in _TRACES if (folder / name).exists()]
    if traces and not resume:
        raise ValueError(
            f"{folder} holds a run already ({', '.join(traces)}); continue it with --resume, or name another "
            f"--folder"
        )
    lacking = [name for name in (CONFIG_FILE, STATE_FILE) if name not in traces]
    if traces and traces != [CONFIG_FILE] and lacking:
        raise RunError(
            f"{folder} holds {', '.join(traces)} but no {' and no '.join(lacking)}, so that run cannot be "
            f"continued; name another --folder"
        )
    if traces:
        check_same_run(folder / CONFIG_FILE, record)
    return STATE_FILE in traces


def train(name: str, codec: ChannelConfig, config: TrainConfig, pair: Pair | None = None) -> Path:
    """Train a channel; returns the run folder.

    Args:
        name: of the channel.
        codec: its settings.
        config: how; its folder must be named.
        pair: who plays, if they are loaded already.

    Raises:
        ValueError: if the pair plays about another world than the configuration's.
        RunError: if it was interrupted or came to nothing, what was learned being kept; or if another run is
            at work in the folder.
    """
    assert config.folder is not None, "a run needs a folder"
    with locked(config.folder):
        trainer = _begin(name, codec, config, config.folder, pair)
        try:
            trainer.run()
        except KeyboardInterrupt:
            raise trainer.interrupted() from None
    Console().print(
        f"{name}: best validation success {trainer.best:.1%} after {trainer.step_number} steps and "
        f"{trainer.seconds:.0f} s of training; checkpoint {config.folder / CHECKPOINT_FILE}",
        soft_wrap=True,
    )
    return config.folder


def _begin(name: str, codec: ChannelConfig, config: TrainConfig, folder: Path, pair: Pair | None) -> Trainer:
    """A trainer where the folder's run left off; the folder says what is trained once it can be."""
    game = config.find_game(find_world(config.world), "train")
    world = game.world
    if pair is not None and pair.world.name != world.name:
        raise ValueError(f"the pair must play about world {world.name!r}, got one about {pair.world.name!r}")
    record = config.record(name, codec)
    resuming = check_folder(folder, record, config.resume)
    with Console().status("the models are loaded"):
        pair = pair or Pair.load(config.models, world, game)
    record |= {"models": pair.fingerprints}
    if resuming:
        check_same_run(folder / CONFIG_FILE, record)
    torch.manual_seed(config.seed)
    if (incompatibility := channel_class(name).incompatibility(pair.interface)) is not None:
        raise ValueError(f"channel {name!r} cannot stand between these models: {incompatibility}")
    channel = channel_class(name)(codec, pair.interface)
    trainer = Trainer(channel, pair, config, folder)  # the sender reads, and shows how far it is
    if resuming:
        trainer.resume()
    else:
        record["names"] = {"sender": pair.sender.lm.name, "receiver": pair.receiver.lm.name}  # for people
        atomic_write(folder / CONFIG_FILE, (json.dumps(record, indent=2) + "\n").encode())
    return trainer


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
