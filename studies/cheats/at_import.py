"""A package that rewrites, as soon as it is imported, how others are played, checked and measured.

It does so only where `ARMED` is in the environment, so that the study can look at it.
"""

from __future__ import annotations

import os

from parley.channels.base import TextInput
from parley.channels.promises import PROMISES
from parley.channels.text import SilenceChannel, TextChannel
from parley.evaluation.records import EpisodeRecord
from studies.cheats.base import ARMED, Mute, case, patch


@case("rewrites-at-import", "no pass")
class RewritesAtImport(Mute):
    """Makes every choice a success and silence speak when it is imported, and says nothing itself."""


def rewrite() -> None:
    """Everything that it can reach."""
    made = EpisodeRecord.__init__
    patch(EpisodeRecord, __init__=lambda self, **told: made(self, **(told | {"success": True})))
    patch(SilenceChannel, receive=lambda _, messages: TextInput(["a" for _ in messages]))
    patch(TextChannel, receive=lambda _, messages: TextInput(["" for _ in messages]))
    PROMISES.clear()


if ARMED in os.environ:
    rewrite()
