"""The failed experiment's loop and Parley's trainer side by side: same models, codec and objective."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.operations import count_operations
from benchmarks.playing_step import WordedSender, small_world
from benchmarks.timing import alternate, spread
from benchmarks.training_loops import Sample, one_by_one_step
from parley.agents.language_model import FrozenLM
from parley.agents.pair import Pair
from parley.agents.prompts import cut_at_slot, receiver_prompt, sender_prompt
from parley.agents.receiver import Receiver
from parley.channels.codec import CodecConfig
from parley.channels.latent import ContinuousChannel
from parley.training.config import TrainConfig
from parley.training.loss import ObjectiveWeights
from parley.training.trainer import Trainer

# the failed experiment's three passes; its other two terms need none
PER_MESSAGE = CodecConfig(depth=1.0, reads="message")
THREE_PASSES = ObjectiveWeights(weights={"ce": 1.0, "help": 1.0, "contrast": 0.5})


class Stage(NamedTuple):
    """Both loops, ready to go."""

    trainer: Trainer
    samples: list[Sample]

    @property
    def messages(self) -> int:
        """Of a step of the trainer's."""
        return self.trainer.config.batch_size * self.trainer.config.messages_per_context

    def one_by_one(self) -> float:
        """One pass of the other loop over its samples."""
        return one_by_one_step(self.trainer.pair.receiver, self.trainer.channel, self.samples)


@contextmanager
def stage(lm: FrozenLM, contexts: int, messages: int, num_samples: int) -> Iterator[Stage]:
    """Set both loops up.

    Args:
        lm: sender and receiver.
        contexts: of a step of the trainer's.
        messages: a context.
        num_samples: that the other loop takes one by one.
    """
    world = small_world(values=3)
    pair = Pair(WordedSender(lm, world), Receiver(lm), world)
    with TemporaryDirectory() as folder:
        config = TrainConfig(
            alignment_steps=0,
            batch_size=contexts,
            messages_per_context=messages,
            validation_episodes=2,
            objectives=THREE_PASSES,
            folder=Path(folder),
        )
        torch.manual_seed(0)
        trainer = Trainer(ContinuousChannel(PER_MESSAGE, pair.interface), pair, config, Path(folder))
        yield Stage(trainer, _samples(trainer, num_samples))


def compare(
    name: str, lm: FrozenLM, contexts: int, messages: int, num_samples: int, repeats: int
) -> dict[str, Any]:
    """Episodes a second of both loops, in turns; the arguments are as for `stage`."""
    with stage(lm, contexts, messages, num_samples) as both:
        seconds = alternate(
            {"parley": both.trainer.step, "one_by_one": both.one_by_one}, repeats=repeats, device=lm.device
        )
    each = [second / (contexts * messages) for second in seconds["parley"]]
    slow = [second / num_samples for second in seconds["one_by_one"]]
    ratios = [other / ours for other, ours in zip(slow, each, strict=True)]
    row = {"model": name, "contexts": contexts, "messages": messages, "samples": num_samples}
    low, high = spread(slow, each)
    return row | {
        "parley": 1 / statistics.median(each),
        "one_by_one": 1 / statistics.median(slow),
        "gain": statistics.median(ratios),
        "low": low,
        "high": high,
        "operations": operations(lm, contexts, messages, num_samples),
    }


def operations(lm: FrozenLM, contexts: int, messages: int, num_samples: int) -> float:
    """How many times the operations of one of Parley's episodes the other loop needs."""
    with stage(lm, contexts, messages, num_samples) as both:
        ours = count_operations(both.trainer.step) / both.messages
        return count_operations(both.one_by_one) / num_samples / ours


def _samples(trainer: Trainer, size: int) -> list[Sample]:
    """Training episodes as token ids; each one's contrast is with the next one's message."""
    pair, lm = trainer.pair, trainer.pair.receiver.lm
    episodes = trainer.episodes.draw(size, 0, trainer.rng)[:: trainer.config.messages_per_context]
    referents = np.stack([episode.sender_view for episode in episodes])
    words = [lm.encode_plain(text) for text in pair.sender.describe(referents)]
    said = [
        lm.encode(lm.render(sender_prompt(pair.world.facts(referent)))) + message
        for referent, message in zip(referents, words, strict=True)
    ]
    prompts = [
        lm.encode(cut_at_slot(lm.render(receiver_prompt(pair.world.options(episode.receiver_view)))).before)
        for episode in episodes
    ]
    return [
        Sample(
            said=said[i],
            other_said=said[(i + 1) % size],
            length=min(map(len, words)),
            prompt=prompts[i],
            target=episodes[i].target,
        )
        for i in range(size)
    ]
