"""The training loop: fresh episodes, one frozen pair, one codec that learns."""

from __future__ import annotations

import json
import math
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.optim import AdamW

from agents.command_line import RunError
from agents.pair import Pair
from channels.base import Words
from channels.checkpoint import save_channel
from channels.latent import LatentChannel, VectorQuantizedChannel, perplexity
from envs.episode import EpisodeConfig, EpisodeSampler
from training.config import TrainConfig
from training.objectives import Step, TokenTargets, evaluate_objectives
from training.progress import TrainingProgress
from training.state import load_state, save_state
from training.validation import Validation

LOG_EVERY = 10


class Trainer:
    """Trains one latent channel between one frozen pair.

    Args:
        channel: the codec; the only thing that changes.
        pair: sender and receiver.
        config: how.
        folder: where `metrics.jsonl`, `channel.safetensors` (the best on validation) and
            `state.safetensors` (to resume) are written.
    """

    def __init__(self, channel: LatentChannel, pair: Pair, config: TrainConfig, folder: Path) -> None:
        self.config, self.pair, self.folder = config, pair, folder
        self.accelerator = Accelerator(cpu=pair.device.type == "cpu", mixed_precision="no")
        self.channel = channel.to(pair.device).train()
        self.optimizer = AdamW(
            channel.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
        )
        self.codec, self.prepared = self.accelerator.prepare(channel, self.optimizer)
        self.rng = np.random.default_rng(config.seed)
        episodes = EpisodeConfig(split="train", num_candidates=config.num_candidates)
        self.sampler = EpisodeSampler(pair.world, episodes)
        self.validation = Validation(pair, config.validation_episodes, config.num_candidates)
        self._learn_the_sender()
        self.step_number, self.best = 0, -1.0
        self.seconds = 0.0

    def _learn_the_sender(self) -> None:
        """Statistics of its states over training referents, and the tokens of what it says of them."""
        referents = self.pair.world.referents("train")
        self.everything = self.pair.sender.speak(referents)
        self.channel.calibrate(self.everything.states, self.everything.mask)
        receiver = self.pair.receiver
        rows = receiver.message_tokens(list(self.everything.texts))
        self.targets = TokenTargets(rows, receiver.lm.embedding_table, self.channel.num_slots)
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
            self.channel.start_quantizing(self.everything)  # type: ignore[operator]
        for group in self.prepared.param_groups:
            group["lr"] = self.learning_rate()
        batch = self.play()
        loss, terms = evaluate_objectives(batch, self.config.objectives)
        if not torch.isfinite(loss):
            raise RunError(
                f"the loss is {loss.item()} at step {self.step_number + 1}; training stopped, and "
                f"{self.folder} keeps the last good checkpoint"
            )
        self.prepared.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.channel.parameters(), self.config.max_grad_norm)
        self.prepared.step()
        self.step_number += 1
        right = batch.logits.argmax(-1) == batch.targets
        return {
            "step": self.step_number,
            "loss": loss.item(),
            **{name: value.item() for name, value in terms.items()},
            "success": right.float().mean().item(),
            "grad_norm": float(norm),
            "scale_gate": self.channel.decoder.scale_gate.item(),
            "learning_rate": self.learning_rate(),
        }

    def play(self) -> Step:
        """Draw episodes, let each context be played with several of its candidates as targets."""
        config = self.config
        candidates = np.stack([self.sampler.draw(self.rng).candidates for _ in range(config.batch_size)])
        orders = [self.rng.permutation(config.num_candidates) for _ in range(config.batch_size)]
        targets = np.stack(orders)[:, : config.messages_per_context]
        referents = np.take_along_axis(candidates, targets[..., None], axis=1).reshape(
            -1, candidates.shape[-1]
        )
        context = self.pair.read(list(candidates)).repeat(config.messages_per_context)
        relay = self.codec(self.pair.sender.speak(referents))
        assert not isinstance(relay.reception, Words), "a latent channel delivers no text"
        logits = self.pair.receiver.choose(context, relay.reception)
        numbers = torch.from_numpy(self.number_of[self.pair.world.index(referents)])
        return Step(
            logits, torch.from_numpy(targets.ravel()).to(logits.device), relay, self.targets.of(numbers)
        )

    def validate(self) -> dict[str, Any]:
        """Success on the validation episodes in eval mode; the latest of the best is kept."""
        self.channel.eval()
        success = self.validation.success(self.channel)
        record: dict[str, Any] = {"validation_success": success}
        if isinstance(self.channel, VectorQuantizedChannel):
            codes = self.channel.codes(self.everything)
            record["perplexity"] = perplexity(codes, self.channel.quantizer.codebook.codebook_size)
        if success >= self.best and self._speaks():
            self.best = success
            notes = {"seed": self.config.seed, "step": self.step_number, "validation_success": success}
            save_channel(self.folder / "channel.safetensors", self.channel, self.pair.fingerprints, notes)
        self.channel.train()
        return record

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to 0."""
        config = self.config
        if self.step_number < config.warmup_steps:
            return config.learning_rate * (self.step_number + 1) / config.warmup_steps
        done = (self.step_number - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def _quantizing_begins(self) -> bool:
        due = self.step_number >= int(self.config.continuous_share * self.config.steps)
        return isinstance(self.channel, VectorQuantizedChannel) and due and not self.channel.quantizing

    def _speaks(self) -> bool:
        """Whether the channel can be used yet: a discrete one only once it is quantised."""
        return not isinstance(self.channel, VectorQuantizedChannel) or bool(self.channel.quantizing)

    def save(self) -> None:
        """Write what is needed to resume."""
        notes = {
            "step": self.step_number,
            "best": self.best,
            "seconds": self.seconds,
            "rng": self.rng.bit_generator.state,
        }
        save_state(self.folder / "state.safetensors", self.channel, self.optimizer, notes)

    def resume(self) -> None:
        """Continue from the run folder's state.

        Raises:
            StateError: if it cannot be used.
        """
        notes = load_state(self.folder / "state.safetensors", self.channel, self.optimizer)
        self.step_number, self.best, self.seconds = notes["step"], notes["best"], notes["seconds"]
        self.rng.bit_generator.state = notes["rng"]
