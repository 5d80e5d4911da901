"""How the pocket is pretrained, and where a pretraining stands."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from parley.agents.command_line import ASIDE
from parley.channels.base import check_range
from parley.training.config import LARGEST_STEP
from studies.pocket_lessons import CURRICULUM
from studies.pocket_model import PocketConfig

_MAY_BE_0 = frozenset({"seed", "warmup_steps"})


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

    folder: Path = field(default=Path("runs/pocket"), metadata=ASIDE)
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
    checkpoint_every: int = field(default=100, metadata=ASIDE)
    threads: int = field(default=1, metadata=ASIDE)
    model: PocketConfig = field(default_factory=PocketConfig)

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.type == "int":
                check_range(each.name, getattr(self, each.name), 0 if each.name in _MAY_BE_0 else 1)
        for name in ("learning_rate", "weight_decay"):
            check_range(name, getattr(self, name), 0, LARGEST_STEP)
        check_range("max_grad_norm", self.max_grad_norm, 1e-9)
        for name in ("mastery", "review", "sender_share"):
            check_range(name, getattr(self, name), 0, 1)


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
