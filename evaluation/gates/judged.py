"""All that the gates and the checks of validity say of every channel of a run."""

from __future__ import annotations

from parley.evaluation.aggregation.run_data import RunOutcomes
from parley.evaluation.gates.comparisons import compare_conditions
from parley.evaluation.gates.further import gate2, gate3
from parley.evaluation.gates.gate1 import controls, gate1
from parley.evaluation.gates.inference import Inference
from parley.evaluation.gates.original_rule import original_rule
from parley.evaluation.gates.validity import channel_checks
from parley.evaluation.gates.verdict import Judged
from parley.evaluation.stated import Stated


def judge_channels(
    outcomes: RunOutcomes, num_candidates: int | None, inference: Inference, stated: Stated
) -> dict[str, Judged]:
    """All that is said of every channel.

    Args:
        outcomes: the run.
        num_candidates: N, None if it is not known.
        inference: the arithmetic.
        stated: what the run says of itself.

    Returns:
        By name, in the order of the run.
    """
    comparisons = compare_conditions(outcomes, controls(), inference)
    return {
        name: Judged(
            channel=channel,
            gate1=gate1(channel, outcomes, num_candidates, comparisons[name], inference),
            gate2=gate2(channel, outcomes.ceiling, inference),
            gate3=gate3(channel),
            original_rule=original_rule(channel, outcomes.p0, inference.thresholds),
            checks=channel_checks(channel, num_candidates, comparisons[name], stated, inference),
            comparisons=comparisons[name],
        )
        for name, channel in outcomes.channels.items()
    }
