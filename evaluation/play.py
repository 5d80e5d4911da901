"""Play every channel under every condition on the same test episodes, through the environment.

The environment is the wire: the sender's action is the message, and the receiver gets what the
environment lets it observe. Many environments are played side by side, so that the models work
in batches; the candidates are read once and chosen from under every message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.pair import Pair
from agents.receiver import Context
from channels.base import Channel, Message, check_range
from channels.controls import CONDITIONS, Condition, Control, Sent, derangement
from envs.episode import Episode, EpisodeConfig, EpisodeSampler
from envs.referential_v0 import RECEIVER, SENDER, parallel_env
from envs.world import Referents, World
from evaluation.records import EpisodeRecord

IGNORED_CHOICE = 0  # in the sender's phase the environment ignores what the receiver does


@dataclass(frozen=True, kw_only=True)
class PlayConfig:
    """Which episodes are played.

    Args:
        episodes: how many, from the test split, at least 2.
        seed: of the episodes, the derangement, the swapped candidates and the random messages.
        num_candidates: N.
        resample_probability: chance that a candidate differs from the others' common base in an attribute;
            the lower, the more confusable they are.
        episodes_at_once: environments played side by side.
    """

    episodes: int = 400
    seed: int = 0
    num_candidates: int = 5
    resample_probability: float = 0.5
    episodes_at_once: int = 100

    def __post_init__(self) -> None:
        check_range("episodes", self.episodes, 2, 10_000_000)
        check_range("seed", self.seed, 0, 2**31 - 1)
        check_range("num_candidates", self.num_candidates, 2, 26)
        check_range("resample_probability", self.resample_probability, 1e-3, 1)
        check_range("episodes_at_once", self.episodes_at_once, 1)

    @property
    def candidates(self) -> EpisodeConfig:
        """How the candidates are drawn: from the test split."""
        return EpisodeConfig(
            split="test",
            num_candidates=self.num_candidates,
            resample_probability=self.resample_probability,
        )


class Contestant(NamedTuple):
    """A channel as it is put to the test: trained or not (None where there is nothing to train), and how."""

    channel: Channel
    trained: bool | None
    conditions: Sequence[Condition] = CONDITIONS


class Script(NamedTuple):
    """Episodes, and what stands in for each one's message under `shuffle` and `swap`."""

    episodes: list[Episode]
    partners: np.ndarray  # (n,) the episode whose message is delivered under shuffle
    foils: np.ndarray  # (n,) the candidate whose message is delivered under swap


def write_script(world: World, config: PlayConfig) -> Script:
    """Draw the test episodes, a derangement over them, and another candidate in each."""
    rng = np.random.default_rng(config.seed)
    sampler = EpisodeSampler(world, config.candidates)
    episodes = [sampler.draw(rng) for _ in range(config.episodes)]
    steps = rng.integers(1, config.num_candidates, size=config.episodes)
    foils = (np.array([episode.target for episode in episodes]) + steps) % config.num_candidates
    return Script(episodes, derangement(config.episodes, rng), foils)


def play(pair: Pair, contestants: dict[str, Contestant], config: PlayConfig) -> Iterator[list[EpisodeRecord]]:
    """Play all channels and conditions, batch by batch.

    Args:
        pair: who plays.
        contestants: the channels, by the name under which they are recorded.
        config: which episodes.

    Yields:
        The records of one batch of episodes under one condition of one channel.
    """
    script = write_script(pair.world, config)
    rng = np.random.default_rng([config.seed, 1])
    tables = {name: Table(pair.world, contestant.channel, config) for name, contestant in contestants.items()}
    for start in range(0, config.episodes, config.episodes_at_once):
        rows = np.arange(start, min(start + config.episodes_at_once, config.episodes))
        context: Context | None = None
        for name, contestant in contestants.items():
            table = tables[name]
            candidates = table.deal([script.episodes[row] for row in rows])
            context = pair.read(candidates) if context is None else context
            sent = _send(pair, contestant.channel, script, rows)
            for condition in conditions_of(contestant):
                table.deal([script.episodes[row] for row in rows])
                control = Control(contestant.channel, condition, rng)
                outcomes = _choose(pair, context, table, control, sent)
                yield [
                    _record(name, contestant, condition, row, script, outcome)
                    for row, outcome in zip(rows.tolist(), outcomes, strict=True)
                ]


def conditions_of(contestant: Contestant) -> Sequence[Condition]:
    """Those it is put to; for the mere absence of a message only the normal one."""
    return contestant.conditions if contestant.channel.judged else CONDITIONS[:1]


def num_batches(contestants: dict[str, Contestant], config: PlayConfig) -> int:
    """How many batches `play` yields."""
    rounds = -(-config.episodes // config.episodes_at_once)
    return rounds * sum(len(conditions_of(contestant)) for contestant in contestants.values())


class Outcome(NamedTuple):
    """What came of one episode."""

    message: Message
    bits: float
    probabilities: list[float]
    choice: int
    reward: float


class Table:
    """Environments side by side, for one channel.

    Args:
        world: what is played about.
        channel: whose message space the sender acts in.
        config: how many at once, with how many candidates.
    """

    def __init__(self, world: World, channel: Channel, config: PlayConfig) -> None:
        size = min(config.episodes, config.episodes_at_once)
        self._all = [
            parallel_env(world=world, config=config.candidates, message_space=channel.message_space)
            for _ in range(size)
        ]
        self._playing = self._all

    def deal(self, episodes: Sequence[Episode]) -> list[Referents]:
        """Begin the episodes; returns the candidates (N, A) that each receiver sees."""
        self._playing = self._all[: len(episodes)]
        return [
            environment.reset(options={"episodes": [episode]})[0][RECEIVER]["candidates"]
            for environment, episode in zip(self._playing, episodes, strict=True)
        ]

    def speak(self, messages: Sequence[Message]) -> list[Message]:
        """Let the senders act; returns the messages that the receivers observe."""
        return [
            environment.step({SENDER: message, RECEIVER: IGNORED_CHOICE})[0][RECEIVER]["message"]
            for environment, message in zip(self._playing, messages, strict=True)
        ]

    def choose(self, messages: Sequence[Message], choices: Sequence[int]) -> list[float]:
        """Let the receivers act; returns their rewards."""
        return [
            environment.step({SENDER: message, RECEIVER: choice})[1][RECEIVER]
            for environment, message, choice in zip(self._playing, messages, choices, strict=True)
        ]


def _send(pair: Pair, channel: Channel, script: Script, rows: np.ndarray) -> Sent:
    """The messages about each episode's target, its partner's target and its foil."""
    own = [script.episodes[row].referent for row in rows]
    partners = [script.episodes[script.partners[row]].referent for row in rows]
    foils = [script.episodes[row].candidates[script.foils[row]] for row in rows]
    spoken = (pair.sender.speak(np.stack(named), channel.reading) for named in (own, partners, foils))
    return Sent(*(channel.send(utterance) for utterance in spoken))


@torch.no_grad()
def _choose(pair: Pair, context: Context, table: Table, control: Control, sent: Sent) -> list[Outcome]:
    """One batch of episodes under one condition, from the messages to the rewards."""
    messages = control.deliver(sent)
    observed = table.speak(messages)
    logits = pair.receiver.choose(context, control.receive(observed))
    choices = logits.argmax(-1).tolist()
    rewards = table.choose(messages, choices)
    bits = [control.channel.message_bits(message) for message in messages]
    probabilities = [[round(p, 6) for p in row] for row in logits.softmax(-1).tolist()]
    return list(map(Outcome, messages, bits, probabilities, choices, rewards))


def _record(
    name: str, contestant: Contestant, condition: Condition, row: int, script: Script, outcome: Outcome
) -> EpisodeRecord:
    target = script.episodes[row].target
    intended = {"normal": target, "swap": int(script.foils[row])}.get(condition)
    return EpisodeRecord(
        channel=name,
        condition=condition,
        episode_id=row,
        success=outcome.reward == 1.0,
        choice=outcome.choice,
        target=target,
        intended=intended if contestant.channel.judged else None,
        bits=outcome.bits,
        message=_as_json(outcome.message),
        probabilities=outcome.probabilities,
        trained=contestant.trained,
    )


def _as_json(message: Any) -> Any:
    """Text and codes as they are; of vectors three digits, enough to look at."""
    if isinstance(message, np.ndarray):
        return message.tolist() if message.dtype.kind == "i" else np.round(message, 3).tolist()
    return int(message) if isinstance(message, np.integer) else message
