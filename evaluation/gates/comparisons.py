"""Normal against every other condition, episode by episode, for every channel of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parley.channels.conditions import find_condition
from parley.evaluation.aggregation.run_data import ChannelOutcomes, PairCounts, RunOutcomes, pair
from parley.evaluation.gates.inference import Inference
from parley.evaluation.statistics import Difference, holm


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Normal against one control on the episodes that both played.

    Args:
        num_pairs: those episodes, at least 1.
        only_normal: in which only normal succeeds.
        only_control: in which only the control succeeds.
        difference: normal less control, with its interval.
        p_value: two-sided.
        corrected_p: the same, corrected by Holm over the judged channels and controls of the run; None for
            channels and controls that are not of that family.
        least_p: the p-value of the best that normal could have done beside this control.
    """

    num_pairs: int
    only_normal: int
    only_control: int
    difference: Difference
    p_value: float
    corrected_p: float | None
    least_p: float

    @property
    def normal_is_higher(self) -> bool:
        """Whether normal succeeds in more of the shared episodes."""
        return self.only_normal > self.only_control


Comparisons = Mapping[str, Mapping[str, Comparison]]


def compare_conditions(outcomes: RunOutcomes, family: Sequence[str], inference: Inference) -> Comparisons:
    """Compare every channel's normal with each other condition that it played.

    Args:
        outcomes: the run.
        family: the controls over which, with the judged channels, p-values are corrected.
        inference: the arithmetic.

    Returns:
        By channel and control; what was not played or shares no episode is absent.
    """
    pairs = {
        (name, control): pair(channel.conditions["normal"], played)
        for name, channel in outcomes.channels.items()
        for control, played in channel.conditions.items()
        if "normal" in channel.conditions and control != "normal" and not find_condition(control).reorders
    }
    pairs = {key: found for key, found in pairs.items() if found.num_pairs}
    p_values = {key: _p_of(found, inference) for key, found in pairs.items()}
    corrected = holm(
        {key: p for key, p in p_values.items() if key[0] in outcomes.judged and key[1] in family}
    )
    return {
        name: {
            control: _compare(found, p_values[channel, control], corrected.get((channel, control)), inference)
            for (channel, control), found in pairs.items()
            if channel == name
        }
        for name in outcomes.channels
    }


def indistinguishable(channel: ChannelOutcomes, family: Sequence[str], inference: Inference) -> float | None:
    """The smallest p, corrected by Holm, over all pairs of normal and its controls.

    Args:
        channel: one channel.
        family: the controls.
        inference: the arithmetic.

    Returns:
        The p-value: if it is not small, the conditions are indistinguishable. None with fewer than two.
    """
    played = [channel.conditions[name] for name in ("normal", *family) if name in channel.conditions]
    pairs = {
        (first, second): pair(played[first], played[second])
        for first in range(len(played))
        for second in range(first)
    }
    p_values = {key: _p_of(found, inference) for key, found in pairs.items() if found.num_pairs}
    return min(holm(p_values).values()) if p_values else None


def _p_of(pairs: PairCounts, inference: Inference) -> float:
    return inference.paired_p(pairs.only_first, pairs.only_second, pairs.num_pairs)


def _compare(
    pairs: PairCounts, p_value: float, corrected_p: float | None, inference: Inference
) -> Comparison:
    return Comparison(
        num_pairs=pairs.num_pairs,
        only_normal=pairs.only_first,
        only_control=pairs.only_second,
        difference=inference.difference(pairs),
        p_value=p_value,
        corrected_p=corrected_p,
        least_p=inference.paired_p(pairs.only_first + pairs.neither, 0, pairs.num_pairs),
    )
