"""Saving and resuming a training: one file with a checksum that is replaced whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from parley.agents.command_line import RunError
from parley.channels.tensor_file import TensorFileError, read_tensors, write_tensors

_FORMAT = "parley.training/2"


class StateError(RunError):
    """A saved training that cannot be continued; the message says why."""


def save_state(path: Path, module: nn.Module, optimizer: Optimizer, notes: dict[str, Any]) -> None:
    """Write weights, optimiser moments, torch's generators and notes (JSON).

    A cut while writing leaves an earlier file whole.

    Raises:
        NotFiniteError: if a number is NaN or infinite.
        OSError: if it cannot be written.
    """
    tensors: dict[str, Tensor] = {f"module.{name}": t for name, t in module.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    tensors["generator"] = torch.get_rng_state()
    for number, state in enumerate(_cuda_generators(module)):
        tensors[f"cuda.{number}"] = state
    write_tensors(path, tensors, {"format": _FORMAT, "notes": notes})


def load_state(path: Path, module: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Restore what `save_state` wrote, and return the notes.

    Raises:
        StateError: if the file is damaged or belongs to another model.
    """
    tensors, notes = _read(path)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _strip(tensors, "optimizer.").items():
        index, moment = name.split(".")
        moments.setdefault(int(index), {})[moment] = value
    try:
        module.load_state_dict(_strip(tensors, "module."), strict=True)
        optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
        torch.set_rng_state(tensors["generator"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StateError(f"{path} cannot be resumed: {error}") from error
    if (cuda := _strip(tensors, "cuda.")) and _cuda_generators(module):
        torch.cuda.set_rng_state_all([cuda[number] for number in sorted(cuda, key=int)])
    return notes


def read_notes(path: Path) -> dict[str, Any]:
    """The notes of a saved training.

    Raises:
        StateError: if the file is damaged.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        tensors, header = read_tensors(path)
    except OSError as error:
        raise StateError(f"{path} cannot be resumed: {error.strerror}") from error
    except TensorFileError as error:
        raise StateError(f"{path} cannot be resumed: it {error}") from error
    if header.get("format") != _FORMAT:
        raise StateError(f"{path} cannot be resumed: it is no saved training of format {_FORMAT!r}")
    return tensors, header["notes"]


def _cuda_generators(module: nn.Module) -> list[Tensor]:
    """The states of all cards' generators where the module is on one."""
    on_cuda = any(parameter.is_cuda for parameter in module.parameters())
    return torch.cuda.get_rng_state_all() if on_cuda else []


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
