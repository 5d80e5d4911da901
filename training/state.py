"""Saving and resuming a training: one safetensors file that is replaced whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from parley.agents.command_line import RunError


class StateError(RunError):
    """A saved training that cannot be continued; the message says why."""


def save_state(path: Path, module: nn.Module, optimizer: Optimizer, notes: dict[str, Any]) -> None:
    """Write weights, optimiser moments, torch's generator and notes (JSON).

    A cut while writing leaves an earlier file whole.
    """
    tensors: dict[str, Tensor] = {
        f"module.{name}": t.detach().clone() for name, t in module.state_dict().items()
    }
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value.clone() for name, value in moments.items()}
    tensors["generator"] = torch.get_rng_state()
    temporary = path.with_suffix(".tmp")
    save_file(
        {k: t.contiguous() for k, t in tensors.items()}, temporary, metadata={"notes": json.dumps(notes)}
    )
    temporary.replace(path)


def load_state(path: Path, module: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Restore what `save_state` wrote, and return the notes.

    Raises:
        StateError: if the file is damaged or belongs to another model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            notes: dict[str, Any] = json.loads(file.metadata()["notes"])
        module.load_state_dict(_strip(tensors, "module."), strict=True)
    except (SafetensorError, OSError, RuntimeError, KeyError, TypeError) as error:
        raise StateError(f"{path} cannot be resumed: {error}") from error
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _strip(tensors, "optimizer.").items():
        index, moment = name.split(".")
        moments.setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    torch.set_rng_state(tensors["generator"])
    return notes


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
