"""`matched`: a message drawn by chance that looks like a real one."""

from typing import Any

import numpy as np

from parley.channels.base import Message
from parley.channels.conditions.base import Look, OwnMessage, register
from parley.channels.conditions.random import random_message


@register("matched")
class Matched(OwnMessage):
    """A message drawn from the distribution of the real ones, so that it cannot be told from speech."""

    order = 3
    delivers = "a message drawn from the real messages' distribution"
    expectation = "at_chance"
    look = Look(">", 6.6)

    def deliver(self, message: Message, space: Any, rng: np.random.Generator) -> Message:
        """Another message in the place of the one that was sent."""
        return random_message(space, message, rng)
