"""A second card for machines without any: tensors that claim to lie there, and refuse to meet the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

SECOND_CARD = torch.device("cuda:1")
FACTORIES = {torch.tensor, torch.zeros, torch.ones, torch.empty, torch.arange, torch.full}


def is_there(tensor: Any) -> bool:
    return getattr(tensor, "lies_on_second_card", False)


def put_there(result: Any) -> Any:
    for leaf in tree_leaves(result):
        if isinstance(leaf, Tensor):
            leaf.lies_on_second_card = True
    return result


def tensors_in(arguments: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor))


class SecondCard(TorchFunctionMode):
    """Numbers are computed on the CPU, but as on two cards: what lies apart must be moved first."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func == Tensor.device.__get__:  # type: ignore[attr-defined]
            return SECOND_CARD if is_there(args[0]) else func(*args)
        if func is Tensor.to:
            return self._move(*args, **kwargs)
        if func in FACTORIES:
            there = kwargs.get("device") == SECOND_CARD
            made = func(*args, **kwargs | ({"device": "cpu"} if there else {}))
            return put_there(made) if there else made
        apart = {is_there(tensor) for tensor in tensors_in((args, kwargs)) if tensor.dim()}
        if len(apart) > 1:
            raise AssertionError(f"{func} of tensors on two cards")
        result = func(*args, **kwargs)
        return put_there(result) if True in apart else result

    def _move(self, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        kwargs.pop("non_blocking", None)
        if args and isinstance(args[0], Tensor):
            args = (args[0].dtype, SECOND_CARD if is_there(args[0]) else torch.device("cpu"), *args[1:])
        devices = [a for a in (*args, kwargs.pop("device", None)) if isinstance(a, str | torch.device | int)]
        rest = [a for a in args if isinstance(a, torch.dtype)]
        there = torch.device(devices[0]) == SECOND_CARD if devices else is_there(tensor)
        if there == is_there(tensor) and not rest and not kwargs:
            return tensor
        moved = tensor.to(*rest, **kwargs).view_as(tensor)
        return put_there(moved) if there else moved


class _Placed(AlignDevicesHook):
    """Accelerate's hook, which moves what a module is called with; its weights are there already."""

    def init_hook(self, module: nn.Module) -> nn.Module:
        return module


def spread(model: Any, first: list[nn.Module], second: list[nn.Module]) -> None:
    """Lay some modules on the CPU and some on the second card, with the hooks that a device map brings."""
    skip = model._skip_keys_device_placement
    add_hook_to_module(model, _Placed(io_same_device=True, skip_keys=skip), append=True)
    for modules, device in ((first, torch.device("cpu")), (second, SECOND_CARD)):
        for module in modules:
            for part in module.modules():
                add_hook_to_module(part, _Placed(execution_device=device, skip_keys=skip), append=True)
            if device == SECOND_CARD:
                put_there([*module.parameters(), *module.buffers()])
