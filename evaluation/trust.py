"""What recorded episodes cannot show, and whoever judges them takes on trust."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from parley.evaluation.aggregation.condition_data import UNKNOWN, ConditionOutcomes
from parley.evaluation.aggregation.run_data import RunOutcomes
from parley.evaluation.stated import Stated

_FIELDS: Mapping[str, Callable[[ConditionOutcomes], bool]] = {
    "that success is as recorded: what was picked and what was right is not in every record": lambda arm: (
        bool(((arm.choice != UNKNOWN) & (arm.target != UNKNOWN)).all())
    ),
    "that each pick is the receiver's most probable candidate: probabilities are not in every record": (
        lambda arm: arm.probabilities is not None
    ),
}
"""What is taken on trust where a condition lacks fields, and whether it has them."""


def taken_on_trust(stated: Stated, outcomes: RunOutcomes) -> list[str]:
    """List what a verdict rests on that its records cannot show.

    Args:
        stated: what the run says of itself.
        outcomes: its records.

    Returns:
        Clauses that begin with "that"; none for a run that was played here.
    """
    if not stated.recorded:
        return []
    sealed = stated.sealed and stated.unchanged
    arms = [played for _, played in outcomes.arms()]
    return [
        "that the models named made these picks and probabilities",
        "that targets were drawn uniformly, after the candidates were laid out",
        "that the messages are those that were delivered, and cost what is recorded",
        *([] if sealed else ["that nothing but the message joined sender and receiver"]),
        *(
            []
            if stated.planned
            else ["that the number of episodes was fixed beforehand, and none is left out"]
        ),
        *([] if stated.unchanged else ["that the records are as they were written"]),
        *[clause for clause, has in _FIELDS.items() if not all(map(has, arms))],
    ]
