"""How many bits were demonstrably transmitted, from the picks alone, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parley.evaluation.aggregation.condition_data import UNKNOWN, ConditionOutcomes
from parley.evaluation.statistics import confusion_information, min_transmitted_bits


@dataclass(frozen=True, kw_only=True)
class TransmittedBits:
    """Bits transmitted by one message about a target among N candidates.

    Args:
        at_least_bits: Fano's bound at the lower end of the success interval.
        bits: estimate from the confusion of intended against chosen; None if records lack either.
        ci_low: lower end of its interval, or None.
        ci_high: upper end of its interval, or None.
        ceiling_bits: what cannot be exceeded: log2 N, or what the message is charged if that is less.
        efficiency: bits over bits charged, None if either is unknown or nothing is charged.
        n: episodes.
    """

    at_least_bits: float
    bits: float | None
    ci_low: float | None
    ci_high: float | None
    ceiling_bits: float
    efficiency: float | None
    n: int


def transmitted_bits(
    normal: ConditionOutcomes | None, num_candidates: int | None, confidence: float
) -> TransmittedBits | None:
    """Bits transmitted under normal; None if it was not played or N is not known.

    Args:
        normal: what its messages name is the target.
        num_candidates: N, None if it is not known.
        confidence: nominal coverage of the interval.
    """
    if normal is None or num_candidates is None:
        return None
    charged = normal.mean_bits
    ceiling = float(np.log2(num_candidates) if charged is None else min(np.log2(num_candidates), charged))
    least = min_transmitted_bits(normal.successes, normal.n, num_candidates, confidence=confidence)
    found = None
    if ((normal.choice != UNKNOWN) & (normal.target != UNKNOWN)).all():
        counts = np.zeros((num_candidates, num_candidates), dtype=np.int64)
        np.add.at(counts, (normal.target, normal.choice), 1)
        found = confusion_information(counts, confidence=confidence, capacity_bits=charged)
    return TransmittedBits(
        at_least_bits=min(least, ceiling),
        bits=found.bits if found else None,
        ci_low=found.ci_low if found else None,
        ci_high=found.ci_high if found else None,
        ceiling_bits=ceiling,
        efficiency=found.bits / charged if found and charged else None,
        n=normal.n,
    )
