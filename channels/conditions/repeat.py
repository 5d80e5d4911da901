"""`repeat`: one natural message for every episode."""

from parley.channels.conditions.base import Condition, Draws, Look, Told, register


@register("repeat")
class Repeat(Condition):
    """The first message of the run, delivered to everybody: natural, and the same whatever the target is."""

    order = 6
    delivers = "the run's first message"
    expectation = "at_chance"
    look = Look("d", 6.4)

    def told(self, row: int, draws: Draws) -> Told:
        """The target of the run's first episode."""
        return Told(0, int(draws.targets[0]))
