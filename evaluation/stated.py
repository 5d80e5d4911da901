"""What a run says of itself in its provenance, as far as judging it needs that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parley.evaluation.aggregation.run_data import RunOutcomes


def asked_episodes(provenance: Mapping[str, Any], sequential: bool) -> int | None:
    """How many episodes each condition was to play: None where it is not known, or was left open."""
    episodes = provenance.get("episodes")
    known = isinstance(episodes, int) and not isinstance(episodes, bool)
    return episodes if known and not sequential else None


def find_num_candidates(outcomes: RunOutcomes, provenance: Mapping[str, Any]) -> int | None:
    """N, as the records or the provenance say; None if neither does.

    Raises:
        ValueError: if they contradict each other, or it cannot be one.
    """
    stated = provenance.get("num_candidates")
    if stated is None:
        return outcomes.num_candidates
    if not isinstance(stated, int) or isinstance(stated, bool) or stated < 2:
        raise ValueError(f"num_candidates must be an integer of at least 2, got {stated!r}")
    if outcomes.num_candidates not in (None, stated):
        raise ValueError(
            f"num_candidates must be {outcomes.num_candidates}, the number of the records' probabilities, "
            f"got {stated}"
        )
    return stated
