"""What the studies read of results: rates in brief."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def brief(proportion: Mapping[str, Any] | None) -> dict[str, float] | None:
    """A rate of results.json with its interval alone; None stays None."""
    if proportion is None:
        return None
    return {name: round(proportion[name], 5) for name in ("rate", "ci_low", "ci_high")}
