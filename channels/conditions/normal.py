"""`normal`: nothing is broken."""

from parley.channels.conditions.base import Look, OwnMessage, register


@register("normal")
class Normal(OwnMessage):
    """The sender's message about the target arrives as it is; without a channel, nothing arrives."""

    order = 0
    delivers = "the message about the target"
    expectation = "above_floor"
    names_candidate = True
    for_baseline = True
    shown_in_gallery = True
    look = Look("o", 6.0)
