"""`reordered`: the baseline's second look at an episode, with its candidates in another order."""

from parley.channels.conditions.base import OwnMessage, register


@register("reordered")
class Reordered(OwnMessage):
    """Without any message, in another order: selects the episodes in which the receiver guesses wrong."""

    order = 7
    delivers = "nothing, and sees the candidates in another order"
    for_channels = False
    for_baseline = True
    reorders = True
