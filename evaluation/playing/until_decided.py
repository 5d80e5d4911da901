"""Stopping a run as soon as its judgement is settled, however many episodes that takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parley.evaluation.aggregation.run_data import RunAggregator
from parley.evaluation.results import Results, build_results

LOOK_EVERY = 50
"""Episodes between two looks. How many are played at once is a matter of speed and changes nothing in it."""


class UntilDecided:
    """Asks the judge whether what was gathered so far settles the judgement, with intervals valid at every n.

    Args:
        outcomes: to which the records are added as they are played.
        provenance: of the run.
        gates: those that decide.
        ask: the judge, called as `build_results` is.
    """

    def __init__(
        self,
        outcomes: RunAggregator,
        provenance: Mapping[str, Any],
        gates: Sequence[int],
        ask: Callable[..., Results] = build_results,
    ) -> None:
        self._outcomes, self._provenance, self._gates, self._ask = outcomes, provenance, gates, ask

    def __call__(self) -> bool:
        """Whether no further episode can change what is said of any trained channel."""
        results = self._ask(self._outcomes.close(), self._provenance, gates=self._gates, sequential=True)
        return bool(results["settled"])
