"""The training loop: fresh episodes, one frozen pair, one codec that learns."""

from __future__ import annotations

import json
import math
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import AdamW

from parley.agents.command_line import RunError
from parley.agents.pair import Pair, ReceiverView
from parley.agents.receiver import Context
from parley.channels.base import Channel, TextInput
from parley.channels.checkpoint import save_channel
from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialGame
from parley.envs.world import Referents
from parley.training.config import TrainConfig
from parley.training.episodes import Batch, Episodes
from parley.training.heads import Heads
from parley.training.objectives import evaluate_objectives
from parley.training.progress import TrainingProgress
from parley.training.state import load_state, save_state
from parley.training.step import MessageBatch, PlayedBatch
from parley.training.token_targets import TokenTargets
from parley.training.validation import Validation

LOG_EVERY = 10


class ContextBatch(NamedTuple):
    """Episodes of one step, and what the receiver has read of them."""

    batch: Batch
    context: Context


class Trainer:
    """Trains one channel between one frozen pair.

    Args:
        channel: the codec; the only thing that changes.
        pair: sender and receiver.
        config: how.
        folder: where `metrics.jsonl`, `channel.safetensors` (the best on validation) and
            `state.safetensors` (to resume) are written.

    Raises:
        ValueError: if a discrete channel would never be quantised, a channel that speaks about episodes
            should be aligned without any, or the sender says nothing that could be reconstructed.
    """

    def __init__(self, channel: Channel, pair: Pair, config: TrainConfig, folder: Path) -> None:
        if not channel.ready and int(config.continuous_share * config.steps) >= config.steps:
            raise ValueError(
                f"continuous_share must leave steps in which channel {channel.name!r} is quantised, "
                f"got {config.continuous_share} of {config.steps} steps"
            )
        if channel.sees_scene and config.alignment_steps:
            raise ValueError(
                f"alignment_steps must be 0 for channel {channel.name!r}, which speaks about episodes, not "
                f"about referents alone, got {config.alignment_steps}"
            )
        self.config, self.pair, self.folder = config, pair, folder
        # the codec goes where the receiver is, which accelerate would take to be the first card
        self.accelerator = Accelerator(
            cpu=pair.device.type == "cpu", mixed_precision="no", device_placement=False
        )
        self.channel = channel.to(pair.device).train()
        wanted = [name for name, weight in config.objectives.weights.items() if weight]
        self.heads = Heads(channel, pair.world.num_values.tolist(), wanted).to(pair.device)
        self.trainable = nn.ModuleDict({"channel": channel, "heads": self.heads})
        self.optimizer = AdamW(
            self.trainable.parameters(),
            lr=config.learning_rate,
            betas=(0.9, config.beta2),
            weight_decay=config.weight_decay,
        )
        self.codec, self.prepared = self.accelerator.prepare(channel, self.optimizer)
        self.rng = np.random.default_rng(config.seed)
        sampler = ReferentialGame(
            pair.world, EpisodeConfig(split="train", num_candidates=config.num_candidates)
        )
        self.episodes = Episodes(sampler, config.messages_per_context, config.fixed_episodes, config.seed)
        self.validation = Validation(pair, config.validation_episodes, config.num_candidates)
        self._learn_the_sender()
        self.step_number, self.best = 0, -1.0
        self.seconds = 0.0

    def _learn_the_sender(self) -> None:
        """Statistics of its states over training referents, and the tokens of what it says of them."""
        self.train_utterances = self.pair.calibrate(self.channel)
        receiver = self.pair.receiver
        referents = self.pair.world.referents("train")
        rows = receiver.message_tokens(self.pair.sender.describe(referents))
        if self.config.objectives.reconstruction and not any(rows):
            raise ValueError(
                "reconstruction must be 0 with a sender that says nothing, which leaves no words to tie to"
            )
        self.targets = TokenTargets(
            rows, receiver.lm.embedding_table, self.channel.num_slots, self.config.first_tokens_only
        )
        self.number_of = np.full(self.pair.world.size, -1)
        self.number_of[self.pair.world.index(referents)] = np.arange(len(referents))

    def run(self) -> None:
        """Train to the last step, from where a resumed state left off.

        Raises:
            RunError: if the loss is no longer finite; the last good state and checkpoint stay.
        """
        with (
            (self.folder / "metrics.jsonl").open("a") as metrics,
            TrainingProgress(self.config.steps, self.step_number) as progress,
        ):
            while self.step_number < self.config.steps:
                began = monotonic()
                record = self.step()
                self.seconds += monotonic() - began
                if self._due(self.config.validate_every):
                    record |= self.validate()
                    self.save()
                if self._due(LOG_EVERY) or "validation_success" in record:
                    metrics.write(json.dumps(record | {"seconds": round(self.seconds, 2)}) + "\n")
                    metrics.flush()
                progress.update(record)

    def _due(self, every: int) -> bool:
        return self.step_number % every == 0 or self.step_number == self.config.steps

    def step(self) -> dict[str, Any]:
        """One optimiser step on fresh episodes; returns what is logged, losses in nats."""
        if self._quantizing_begins():
            assert self.train_utterances is not None, "a channel that is quantised speaks about referents"
            self.channel.start_quantizing(self.train_utterances)
        for group in self.prepared.param_groups:
            group["lr"] = self.learning_rate()
        aligning = self.step_number < self.config.alignment_steps
        return self.learn(self.say() if aligning else self.play())

    def learn(self, batch: MessageBatch | PlayedBatch) -> dict[str, Any]:
        """The rest of a step: losses, gradient, optimiser.

        Raises:
            RunError: if the loss is not finite.
        """
        loss, terms = evaluate_objectives(batch, self.heads, self.config.objectives)
        if not torch.isfinite(loss):
            raise RunError(
                f"the loss is {loss.item()} at step {self.step_number + 1}; training stopped, and "
                f"{self.folder} keeps the last good checkpoint"
            )
        self.prepared.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.trainable.parameters(), self.config.max_grad_norm)
        self.prepared.step()
        self.step_number += 1
        return {
            "step": self.step_number,
            "loss": loss.item(),
            **{name: value.item() for name, value in terms.items()},
            **({"success": batch.rewards.mean().item()} if isinstance(batch, PlayedBatch) else {}),
            "grad_norm": float(norm),
            **self.channel.logged(),
            "learning_rate": self.learning_rate(),
        }

    def say(self) -> MessageBatch:
        """Messages about random training referents, for alignment."""
        everyone = self.pair.world.referents("train")
        rows = self.rng.choice(len(everyone), min(self.config.alignment_batch, len(everyone)), replace=False)
        return MessageBatch(**self._say(everyone[rows]))

    def sample_contexts(self) -> ContextBatch:
        """Draw episodes, and let the receiver read them."""
        batch = self.episodes.draw(
            self.config.batch_size, self.step_number - self.config.alignment_steps, self.rng
        )
        return ContextBatch(batch, self.pair.read(list(batch.candidates), cached=not self.channel.at_start))

    def play(self, dealt: ContextBatch | None = None) -> PlayedBatch:
        """Each context, by default one freshly dealt, is played with several of its candidates as targets."""
        config, (batch, context) = self.config, dealt or self.sample_contexts()
        return PlayedBatch(
            **self._say(batch.referents, batch),
            receiver=self.pair.receiver,
            context=context,
            null=self.channel.null_input(len(batch.candidates)),
            targets=torch.from_numpy(batch.targets.ravel()).to(self.pair.device),
            per_context=config.messages_per_context,
            among=config.objectives.among,
            differentiable=config.objectives.differentiable,
        )

    def _say(self, referents: Referents, batch: Batch | None = None) -> dict[str, Any]:
        """The messages about referents (B, A), as they come through the channel."""
        seen = ReceiverView(list(batch.scenes), batch.targets.ravel()) if batch is not None else None
        utterance = self.pair.speak(self.channel, referents, seen)
        relay = self.codec(utterance)
        assert not isinstance(relay.receiver_input, TextInput), "a channel that is trained delivers no text"
        numbers = torch.from_numpy(self.number_of[self.pair.world.index(referents)])
        return {
            "utterance": utterance,
            "relay": relay,
            "pooled": self.channel.pooled(utterance),
            "referents": torch.from_numpy(referents).to(self.pair.device),
            "tokens": self.targets.of(numbers),
        }

    def validate(self) -> dict[str, Any]:
        """Success on the validation episodes in eval mode; the latest of the best is kept."""
        self.channel.eval()
        record: dict[str, Any] = self.validation.play(self.channel)
        success = record["validation_success"]
        if success >= self.best and self.channel.ready:
            self.best = success
            notes = {
                "world": self.pair.world.name,
                "seed": self.config.seed,
                "step": self.step_number,
                "validation_success": success,
            }
            save_channel(self.folder / "channel.safetensors", self.channel, self.pair.fingerprints, notes)
        self.channel.train()
        return record

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to 0."""
        config = self.config
        if self.step_number < config.warmup_steps:
            return config.learning_rate * (self.step_number + 1) / config.warmup_steps
        step = self.step_number // config.learning_rate_every * config.learning_rate_every
        done = (max(step, config.warmup_steps) - config.warmup_steps) / max(
            1, config.steps - config.warmup_steps
        )
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def _quantizing_begins(self) -> bool:
        due = self.step_number >= int(self.config.continuous_share * self.config.steps)
        return due and not self.channel.ready

    def save(self) -> None:
        """Write what is needed to resume."""
        notes = {
            "step": self.step_number,
            "best": self.best,
            "seconds": self.seconds,
            "rng": self.rng.bit_generator.state,
        }
        save_state(self.folder / "state.safetensors", self.trainable, self.optimizer, notes)

    def resume(self) -> None:
        """Continue from the run folder's state.

        Raises:
            StateError: if it cannot be used.
        """
        notes = load_state(self.folder / "state.safetensors", self.trainable, self.optimizer)
        self.step_number, self.best, self.seconds = notes["step"], notes["best"], notes["seconds"]
        self.rng.bit_generator.state = notes["rng"]
