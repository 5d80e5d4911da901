"""`null`: true zeros, without any content."""

from parley.channels.conditions.base import Look, OwnMessage, register


@register("null")
class Null(OwnMessage):
    """The message crosses and is charged; the receiver gets zeros of the same shape."""

    order = 1
    delivers = "true zeros"
    expectation = "at_chance"
    content_free = True
    shown_in_gallery = True
    look = Look("s", 5.2)
