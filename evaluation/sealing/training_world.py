"""What of a world may be listed by a channel: its training referents."""

from __future__ import annotations

from copy import copy

from parley.envs.world import AnyWorld, Referents, Split


def training_part(world: AnyWorld) -> AnyWorld:
    """The same world, of which only the training referents can be listed.

    A channel that lists others was made for the episodes on which it is judged. Whoever looks for them by
    other ways finds them: this keeps them out of what is handed over, and no more.
    """
    part = copy(world)

    def referents(split: Split) -> Referents:
        if split != "train":
            raise PermissionError(f"a channel may list the training referents alone, got split {split!r}")
        return world.referents(split)

    object.__setattr__(part, "referents", referents)  # worlds are frozen
    return part
