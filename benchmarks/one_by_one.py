"""The failed experiment's loop and Parley's trainer side by side: same models, codec and objective."""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console

from agents.language_model import FrozenLM
from agents.pair import Pair
from agents.prompts import cut_at_slot, receiver_prompt, sender_prompt
from agents.receiver import Receiver
from benchmarks.playing_step import WordedSender, small_world
from benchmarks.timing import alternate, spread
from benchmarks.training_loops import Sample, one_by_one_step
from channels.codec import CodecConfig
from channels.latent import ContinuousChannel
from training.config import TrainConfig
from training.objectives import ObjectiveWeights
from training.trainer import Trainer

# the failed experiment's three passes; its other two terms need none
PER_MESSAGE = CodecConfig(depth=1.0, reads="message")
THREE_PASSES = ObjectiveWeights(ce=1.0, help=1.0, contrast=0.5, reconstruction=0.0, quantizer=0.0)


def against_one_by_one(
    name: str, lm: FrozenLM, steps: dict[tuple[int, int], int], repeats: int, console: Console
) -> list[dict[str, Any]]:
    """Compare both loops.

    Args:
        name: of the model.
        lm: sender and receiver.
        steps: for each (contexts, messages a context) of a step of the trainer's, how many samples the other
            loop takes one by one.
        repeats: alternating repeats.
        console: where progress is shown.
    """
    world = small_world()
    pair = Pair(WordedSender(lm, world), Receiver(lm), world)
    return [
        _compare(name, pair, contexts, messages, samples, repeats, console)
        for (contexts, messages), samples in steps.items()
    ]


def _compare(
    name: str, pair: Pair, contexts: int, messages: int, num_samples: int, repeats: int, console: Console
) -> dict[str, Any]:
    with TemporaryDirectory() as folder, console.status(f"{name}, {contexts} x {messages} and one by one"):
        config = TrainConfig(
            alignment_steps=0,
            batch_size=contexts,
            messages_per_context=messages,
            validation_episodes=2,
            objectives=THREE_PASSES,
            folder=Path(folder),
        )
        torch.manual_seed(0)
        trainer = Trainer(ContinuousChannel(PER_MESSAGE, pair.ends), pair, config, Path(folder))
        samples = _samples(trainer, num_samples)
        seconds = alternate(
            {
                "parley": trainer.step,
                "one_by_one": lambda: one_by_one_step(pair.receiver, trainer.channel, samples),
            },
            repeats=repeats,
            device=pair.device,
        )
    each = [second / (contexts * messages) for second in seconds["parley"]]
    slow = [second / len(samples) for second in seconds["one_by_one"]]
    ratios = [other / ours for other, ours in zip(slow, each, strict=True)]
    low, high = spread(slow, each)
    return {
        "model": name,
        "contexts": contexts,
        "messages": messages,
        "parley": 1 / statistics.median(each),
        "one_by_one": 1 / statistics.median(slow),
        "gain": statistics.median(ratios),
        "low": low,
        "high": high,
    }


def _samples(trainer: Trainer, size: int) -> list[Sample]:
    """Training episodes as token ids; each one's contrast is with the next one's message."""
    pair, lm = trainer.pair, trainer.pair.receiver.lm
    batch = trainer.episodes.draw(size, 0, trainer.rng)
    referents = batch.referents[:: batch.targets.shape[1]]
    words = [lm.encode_plain(text) for text in pair.sender.describe(referents)]
    said = [
        lm.encode(lm.render(sender_prompt(pair.world.facts(referent)))) + message
        for referent, message in zip(referents, words, strict=True)
    ]
    prompts = [
        lm.encode(cut_at_slot(lm.render(receiver_prompt([pair.world.describe(c) for c in row]))).before)
        for row in batch.candidates
    ]
    return [
        Sample(
            said=said[i],
            other_said=said[(i + 1) % size],
            length=min(map(len, words)),
            prompt=prompts[i],
            target=int(batch.targets[i, 0]),
        )
        for i in range(size)
    ]
