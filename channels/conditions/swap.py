"""`swap`: the message about another candidate of the same episode, adversarial."""

from parley.channels.conditions.base import Condition, Draws, Look, Told, register


@register("swap")
class Swap(Condition):
    """A receiver that understands picks the candidate that the message names, never the target."""

    order = 5
    delivers = "another candidate's message (adversarial)"
    expectation = "swap_consistency"
    names_candidate = True
    shown_in_gallery = True
    look = Look("X", 6.8)

    def told(self, row: int, draws: Draws) -> Told:
        """The swap target of the same episode."""
        return Told(row, int(draws.swap_targets[row]))
