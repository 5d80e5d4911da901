"""How players are tried: validation episodes over the text channel, under normal and under swap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from parley.agents.choosing import pick
from parley.agents.examples import draw_examples
from parley.agents.language_model import FrozenLM
from parley.agents.pair import Pair
from parley.agents.player import Calibration, Profile, SenderSettings
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import ReceiverInput
from parley.channels.conditions import find_condition
from parley.channels.text import TextChannel, TextConfig
from parley.envs.world import AnyWorld
from parley.evaluation.admission.grid import Question
from parley.evaluation.admission.rule import Cell, SenderTrial
from parley.evaluation.playing.plan import PlayConfig, make_plan, rounds

_TIES = 4  # beside what else is drawn from the evaluation's seed
Advance = Callable[[int], object]


class Picks(NamedTuple):
    """Places that receivers picked in B episodes."""

    said: np.ndarray  # (B,) with what the sender says of the target
    swapped: np.ndarray  # (B,) with what it says of another candidate
    exact: np.ndarray  # (B,) with the exact description of the target


class Trials:
    """Tries two models on the same validation episodes.

    Args:
        models: the sender's and the receiver's.
        world: what they speak about.
        config: which episodes; those at once bound the memory.

    Raises:
        ValueError: if the game cannot be played about the world's validation split.
    """

    def __init__(self, models: tuple[FrozenLM, FrozenLM], world: AnyWorld, config: PlayConfig) -> None:
        self.models, self.world, self.config = models, world, config
        self.plan = make_plan(world, config, "validation")
        self.examples = draw_examples(config.make_game(world, "train"), Profile().examples_seed)
        swap = find_condition("swap")
        told = [swap.told(row, self.plan) for row in range(config.episodes)]
        self._swapped = [self.plan.about(each) for each in told]
        self._named = np.array([each.candidate for each in told])

    def sender(self, shots: int) -> Sender:
        """The sender, shown so many examples."""
        return Sender(self.models[0], self.world, SenderSettings(shots=shots), self.examples)

    def try_sender(self, sender: Sender) -> SenderTrial:
        """How often it describes the episodes' targets exactly; one that occurs twice counts once."""
        referents = np.unique([episode.sender_view for episode in self.plan.episodes], axis=0)
        exact = round(sender.exactness(referents) * len(referents))
        return SenderTrial(shots=sender.settings.shots, exact=exact, n=len(referents))

    def try_receiver(self, question: Question, sender: Sender, advance: Advance) -> list[Cell]:
        """Play all episodes with a receiver asked in one way: a cell for each calibration.

        Args:
            question: how it is asked.
            sender: whose words it gets.
            advance: told how many episodes were played.

        Raises:
            ValueError: if this model cannot be asked so.
        """
        counts: dict[Calibration, Counter[str]] = {name: Counter() for name in question.calibrations}
        pair, channel = self._pair(sender, question)
        for rows in rounds(self.config):
            for calibration, picks in self._play(pair, channel, rows).items():
                counts[calibration].update(self._count(picks, rows))
            advance(len(rows))
        return [
            Cell(
                shots=question.shots,
                readout=question.readout,
                wording=question.wording,
                calibration=calibration,
                n=self.config.episodes,
                **{name: counted[name] for name in ("successes", "swap_consistent", "exact_successes")},
            )
            for calibration, counted in counts.items()
        ]

    def examine(
        self, question: Question, calibration: Calibration, sender: Sender, advance: Advance
    ) -> dict[str, Any]:
        """Play all episodes in all cyclic orders of their candidates, with the same message.

        Args:
            question: how the receiver is asked.
            calibration: of its scores.
            sender: whose words it gets.
            advance: told how many episodes were played.

        Returns:
            As JSON: how often it picked each place in the order as drawn, and in how many episodes it picked
            the same candidate in every order.
        """
        pair, channel = self._pair(sender, question)
        places = np.arange(self.plan.game.num_choices)
        picks, same = np.zeros(len(places), dtype=np.int64), 0
        for rows in rounds(self.config):
            episodes = [self.plan.episodes[row] for row in rows]
            heard = channel.receive(self._said(pair, channel, episodes))
            picked = []
            for order in (np.roll(places, -shift) for shift in places):
                laid_out = [self.plan.game.reordered(episode, order) for episode in episodes]
                scores = _score(pair, laid_out, heard)[calibration]
                picked.append(order[self._choose(scores, rows)])
            picks += np.bincount(picked[0], minlength=len(places))
            same += int((np.stack(picked) == picked[0]).all(0).sum())
            advance(len(rows))
        n = self.config.episodes
        return {"picks": picks.tolist(), "cyclic_consistency": {"same": same, "n": n}}

    def _pair(self, sender: Sender, question: Question) -> tuple[Pair, TextChannel]:
        pair = Pair(sender, Receiver(self.models[1], question.settings, self.examples), self.world)
        return pair, TextChannel(TextConfig(), pair.interface)

    def _play(self, pair: Pair, channel: TextChannel, rows: range) -> dict[Calibration, Picks]:
        """Three messages side by side behind each context."""
        episodes = [self.plan.episodes[row] for row in rows]
        said = self._said(pair, channel, episodes)
        swapped = self._said(pair, channel, [self._swapped[row] for row in rows])
        exact = [self.world.describe(episode.sender_view) for episode in episodes]
        messages = [text for each in zip(said, swapped, exact, strict=True) for text in each]
        scores = _score(pair, episodes, channel.receive(messages))
        return {
            name: Picks(*self._choose(found, rows).reshape(len(rows), 3).T) for name, found in scores.items()
        }

    def _count(self, picks: Picks, rows: range) -> dict[str, int]:
        won = self.plan.game.succeeds
        episodes = [self.plan.episodes[row] for row in rows]
        return {
            "successes": sum(map(won, episodes, picks.said.tolist())),
            "swap_consistent": int((picks.swapped == self._named[rows.start : rows.stop]).sum()),
            "exact_successes": sum(map(won, episodes, picks.exact.tolist())),
        }

    def _said(self, pair: Pair, channel: TextChannel, episodes: Sequence[Any]) -> list[str]:
        """What crosses the text channel when the sender speaks about the episodes' targets."""
        return channel.send(pair.speak(channel, np.stack([episode.sender_view for episode in episodes])))

    def _choose(self, scores: Float[Tensor, "B N"], rows: range) -> np.ndarray:
        """The place of the best score in each row; of equal ones any, as chance has it."""
        return pick(scores, lambda row: np.random.default_rng([self.config.seed, _TIES, rows.start, row]))


@torch.no_grad()
def _score(
    pair: Pair, episodes: Sequence[Any], heard: ReceiverInput
) -> dict[Calibration, Float[Tensor, "B N"]]:
    """The candidates' scores behind each message, by calibration."""
    context = pair.read([episode.receiver_view for episode in episodes])
    answers = pair.receiver.answer(context, heard)
    if not pair.receiver.readout.calibrates:
        return {"none": answers.logits}
    return {"none": answers.read, "content_free": answers.logits}
