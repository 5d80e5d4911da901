"""Pretrain the pocket, the embedded default model, from scratch on text alone.

Run as `python -m studies.pretrain_pocket --folder runs/pocket`; the same command continues
a run that was cut. The pocket never sees a soft prefix, nor a test referent.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor
from torch.nn import functional

from parley.agents.command_line import ExitCode, RunError, exit_with, parse_arguments
from parley.envs.world import World, objects_world
from parley.training.state import load_state, save_state
from studies.pocket_lessons import CURRICULUM, IGNORED, Lessons, corpus, encode_lessons
from studies.pocket_model import PocketConfig, build_model, hidden_states, train_tokenizer


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """How the pocket is pretrained.

    Args:
        folder: run folder; `folder/pocket` is the result, `folder/milestones` what the model was
            whenever it mastered a stage.
        seed: of the initial weights and the lessons.
        batch_size: lessons a step.
        num_rounds: messages and answers over one candidate list.
        learning_rate: AdamW's, after `warmup_steps`; falls to 0 along a cosine over the last
            `polish_steps`, which begin when the last stage is mastered, or after `patience` steps of it.
        weight_decay: AdamW's.
        max_grad_norm: gradients are clipped to this L2 norm.
        mastery: accuracy over the last `mastery_window` batches at which a stage is mastered.
        mastery_window: batches.
        review: share of the receiver's batches drawn from any stage so far.
        sender_share: share of all batches that are the sender's turn.
        patience: most steps of the last stage at the full learning rate.
        polish_steps: steps at the falling learning rate.
        max_steps: gives up, with the checkpoint kept, when the curriculum takes longer.
        checkpoint_every: steps between checkpoints.
        threads: CPU threads.
        model: the architecture.
    """

    folder: Path = Path("runs/pocket")
    seed: int = 0
    batch_size: int = 48
    num_rounds: int = 4
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    mastery: float = 0.92
    mastery_window: int = 25
    review: float = 0.25
    sender_share: float = 0.2
    patience: int = 600
    polish_steps: int = 2500
    max_steps: int = 20000
    checkpoint_every: int = 100
    threads: int = 1
    model: PocketConfig = field(default_factory=PocketConfig)


@dataclass
class Progression:
    """Where the training stands; saved with every checkpoint."""

    step: int = 0
    stage: int = 0
    stage_start: int = 0
    polish_start: int | None = None
    accuracies: deque[float] = field(default_factory=deque)

    def advance(self, accuracy: float, config: PretrainConfig) -> bool:
        """Note the accuracy of a batch of the current stage; say whether that masters the stage."""
        self.accuracies.append(accuracy)
        if len(self.accuracies) > config.mastery_window:
            self.accuracies.popleft()
        full = len(self.accuracies) == config.mastery_window
        mastered = full and float(np.mean(self.accuracies)) >= config.mastery
        last = self.stage + 1 == len(CURRICULUM)
        if last and self.polish_start is None:
            if mastered or self.step - self.stage_start >= config.patience:
                self.polish_start = self.step
        elif mastered and not last:
            self.stage, self.stage_start = self.stage + 1, self.step
            self.accuracies.clear()
            return True
        return False

    def learning_rate(self, config: PretrainConfig) -> float:
        """The learning rate of this step."""
        if self.polish_start is None:
            return config.learning_rate * min(1.0, (self.step + 1) / config.warmup_steps)
        done = min(1.0, (self.step - self.polish_start) / config.polish_steps)
        return config.learning_rate * 0.5 * (1 + float(np.cos(np.pi * done)))

    def finished(self, config: PretrainConfig) -> bool:
        """Whether training is over."""
        polished = self.polish_start is not None and self.step >= self.polish_start + config.polish_steps
        return polished or self.step >= config.max_steps


class Pretraining:
    """One pretraining run: model, optimiser, lessons and where they stand.

    Args:
        config: how.
        world: what the lessons are about.
    """

    def __init__(self, config: PretrainConfig, world: World) -> None:
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = train_tokenizer(corpus(world), config.model)
        self.model = build_model(self.tokenizer, config.model, config.seed).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.lessons = Lessons(world, config.num_rounds)
        self.rng = np.random.default_rng(config.seed)
        self.progression = Progression()
        self._encode = lru_cache(maxsize=1 << 16)(self._tokens)
        config.folder.mkdir(parents=True, exist_ok=True)
        self._state = config.folder / "state.safetensors"
        if self._state.exists():
            self.resume()

    def steps(self) -> Iterator[dict[str, float]]:
        """Train to the end; yields what each step recorded, and keeps checkpoints as it goes."""
        while not self.progression.finished(self.config):
            yield self.step()
            if self.progression.step % self.config.checkpoint_every == 0:
                self.save()
        self.save()
        self.save_model(self.config.folder / "pocket")

    def step(self) -> dict[str, float]:
        """One optimiser step on one batch of lessons; loss in nats a token."""
        progression, config = self.progression, self.config
        for group in self.optimizer.param_groups:
            group["lr"] = progression.learning_rate(config)
        lesson = self._choose_lesson()
        loss, accuracy = self.loss(lesson)
        if not torch.isfinite(loss):
            raise RunError(
                f"the loss is {loss.item()} at step {progression.step}; {self._state} stays as it was"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.max_grad_norm)
        self.optimizer.step()
        progression.step += 1
        if lesson == progression.stage and progression.advance(accuracy, config):
            self.save_model(config.folder / "milestones" / f"step-{progression.step:05d}")
        return {
            "step": progression.step,
            "stage": progression.stage,
            "lesson": lesson,
            "loss": loss.item(),
            "accuracy": accuracy,
        }

    def _choose_lesson(self) -> int:
        """The stage of the receiver's next lesson, or -1 for the sender's turn."""
        if self.rng.random() < self.config.sender_share:
            return -1
        if self.rng.random() < self.config.review:
            return int(self.rng.integers(self.progression.stage + 1))
        return self.progression.stage

    def loss(self, lesson: int) -> tuple[Tensor, float]:
        """Cross-entropy in nats over the tokens to be said, and their accuracy."""
        ids, labels = encode_lessons(self._draw(lesson), self._encode, self.tokenizer.pad_token_id)
        ids, labels = ids.to(self.device), labels[:, 1:].to(self.device)
        said = labels != IGNORED
        hidden = hidden_states(self.model, ids[:, :-1])
        logits = functional.linear(hidden[said].float(), self.model.lm_head.weight)
        wanted = labels[said]
        return functional.cross_entropy(logits, wanted), float((logits.argmax(-1) == wanted).float().mean())

    def _draw(self, lesson: int) -> list[list[tuple[str, bool]]]:
        if lesson < 0:
            return [self.lessons.sender_lesson(self.rng) for _ in range(self.config.batch_size)]
        return self.lessons.receiver_batch(CURRICULUM[lesson], self.config.batch_size, self.rng)

    def _tokens(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def save_model(self, folder: Path) -> None:
        """Write a `from_pretrained` folder."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def save(self) -> None:
        """Write what is needed to resume."""
        notes = asdict(self.progression) | {
            "accuracies": list(self.progression.accuracies),
            "rng": self.rng.bit_generator.state,
        }
        save_state(self._state, self.model, self.optimizer, notes)

    def resume(self) -> None:
        """Continue from the checkpoint in the run folder."""
        notes = load_state(self._state, self.model, self.optimizer)
        self.rng.bit_generator.state = notes.pop("rng")
        self.progression = Progression(**notes | {"accuracies": deque(notes["accuracies"])})


def run(config: PretrainConfig) -> int:
    """Pretrain, with progress and a metrics file."""
    torch.set_num_threads(config.threads)
    training = Pretraining(config, objects_world())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        (config.folder / "metrics.jsonl").open("a") as metrics,
        Progress(*columns, refresh_per_second=1) as progress,
    ):
        task = progress.add_task("pretraining", total=config.max_steps)
        for record in training.steps():
            text = f"stage {record['stage'] + 1} of {len(CURRICULUM)}  loss {record['loss']:.3f}"
            progress.update(task, completed=record["step"], description=text)
            if record["step"] % 20 == 0:
                metrics.write(json.dumps(record) + "\n")
                metrics.flush()
    return ExitCode.PASS


def main() -> int:
    """Entry point of `python -m studies.pretrain_pocket`."""
    return run(parse_arguments(PretrainConfig, sys.argv[1:], __doc__, "studies.pretrain_pocket"))


if __name__ == "__main__":
    exit_with(main)
