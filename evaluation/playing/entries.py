"""Which channels are put to the test, and with which weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from parley.agents.pair import Pair
from parley.channels.base import ChannelConfig, Role
from parley.channels.checkpoint import load_channel, read_header
from parley.channels.registry import channel_class, channel_names
from parley.envs.worlds import DEFAULT_WORLD
from parley.evaluation.playing.entry import Entry

ALL = "all"
CHECKPOINT_FILE = "channel.safetensors"


def chosen_channels(names: Sequence[str], roles: Mapping[str, Role] | None = None) -> list[str]:
    """The channels asked for; `all` stands for every one. The baseline always plays: it measures P0.

    Args:
        names: of channels, or all; several may stand in one, divided by commas.
        roles: of the channels there are; by default they are looked up.

    Raises:
        ValueError: if a name is unknown.
    """
    wanted = [part for name in names for part in name.split(",") if part]
    if not wanted:
        raise ValueError("channels must name at least one channel, or all")
    if roles is None:
        roles = {name: channel_class(name).role for name in {*channel_names(), *wanted} - {ALL}}
    baselines = [name for name, role in roles.items() if role == "baseline"]
    listed = sorted(roles) if ALL in wanted else wanted
    first = {"baseline": 0, "ceiling": 1}
    return sorted(dict.fromkeys([*baselines, *listed]), key=lambda name: first.get(roles[name], 2))


def asked_by_name(names: Sequence[str]) -> set[str]:
    """The channels that were named, not counting those that `all` brings."""
    return {part for name in names for part in name.split(",") if part} - {ALL}


def find_checkpoint(name: str, pair: Pair, runs: Path) -> Path | None:
    """The newest checkpoint of a channel under `runs` made for this world and these models, if any.

    Raises:
        CheckpointError: if one that is there cannot be used: nobody knows whether it was meant.
        OSError: if a folder cannot be looked into.
    """
    for path in sorted(_checkpoints(runs), key=lambda path: path.stat().st_mtime, reverse=True):
        header = read_header(path)
        world = header.training.get("world", DEFAULT_WORLD)  # the only one there was when none was noted
        if header.channel == name and header.models == pair.fingerprints and world == pair.world.name:
            return path
    return None


def _checkpoints(runs: Path) -> Iterator[Path]:
    """All there are, unlike `glob`, which passes over what may not be looked into."""
    for folder in runs.iterdir() if runs.exists() else ():
        path = folder / CHECKPOINT_FILE
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        yield path


def given_checkpoints(paths: Iterable[Path], wanted: Sequence[str]) -> dict[str, Path]:
    """The checkpoint files that were named (a file, or its run folder), by channel.

    Raises:
        CheckpointError: if one cannot be read.
        ValueError: if two are of one channel, or one is of a channel that does not play.
    """
    files: dict[str, Path] = {}
    for given in paths:
        path = given / CHECKPOINT_FILE if given.is_dir() else given
        name = read_header(path).channel
        if name in files:
            raise ValueError(f"two checkpoints are of channel {name!r}: {files[name]} and {path}")
        if name not in wanted:
            raise ValueError(
                f"{path} is of channel {name!r}, which is not among --channels {', '.join(wanted)}"
            )
        files[name] = path
    return files


def enter(
    name: str,
    pair: Pair,
    checkpoint: Path | None,
    *,
    named: bool = True,
    config: ChannelConfig | None = None,
) -> Entry:
    """A channel in eval mode: trained from its checkpoint, or as it begins.

    Args:
        name: of the channel.
        pair: who plays.
        checkpoint: what it has learned, where there is something to learn.
        named: whether it was asked for by name. One that came with `all` decides nothing if it has nothing
            to learn; if it is a reference, or has not learned what it could, it plays under normal alone.
        config: its settings where there is nothing to learn; by default the usual ones.
    """
    kind = channel_class(name)
    if not kind.trainable:
        channel = kind(config or kind.Config(), pair.interface).eval()
        unasked = kind.role == "judged" and not named
        alone = kind.role == "reference" and not named
        return Entry(channel, "reference" if unasked else kind.role, ("normal",) if alone else None)
    if checkpoint is not None:
        channel = load_channel(checkpoint, pair.interface, pair.fingerprints).to(pair.device)
        return Entry(channel, kind.role)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        channel = kind(kind.Config(), pair.interface).to(pair.device)
        if named:
            pair.prepare(channel)
    return Entry(channel.eval(), "untrained", None if named else ("normal",))
