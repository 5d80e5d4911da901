"""How a channel of this folder comes to the models between which it stands."""

from __future__ import annotations

from parley.agents.pair import Pair
from parley.channels.base import ModelInterface, NeedsModelsError


def models_of(interface: ModelInterface) -> Pair:
    """The frozen sender and receiver.

    Raises:
        NeedsModelsError: if `interface` has none: it must be that of a pair, `pair.interface`.
    """
    if not isinstance(interface.models, Pair):
        raise NeedsModelsError
    return interface.models
