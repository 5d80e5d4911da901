"""A package that ends whatever process imports it, where `ARMED` is in the environment."""

from __future__ import annotations

import os

from studies.cheats.base import ARMED, Words, case


@case("ends-at-import", "invalid", "runs", quick=False)
class EndsAtImport(Words):
    """Ends, with the code of a pass, the process that imports it."""


if ARMED in os.environ:
    os._exit(0)
