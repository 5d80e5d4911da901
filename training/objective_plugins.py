"""Objectives that plug-ins bring: `@register_objective("name", of=...)` on a function makes one known.

The function stands in a file of this folder, or in an installed package that names its module by an entry
point of the group `parley.objectives`. `--extra NAME=WEIGHT` puts it into the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any, TypeVar

from torch import Tensor

from parley.plugins.registry import Registry
from parley.training.step import MessageBatch

OF = ("message", "play")
Term = TypeVar("Term", bound=Callable[..., Tensor])
BUILT_IN = frozenset(
    {"ce", "help", "contrast", "swap_contrast", "reconstruction", "attributes", "state_reconstruction"}
    | {"info_nce", "info_preserve", "teacher_kl", "reinforce", "entropy", "quantizer"}
)
LOGGED = frozenset(
    {"step", "loss", "success", "grad_norm", "scale_gate", "learning_rate", "seconds", "perplexity"}
    | {"validation_success", "nll_normal", "nll_shuffle", "nll_swap", "nll_null"}
    | {"prefix_cosine", "prefix_rank", "norm_ratio"}
)


class Objective:
    """A term of the loss that a plug-in brings.

    Args:
        name: under which it is weighed and logged.
        function: of a `MessageBatch`, or of a `PlayedBatch` where it needs the game; returns a scalar.
        of: `message`, which needs no receiver and is trained while the codec is aligned too, or `play`.
    """

    def __init__(self, name: str, function: Callable[[Any], Tensor], of: str) -> None:
        self.name, self.of, self._function = name, of, function
        update_wrapper(self, function)  # errors name the function and its module

    def __call__(self, said: MessageBatch) -> Tensor:
        """Its value on a batch.

        Raises:
            ValueError: if that is not one number.
        """
        value = self._function(said)
        if not isinstance(value, Tensor) or value.ndim:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"objective {self.name!r} must return a tensor of no dimension, got {got}")
        return value


OBJECTIVES: Registry[Objective] = Registry("extra objective", "parley.objectives", folder="parley.training")


def register_objective(name: str, of: str) -> Callable[[Term], Term]:
    """Decorator that makes a term of the loss known by name.

    Args:
        name: under which `--extra` weighs it and the metrics show it.
        of: `message`: the function gets a `MessageBatch`, with all that needs no receiver; or `play`: a `PlayedBatch`.

    Raises:
        ValueError: if another has the name already, or `of` is neither.
    """
    if of not in OF:
        raise ValueError(f"of must be 'message' or 'play', got {of!r}")
    if name in BUILT_IN | LOGGED:
        raise ValueError(f"no objective may be named {name!r}: the metrics have something else by that name")

    def add(function: Term) -> Term:
        OBJECTIVES.register(name)(Objective(name, function, of))
        return function

    return add


def extra_weights(extra: Sequence[str]) -> dict[str, float]:
    """The weights that were given as NAME=WEIGHT, by name.

    Raises:
        ValueError: if one is not of that form, or a name is given twice.
    """
    weights: dict[str, float] = {}
    for given in extra:
        name, _, weight = (part.strip() for part in given.partition("="))
        if name in weights:
            raise ValueError(f"extra names objective {name!r} twice: {', '.join(extra)}")
        try:
            weights[name] = float(weight)
        except ValueError:
            raise ValueError(f"extra must be NAME=WEIGHT, such as balance=0.5, got {given!r}") from None
    return weights


def check_extra(weights: dict[str, float]) -> None:
    """Refuse what no plug-in brings.

    Raises:
        ValueError: if a name is unknown, or that of an objective with a flag of its own.
        PluginError: if the plug-in that was to bring it cannot be used.
    """
    for name in weights:
        if name in BUILT_IN:
            raise ValueError(f"extra must not name {name!r}, which has a flag of its own")
        OBJECTIVES.find(name)


def there_are(default: str) -> str:
    """What `--help` says of `--extra`: looked up when it is shown."""
    return f"(repeatable; there are: {', '.join(OBJECTIVES.names()) or 'none'})"
