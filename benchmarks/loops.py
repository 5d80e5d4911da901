"""How the failed experiment evaluated, kept plain to compare with: one episode and one condition at a time.

The sender reads its prompt anew for every message, the receiver all of its own anew for every answer; nothing
is batched and nothing is kept. What is chosen is what `parley.evaluation.playing.play` records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from parley.agents.pair import Pair, ReceiverView
from parley.agents.sender import Sender
from parley.agents.sender_cache import Kept
from parley.channels.base import Channel, Message, Utterance
from parley.channels.conditions import Condition, conditions
from parley.channels.receiver_input import zeros_like_input
from parley.envs.referential import ReferentialEpisode
from parley.envs.world import Referents
from parley.evaluation.playing.crossing import SAMPLE
from parley.evaluation.playing.plan import EpisodePlan, PlayConfig, message_rng

T = TypeVar("T")


class Choice(NamedTuple):
    """What the receiver picked in one episode under one condition."""

    row: int
    condition: str
    choice: int


class ForgetfulSender(Sender):
    """A sender that reads anew whenever it speaks."""

    def _remember(
        self, known: Kept[T], referents: Referents, compute: Callable[[list[Referents]], list[T]]
    ) -> None:
        known.clear()
        super()._remember(known, referents, compute)


@torch.no_grad()
def play_one_by_one(
    pair: Pair,
    channel: Channel,
    name: str,
    plan: EpisodePlan,
    config: PlayConfig,
    rows: Iterable[int],
) -> list[Choice]:
    """Play episodes one after the other, each under one condition after the other.

    Args:
        pair: who plays.
        channel: in eval mode.
        name: under which it plays, as it draws the messages of `random`.
        plan: the episodes, and what stands in for what.
        config: that of the script.
        rows: which of its episodes.
    """
    forgetful = Pair(ForgetfulSender(pair.sender.lm, pair.world), pair.receiver, pair.world)
    sampled = np.array([episode.sender_view for episode in plan.episodes[:SAMPLE]])
    sample = channel.send(pair.speak(channel, sampled))
    choices = []
    for row in rows:
        descriptions = [pair.world.describe(candidate) for candidate in plan.episodes[row].candidates]
        for condition in conditions():
            message = encode(forgetful, channel, told(plan, row, condition))
            rng = message_rng(config, row, name, condition.name)
            others = [sent for place, sent in enumerate(sample) if place != row]
            delivered = condition.deliver(message, channel.message_space, rng, others)
            free = condition.content_free
            receiver_input = zeros_like_input(channel.null_input(1)) if free else channel.receive([delivered])
            logits = pair.receiver.choose_uncached([descriptions], receiver_input)
            choices.append(Choice(row, condition.name, int(logits.argmax())))
    return choices


def told(plan: EpisodePlan, row: int, condition: Condition) -> ReferentialEpisode:
    """The episode with the target that the sender is told."""
    episode: ReferentialEpisode = plan.about(condition.told(row, plan))
    return episode


def encode(pair: Pair, channel: Channel, episode: ReferentialEpisode) -> Message:
    """The sender reads its prompt, and for a channel of words speaks; one message."""
    referent = episode.sender_view[None]
    if channel.modality == "text" or channel.sees_scene or channel.features.what == "expected":
        utterance = pair.speak(channel, referent, ReceiverView([episode.candidates], [episode.target]))
    else:  # a codec looks at states alone: no words are made that it would not read
        utterance = _states_alone(pair.sender, channel, referent)
    [message] = channel.send(utterance)
    return message


def _states_alone(sender: Sender, channel: Channel, referent: Referents) -> Utterance:
    return Utterance([""], *sender.read(referent, channel.features))
