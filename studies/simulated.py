"""Experiments whose truth is known, played by arithmetic instead of models, to try the instrument on.

A receiver that understands a message picks the candidate that it names; otherwise it picks one at
random. What a channel does to that is its Truth; everything else follows from the game.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parley.evaluation.aggregation.condition_data import UNKNOWN, ConditionOutcomes
from parley.evaluation.aggregation.run_data import ChannelOutcomes, RunOutcomes
from parley.evaluation.gates.gate1 import ASKED
from parley.evaluation.records import EpisodeRecord

CHANNEL, SILENCE = "simulated", "silence"
Picks = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a simulated channel does.

    Args:
        understood: probability that the receiver picks what the message names.
        leaked: probability that it knows the target whatever is delivered; silence tells it nothing.
        num_candidates: N.
    """

    understood: float = 0.0
    leaked: float = 0.0
    num_candidates: int = 5

    @classmethod
    def of_success(cls, rate: float, num_candidates: int = 5) -> Truth:
        """The channel that succeeds at this rate under normal, and honestly.

        Raises:
            ValueError: if the rate is below chance.
        """
        return cls(understood=_above_chance(rate, num_candidates), num_candidates=num_candidates)

    @classmethod
    def of_priming(cls, lift: float, num_candidates: int = 5) -> Truth:
        """The channel that says nothing and lifts every condition of its own alike, by so much."""
        rate = 1 / num_candidates + lift
        return cls(leaked=_above_chance(rate, num_candidates), num_candidates=num_candidates)


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """Simulated episodes: (n,) targets, swap targets, and the picks by condition, with those of silence."""

    target: Picks
    swap_target: Picks
    picks: dict[str, Picks]
    silence: Picks

    def first(self, n: int) -> Experiment:
        """The same experiment after its first n episodes."""
        return Experiment(
            target=self.target[:n],
            swap_target=self.swap_target[:n],
            picks={condition: picks[:n] for condition, picks in self.picks.items()},
            silence=self.silence[:n],
        )


def simulate(truth: Truth, n: int, rng: np.random.Generator) -> Experiment:
    """Play n episodes of every condition.

    Args:
        truth: of the channel.
        n: episodes.
        rng: of the targets, swap targets and picks.
    """
    count = truth.num_candidates
    target = rng.integers(count, size=n)
    swap_target = (target + rng.integers(1, count, size=n)) % count

    def receive(named: Picks | None) -> Picks:
        picks = rng.integers(count, size=n)
        if named is not None:
            picks = np.where(rng.random(n) < truth.understood, named, picks)
        return np.where(rng.random(n) < truth.leaked, target, picks)

    named = {"normal": target, "swap": swap_target}
    return Experiment(
        target=target,
        swap_target=swap_target,
        picks={condition: receive(named.get(condition)) for condition in ASKED},
        silence=rng.integers(count, size=n),
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
