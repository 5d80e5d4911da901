"""A trained channel on disk: one safetensors file, strict, versioned, tied to its two models."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load
from torch import Tensor

from parley.channels.base import Channel, ModelInterface
from parley.channels.registry import channel_class
from parley.channels.tensor_file import TensorFileError, header_of, read_tensors, write_tensors

FORMAT_VERSION = 3
_WITHOUT_CHECKSUM = 2
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
    """Write a channel; a cut while writing leaves an earlier file whole.

    Raises:
        NotFiniteError: if one of its numbers is NaN or infinite.
        OSError: if it cannot be written.
    """
    header = CheckpointHeader(
        channel=channel.name,
        config=asdict(channel.config),
        interface=channel.interface.sizes,
        models=models,
        training=training,
    )
    write_tensors(path, channel.state_dict(), asdict(header))


def read_header(path: Path) -> CheckpointHeader:
    """Read what stands beside the weights; the whole file is checked.

    Raises:
        CheckpointError: if there is no such file, it is damaged, not ours, or of another version.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, Tensor], CheckpointHeader]:
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    try:
        weights, header = read_tensors(path)
    except TensorFileError as error:
        raise CheckpointError(f"{path} {error}{_hint(path)}") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if (version := header.get("format_version")) != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}, and this program reads {FORMAT_VERSION}: train again"
        )
    kinds = {"channel": str, "config": dict, "interface": dict, "models": dict, "training": dict}
    for name, kind in kinds.items():
        if not isinstance(header.get(name), kind):
            raise CheckpointError(f"{path} has a header without a proper {name!r} in it")
    return weights, CheckpointHeader(**{name: header[name] for name in kinds})


def _hint(path: Path) -> str:
    """The command that makes a checkpoint readable that is only too old, as the end of a sentence."""
    try:
        _read_older(path)
    except CheckpointError:
        return ""
    return f"; if you trust it, `parley channels renew {shlex.quote(str(path))}` renews it"


def _read_older(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        content = path.read_bytes()
        weights, header = load(content), header_of(content)
    except Exception as error:  # what is damaged fails in many ways
        raise CheckpointError(f"{path} cannot be renewed: {error}") from error
    if "sha256" in header or header.get("format_version") != _WITHOUT_CHECKSUM:
        raise CheckpointError(f"{path} is no checkpoint of format version {_WITHOUT_CHECKSUM}")
    return weights, header


def renew(path: Path) -> None:
    """Give a checkpoint of format version 2 the checksum that it lacks, in its place.

    Raises:
        CheckpointError: if it is no such checkpoint.
        NotFiniteError: if one of its numbers is NaN or infinite.
        OSError: if it cannot be written.
    """
    weights, header = _read_older(path)
    write_tensors(path, weights, header | {"format_version": FORMAT_VERSION})


def load_channel(path: Path, interface: ModelInterface, models: dict[str, str]) -> Channel:
    """Load a channel for these two models, in eval mode.

    Raises:
        CheckpointError: as `read_header`, or if the checkpoint was made for other models or widths.
    """
    weights, header = _read(path)
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
        channel.load_state_dict(weights, strict=True)
    except (TypeError, ValueError, RuntimeError) as error:
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
