"""How a channel of this folder comes to the models between which it stands."""

from __future__ import annotations

from parley.agents.pair import Pair
from parley.channels.base import Ends


def models_of(ends: Ends) -> Pair:
    """The frozen sender and receiver.

    Raises:
        ValueError: if `ends` has none: it must be that of a pair, `pair.ends`.
    """
    if not isinstance(ends.models, Pair):
        raise ValueError("this channel runs the models themselves: make it with the `ends` of a Pair")
    return ends.models
