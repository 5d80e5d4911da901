"""Communication-matters: does the message help where silence fails? Two ways, and only one compares.

Conditioned, as the failed experiment had it: selection and comparison use the same draw of silence, so that
silence scores 0 there by construction. Cross-fitted: episodes are selected by silence's failure with the
candidates in another order, and scored, silence too, in the order that everyone plays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parley.evaluation.aggregation.condition_data import ConditionOutcomes
from parley.evaluation.aggregation.run_data import ChannelOutcomes, RunOutcomes, shared
from parley.evaluation.statistics import Proportion, wilson

CONDITIONED = (
    "Conditioned: these are the episodes in which silence fails, so silence scores 0 here by construction. "
    "Even a receiver that guesses afresh succeeds in some of them. Read it as how many lost episodes the "
    "message saves; the gate does not use it."
)
CROSS_FITTED = (
    "Cross-fitted: the episodes in which silence fails with the candidates in another order, scored in the "
    "order that every condition plays. Silence is scored on the same episodes, so that the two compare."
)


@dataclass(frozen=True, kw_only=True)
class CrossFitted:
    """Success in the episodes in which silence fails with the candidates in another order.

    Args:
        normal: success of the channel.
        silence: success of silence in the same episodes.
    """

    normal: Proportion
    silence: Proportion


def conditioned(outcomes: RunOutcomes, channel: ChannelOutcomes, confidence: float) -> Proportion | None:
    """Success of a channel in the episodes in which silence fails (conditioned on that failure).

    Args:
        outcomes: the run, with silence.
        channel: a channel of it.
        confidence: nominal coverage of the interval.

    Returns:
        Normal's success in the subset; None if silence or normal was not played, or if no episode that both
        played is one in which silence fails.
    """
    normal = channel.conditions.get("normal")
    if normal is None or outcomes.p0 is None:
        return None
    left, right = shared(normal, outcomes.p0)
    return _rate(normal.success[left][~outcomes.p0.success[right]], confidence)


def cross_fitted(outcomes: RunOutcomes, channel: ChannelOutcomes, confidence: float) -> CrossFitted | None:
    """Success of a channel and of silence where silence fails with the candidates in another order.

    Args:
        outcomes: the run, with silence in both orders.
        channel: a channel of it.
        confidence: nominal coverage of the intervals.

    Returns:
        Both on the same episodes; None if a condition was not played or no episode is selected.
    """
    normal = channel.conditions.get("normal")
    if normal is None or outcomes.p0 is None or outcomes.reordered is None:
        return None
    failed = outcomes.reordered.episode_ids[~outcomes.reordered.success]
    played = np.intersect1d(normal.episode_ids, outcomes.p0.episode_ids)
    selected = np.intersect1d(failed, played)
    with_message, without = (_within(outcomes, selected, confidence) for outcomes in (normal, outcomes.p0))
    if with_message is None or without is None:
        return None
    return CrossFitted(normal=with_message, silence=without)


def _within(outcomes: ConditionOutcomes, episode_ids: np.ndarray, confidence: float) -> Proportion | None:
    return _rate(outcomes.success[np.isin(outcomes.episode_ids, episode_ids)], confidence)


def _rate(success: np.ndarray, confidence: float) -> Proportion | None:
    return wilson(int(success.sum()), len(success), confidence=confidence) if len(success) else None
