"""Experiments whose truth is known, played by arithmetic instead of models, to try the instrument on.

A receiver that understands a message picks the candidate that it names; otherwise it picks one at
random. What a channel does to that is its Truth; everything else follows from the game.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from parley.evaluation.aggregation.condition_data import UNKNOWN, ConditionOutcomes
from parley.evaluation.aggregation.run_data import ChannelOutcomes, RunOutcomes
from parley.evaluation.gates.gate1 import ASKED
from parley.evaluation.records import EpisodeRecord

CHANNEL, SILENCE = "simulated", "silence"
Picks = npt.NDArray[np.int8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What a simulated channel does; everything that is not said is as it should be.

    Args:
        understood: probability that the receiver picks what the message names.
        lifts: by condition (or silence), by how much knowing the target, whatever is delivered, raises
            success above that of guessing.
        harm: by condition, the probability that a pick of the target goes elsewhere.
        common: probability that a guess is the episode's own, the same under every condition.
        favoured: probability that a guess falls on the first place.
        num_candidates: N.
    """

    understood: float = 0.0
    lifts: Mapping[str, float] = field(default_factory=dict)
    harm: Mapping[str, float] = field(default_factory=dict)
    common: float = 0.0
    favoured: float = 0.0
    num_candidates: int = 5

    @classmethod
    def of_success(cls, rate: float, num_candidates: int = 5, **others: Any) -> Truth:
        """The channel that succeeds at this rate under normal, and honestly.

        Raises:
            ValueError: if the rate is below chance.
        """
        understood = _above_chance(rate, num_candidates)
        return cls(understood=understood, num_candidates=num_candidates, **others)

    @classmethod
    def of_lift(
        cls, lift: float, conditions: Iterable[str] = ASKED, num_candidates: int = 5, **others: Any
    ) -> Truth:
        """The channel under which some conditions succeed that much above chance, whatever is delivered.

        By default all of a channel's own: it says nothing, and primes.
        """
        return cls(lifts=dict.fromkeys(conditions, lift), num_candidates=num_candidates, **others)

    def among(self, num_candidates: int) -> Truth:
        """The same with another number of candidates; what is understood stays as it is."""
        return replace(self, num_candidates=num_candidates)


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """Simulated episodes: (..., n) targets, swap targets, and picks by condition, with those of silence."""

    target: Picks
    swap_target: Picks
    picks: dict[str, Picks]
    silence: Picks

    def first(self, n: int) -> Experiment:
        """The same experiment after its first n episodes."""
        return Experiment(
            target=self.target[..., :n],
            swap_target=self.swap_target[..., :n],
            picks={condition: picks[..., :n] for condition, picks in self.picks.items()},
            silence=self.silence[..., :n],
        )


def simulate(truth: Truth, n: int, rng: np.random.Generator, experiments: int | None = None) -> Experiment:
    """Play n episodes of every condition.

    Args:
        truth: of the channel.
        n: episodes.
        rng: of the targets, swap targets and picks.
        experiments: how many side by side, as a first axis; None for one without that axis.
    """
    count = truth.num_candidates
    shape = (n,) if experiments is None else (experiments, n)
    target = rng.integers(count, size=shape, dtype=np.int8)
    swap_target = (target + rng.integers(1, count, size=shape, dtype=np.int8)) % count
    own_guess = rng.integers(count, size=shape, dtype=np.int8) if truth.common else None

    def happens(probability: float) -> npt.NDArray[np.bool_]:
        return rng.random(shape, dtype=np.float32) < probability

    def receive(condition: str, named: Picks | None) -> Picks:
        picks = rng.integers(count, size=shape, dtype=np.int8)
        if truth.favoured:
            picks[happens(truth.favoured)] = 0
        if own_guess is not None:
            picks = np.where(happens(truth.common), own_guess, picks)
        if named is not None and truth.understood:
            picks = np.where(happens(truth.understood), named, picks)
        if (lift := truth.lifts.get(condition)) is not None:
            picks = np.where(happens(_above_chance(1 / count + lift, count)), target, picks)
        if (harm := truth.harm.get(condition)) is not None:
            picks = np.where(happens(harm) & (picks == target), (target + 1) % count, picks)
        return picks

    named = {"normal": target, "swap": swap_target}
    return Experiment(
        target=target,
        swap_target=swap_target,
        picks={condition: receive(condition, named.get(condition)) for condition in ASKED},
        silence=receive(SILENCE, None),
    )


def _above_chance(rate: float, num_candidates: int) -> float:
    """How often a receiver must know, to succeed at a rate where it otherwise guesses."""
    chance = 1 / num_candidates
    if not chance <= rate <= 1:
        raise ValueError(f"rate must be from chance, {chance:g}, to 1, got {rate:g}")
    return (rate - chance) / (1 - chance)


def outcomes_of(experiment: Experiment, count: int) -> RunOutcomes:
    """The experiment as the evaluator gathers it, without going through records.

    Args:
        experiment: simulated episodes.
        count: N.
    """
    own = {
        condition: _arm(
            experiment, picks, {"normal": experiment.target, "swap": experiment.swap_target}.get(condition)
        )
        for condition, picks in experiment.picks.items()
    }
    silence = {"normal": _arm(experiment, experiment.silence, None)}
    channels = {
        CHANNEL: ChannelOutcomes(name=CHANNEL, conditions=own),
        SILENCE: ChannelOutcomes(name=SILENCE, role="baseline", conditions=silence),
    }
    return RunOutcomes(channels=channels, num_candidates=count)


def _arm(experiment: Experiment, picks: Picks, intended: Picks | None) -> ConditionOutcomes:
    n = len(picks)
    return ConditionOutcomes(
        episode_ids=np.arange(n),
        success=picks == experiment.target,
        choice=picks.astype(np.int32),
        target=experiment.target.astype(np.int32),
        intended=np.full(n, UNKNOWN, np.int32) if intended is None else intended.astype(np.int32),
        probabilities=None,
        messages=None,
        views=None,
        overdrawn=0,
        mean_bits=None,
        mean_tokens=None,
        mean_seconds=None,
        mean_nll=None,
    )


def records_of(experiment: Experiment, count: int) -> Iterator[EpisodeRecord]:
    """The experiment as a file of episodes would hold it, complete in every field.

    Args:
        experiment: simulated episodes.
        count: N.

    Yields:
        Records of the channel under every condition, then of silence; messages are one code that names the
        candidate's place, and under random any code.
    """
    n = len(experiment.target)
    partners = np.roll(experiment.target, 1)
    messages = {
        "normal": experiment.target,
        "null": np.full(n, -1),
        "random": np.arange(n) % count,
        "matched": np.roll(experiment.target, 2),
        "shuffle": partners,
        "swap": experiment.swap_target,
    }
    for condition, picks in experiment.picks.items():
        named = {"normal": experiment.target, "swap": experiment.swap_target}.get(condition)
        for episode in range(n):
            yield _record(
                CHANNEL, condition, episode, int(picks[episode]), experiment, count,
                intended=None if named is None else int(named[episode]),
                message=[int(messages[condition][episode])],
            )  # fmt: skip
    for episode in range(n):
        yield _record(SILENCE, "normal", episode, int(experiment.silence[episode]), experiment, count)


def _record(
    channel: str,
    condition: str,
    episode: int,
    choice: int,
    experiment: Experiment,
    count: int,
    *,
    intended: int | None = None,
    message: list[int] | None = None,
) -> EpisodeRecord:
    target, spread = int(experiment.target[episode]), 0.4 / count
    return EpisodeRecord(
        channel=channel,
        condition=condition,
        episode_id=episode,
        success=choice == target,
        choice=choice,
        target=target,
        intended=intended,
        bits=0.0 if message is None else 24.0,
        message=message,
        tokens=0 if message is None else 4,
        seconds=0.01,
        probabilities=[spread + 0.6 * (index == choice) for index in range(count)],
        role="baseline" if channel == SILENCE else "judged",
    )
