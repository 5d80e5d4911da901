"""Pretrain the pocket, the embedded default model, from scratch on text alone.

Run as `python -m studies.pretrain_pocket --folder runs/pocket`; the same command continues
a run that was cut. The pocket never sees a soft prefix, nor a test referent.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor
from torch.nn import functional

from parley.agents.command_line import ExitCode, RunError, defining, exit_with, parse_arguments
from parley.agents.fingerprint import FINGERPRINT_FILE
from parley.agents.folder_lock import locked
from parley.agents.language_model import FrozenLM
from parley.agents.marked_file import cut_back, mark_of
from parley.channels.files import atomic_write
from parley.envs.world import World, objects_world
from parley.training.config import check_same_run
from parley.training.log import METRICS_FILE, STATE_FILE, MetricsLog
from parley.training.run import CONFIG_FILE
from parley.training.state import load_state, save_state
from parley.training.stopping import StopSignals
from studies.pocket_lessons import CURRICULUM, IGNORED, Lessons, corpus, encode_lessons
from studies.pocket_model import build_model, hidden_states, train_tokenizer
from studies.pocket_progression import PretrainConfig, Progression

LOG_EVERY = 20
_TRACES = (STATE_FILE, METRICS_FILE, "pocket", "milestones")


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
        self._state = config.folder / STATE_FILE
        if self._holds_run():
            self.resume()
        else:
            self.save()

    def _holds_run(self) -> bool:
        """Whether the folder holds a state to resume; if not, it says from now on what it is of.

        Raises:
            RunError: if what it holds cannot be continued.
            ValueError: if its run has other settings.
        """
        asked, path = json.loads(json.dumps(defining(self.config))), self.config.folder / CONFIG_FILE
        if path.exists():
            check_same_run(path, asked)
        elif traces := [name for name in _TRACES if (self.config.folder / name).exists()]:
            raise RunError(
                f"{self.config.folder} holds {', '.join(traces)} but no {CONFIG_FILE}, so it cannot be "
                f"continued; name another --folder"
            )
        else:
            atomic_write(path, (json.dumps(asked, indent=2) + "\n").encode())
        return self._state.exists()

    def steps(self) -> Iterator[dict[str, float]]:
        """Train to the end; yields what each step recorded, and keeps checkpoints as it goes.

        Raises:
            RunError: if it diverges; the last state stays.
        """
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
        self._check_finite("the loss", loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.max_grad_norm)
        self._check_finite("the gradient's norm", norm)
        self.optimizer.step()
        self._check_finite("the weights' norm", torch.nn.utils.get_total_norm(list(self.model.parameters())))
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

    def _check_finite(self, what: str, value: Tensor) -> None:
        if not torch.isfinite(value):
            raise RunError(
                f"{what} is {value.item()} at step {self.progression.step}; {self._state} stays as it was"
            )

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
        """Write a `from_pretrained` folder that says its fingerprint, all of it or nothing."""
        unfinished = folder.with_name(f".{folder.name}.unfinished")
        for stale in (unfinished, folder):
            shutil.rmtree(stale, ignore_errors=True)
        self.model.save_pretrained(unfinished)
        self.tokenizer.save_pretrained(unfinished)
        os.umask(mask := os.umask(0))
        for path in unfinished.iterdir():
            path.chmod(0o666 & ~mask)  # safetensors leaves 0600
        fingerprint = FrozenLM(str(unfinished)).fingerprint
        atomic_write(unfinished / FINGERPRINT_FILE, f"{fingerprint}\n".encode())
        unfinished.rename(folder)

    def save(self) -> None:
        """Write what is needed to resume."""
        notes = asdict(self.progression) | {
            "accuracies": list(self.progression.accuracies),
            "rng": self.rng.bit_generator.state,
            "log": mark_of(self.config.folder / METRICS_FILE),
        }
        save_state(self._state, self.model, self.optimizer, notes)

    def resume(self) -> None:
        """Continue from the checkpoint in the run folder; what was logged after it is forgotten."""
        notes = load_state(self._state, self.model, self.optimizer)
        mark = notes.pop("log")
        if (self.config.folder / METRICS_FILE).exists():
            cut_back(self.config.folder / METRICS_FILE, mark)
        self.rng.bit_generator.state = notes.pop("rng")
        self.progression = Progression(**notes | {"accuracies": deque(notes["accuracies"])})


def run(config: PretrainConfig) -> int:
    """Pretrain, with progress and a metrics file.

    Raises:
        RunError: if it was asked to stop, or diverged; or if another run is at work in the folder.
    """
    torch.set_num_threads(config.threads)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with locked(config.folder):
        training = Pretraining(config, objects_world())
        with (
            MetricsLog(config.folder) as log,
            Progress(*columns, refresh_per_second=1) as progress,
            StopSignals() as stop,
        ):
            task = progress.add_task("pretraining", total=config.max_steps)
            for record in training.steps():
                text = f"stage {record['stage'] + 1} of {len(CURRICULUM)}  loss {record['loss']:.3f}"
                progress.update(task, completed=record["step"], description=text)
                if record["step"] % LOG_EVERY == 0:
                    log.write(record)
                if stop.asked:
                    training.save()
                    raise RunError(f"interrupted at step {record['step']}; the same command resumes")
    return ExitCode.PASS


def main() -> int:
    """Entry point of `python -m studies.pretrain_pocket`."""
    return run(parse_arguments(PretrainConfig, sys.argv[1:], __doc__, "studies.pretrain_pocket"))


if __name__ == "__main__":
    exit_with(main)
