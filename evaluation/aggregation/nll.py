"""How sure a receiver is of the target: the negative log-likelihood, from recorded probabilities alone.

It moves where success does not yet: a codec that is learning lowers it long before picks change.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from parley.channels.conditions import condition_names
from parley.evaluation.records import EpisodeRecord

LEAST_PROBABILITY = 5e-7
"""Probabilities are recorded with 6 digits: what reads 0 may be up to half a unit of the last."""


def target_nll(record: EpisodeRecord) -> float | None:
    """-ln p(target) of one episode: 0 if the receiver is sure, ln N if it has no idea.

    Args:
        record: one episode.

    Returns:
        Nats, from 0 to -ln 5e-7 = 14.51: a smaller probability counts as LEAST_PROBABILITY. None if the
        record does not hold both target and probabilities.
    """
    if record.target is None or record.probabilities is None:
        return None
    return math.log(1 / max(record.probabilities[record.target], LEAST_PROBABILITY))


def nll_by_condition(records: Iterable[EpisodeRecord]) -> dict[str, float]:
    """Mean -ln p(target) over the episodes of each condition.

    Args:
        records: of one channel, in any order.

    Returns:
        Nats by condition that was played, in their order; NaN if a record does not hold both
        target and probabilities.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for record in records:
        nats = target_nll(record)
        found[record.condition].append(math.nan if nats is None else nats)
    return {name: math.fsum(found[name]) / len(found[name]) for name in condition_names() if name in found}
