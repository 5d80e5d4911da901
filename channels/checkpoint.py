"""A trained channel on disk: one safetensors file, strict, versioned, tied to its two models."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from parley.channels.base import Channel, ModelInterface
from parley.channels.registry import channel_class

FORMAT_VERSION = 2
NORM_SLACK = 1e-2


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class CheckpointHeader:
    """What stands beside the weights.

    Args:
        channel: registered name.
        config: the channel's settings.
        interface: widths and norm at both ends.
        models: fingerprints of sender and receiver.
        training: free notes on the training, such as seed and step.
    """

    channel: str
    config: dict[str, Any]
    interface: dict[str, Any]
    models: dict[str, str]
    training: dict[str, Any]
    format_version: int = FORMAT_VERSION


def save_channel(path: Path, channel: Channel, models: dict[str, str], training: dict[str, Any]) -> None:
    """Write a channel; a cut while writing leaves an earlier file whole."""
    header = CheckpointHeader(
        channel=channel.name,
        config=asdict(channel.config),
        interface=channel.interface.sizes,
        models=models,
        training=training,
    )
    weights = {name: tensor.contiguous() for name, tensor in channel.state_dict().items()}
    temporary = path.with_suffix(".tmp")
    save_file(weights, temporary, metadata={"parley": json.dumps(asdict(header))})
    temporary.replace(path)


def read_header(path: Path) -> CheckpointHeader:
    """Read what stands beside the weights, without the weights.

    Raises:
        CheckpointError: if there is no such file, it is damaged, not ours, or of another version.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("parley", "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path} is a safetensors file, but not a channel's checkpoint")
    if (version := header.get("format_version")) != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}, and this program reads {FORMAT_VERSION}: train again"
        )
    kinds = {"channel": str, "config": dict, "interface": dict, "models": dict, "training": dict}
    for name, kind in kinds.items():
        if not isinstance(header.get(name), kind):
            raise CheckpointError(f"{path} has a header without a proper {name!r} in it")
    return CheckpointHeader(**{name: header[name] for name in kinds})


def load_channel(path: Path, interface: ModelInterface, models: dict[str, str]) -> Channel:
    """Load a channel for these two models, in eval mode.

    Raises:
        CheckpointError: as `read_header`, or if the checkpoint was made for other models or widths.
    """
    header = read_header(path)
    _check_ends(path, header.interface, interface)
    for role, fingerprint in models.items():
        if (trained_for := str(header.models.get(role))) != fingerprint:
            same = trained_for.partition("-")[0] == fingerprint.partition("-")[0]
            what = f"the {role} in another precision, see --dtype" if same else f"another {role}"
            raise CheckpointError(
                f"{path} was trained for {what}: its fingerprint is {trained_for}, this one's {fingerprint}"
            )
    try:
        kind = channel_class(header.channel)
        channel = kind(kind.Config.from_json(header.config), replace(interface, **header.interface))
        channel.load_state_dict(load_file(path), strict=True)
    except (TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path} does not fit channel {header.channel!r}: {error}") from error
    return channel.eval()


def _check_ends(path: Path, trained: dict[str, Any], asked: ModelInterface) -> None:
    """Refuse other widths; the norm may differ by what another precision or device rounds it to.

    A codec that reads more positions than the sender of another world fills can read its states all the same.
    """
    for name, value in asked.sizes.items():
        slack = NORM_SLACK * value if name == "embedding_norm" else 0
        kept = trained.get(name)
        fits = isinstance(kept, int | float) and abs(kept - value) <= slack
        if name == "num_positions" and isinstance(kept, int) and kept >= value:
            fits = True
        if not fits:
            raise CheckpointError(f"{path} was trained for {name} {kept}; these models' is {value}")


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
