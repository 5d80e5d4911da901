"""The training loop: steps, validations, and what is kept of them so that nothing is lost."""

from __future__ import annotations

import math
from pathlib import Path
from time import monotonic
from typing import Any

from parley.agents.command_line import RunError
from parley.agents.marked_file import cut_back, mark_of
from parley.agents.pair import Pair
from parley.channels.base import Channel
from parley.channels.checkpoint import save_channel
from parley.channels.tensor_file import NotFiniteError, is_finite
from parley.training.config import TrainConfig
from parley.training.learner import Learner
from parley.training.log import METRICS_FILE, STATE_FILE, MetricsLog
from parley.training.progress import TrainingProgress
from parley.training.state import load_state, save_state
from parley.training.stopping import StopSignals
from parley.training.validation import Validation

CHECKPOINT_FILE = "channel.safetensors"
LOG_EVERY = 10


class Trainer(Learner):
    """Trains one channel between one frozen pair, and keeps what comes of it.

    Args:
        channel: the codec; the only thing that changes.
        pair: sender and receiver.
        config: how.
        folder: where `metrics.jsonl`, `channel.safetensors` (the best on validation) and
            `state.safetensors` (to resume) are written.

    Raises:
        ValueError: if the channel cannot go through this training, or an objective does not suit it.
    """

    def __init__(self, channel: Channel, pair: Pair, config: TrainConfig, folder: Path) -> None:
        super().__init__(channel, pair, config)
        self.folder = folder
        validated = config.find_game(pair.world, "validation")
        self.validation = Validation(pair, channel, validated, config.validation_episodes)
        self.best, self.seconds = -1.0, 0.0
        self._saved_step = 0

    def run(self) -> None:
        """Train to the last step, from where a resumed state left off.

        Raises:
            RunError: if it was asked to stop, or diverged; what was saved last stays.
            OSError: if the run folder cannot be written.
        """
        self.save()  # so that a run with anything to lose has a state
        with (
            MetricsLog(self.folder) as log,
            TrainingProgress(self.config.steps, self.step_number) as progress,
            StopSignals() as stop,
        ):
            while self.step_number < self.config.steps:
                if stop.asked:
                    self.save()
                    raise self.interrupted()
                progress.update(self._logged_step(log))

    def interrupted(self) -> RunError:
        """What to say of a run that was asked to stop."""
        return RunError(
            f"interrupted; what was learned in {self._saved_step} steps is kept in {self.folder}: add "
            f"--resume to the same command to go on"
        )

    def _logged_step(self, log: MetricsLog) -> dict[str, Any]:
        """A step, and what is due after it: validation, log and state."""
        began = monotonic()
        try:
            record = self.step()
            self.seconds += monotonic() - began
            validated = self._due(self.config.validate_every)
            if validated:
                record |= self.validate()
            if self._due(LOG_EVERY) or validated:
                log.write(record | {"seconds": round(self.seconds, 2)})
            if validated:
                self.save()  # after what it was logged with
        except (RunError, OSError):
            raise
        except NotFiniteError as error:
            raise self._diverged(str(error)) from error
        except Exception as error:
            if is_finite(self.trainable):
                raise
            raise self._diverged(f"some weights are not finite ({error})") from error
        return record

    def _diverged(self, what: str) -> RunError:
        kept = (self.folder / CHECKPOINT_FILE).exists()
        there = f"{self.folder} keeps the last good checkpoint" if kept else "there is no checkpoint yet"
        return RunError(
            f"{what} at step {self.step_number + 1}; the training diverged and was stopped, and {there}; a "
            f"lower --learning-rate may help"
        )

    def _due(self, every: int) -> bool:
        return self.step_number % every == 0 or self.step_number == self.config.steps

    def validate(self) -> dict[str, Any]:
        """Success on the validation episodes in eval mode; the latest of the best is kept.

        Raises:
            NotFiniteError: if a likelihood or a weight is not finite.
        """
        self.channel.eval()
        record = self.validation.play()
        numbers: dict[str, Any] = {**record}
        for name, value in numbers.items():
            # how prefixes are spread is undefined where all are one
            if not math.isfinite(value) and not name.startswith("prefix_"):
                raise NotFiniteError(f"{name} is {value}")
        success = record["validation_success"]
        if success >= self.best and self.channel.ready:
            self.best = success
            notes = {
                "game": self.config.game,
                "world": self.pair.world.name,
                "seed": self.config.seed,
                "step": self.step_number,
                "validation_success": success,
            }
            save_channel(self.folder / CHECKPOINT_FILE, self.channel, self.pair.fingerprints, notes)
        self.channel.train()
        return {**record}

    def save(self) -> None:
        """Write what is needed to resume; only between two steps."""
        notes = {
            "step": self.step_number,
            "best": self.best,
            "seconds": self.seconds,
            "rng": self.rng.bit_generator.state,
            "log": mark_of(self.folder / METRICS_FILE),
        }
        save_state(self.folder / STATE_FILE, self.trainable, self.optimizer, notes)
        self._saved_step = self.step_number

    def resume(self) -> None:
        """Continue from the run folder's state; what was logged after it is forgotten.

        Raises:
            StateError: if it cannot be used.
            RunError: if the log is not what it was.
        """
        notes = load_state(self.folder / STATE_FILE, self.trainable, self.optimizer)
        if (self.folder / METRICS_FILE).exists():  # a user who removes it goes on without what it told
            cut_back(self.folder / METRICS_FILE, notes["log"])
        self.step_number, self.best, self.seconds = notes["step"], notes["best"], notes["seconds"]
        self.rng.bit_generator.state = notes["rng"]
        self._saved_step = self.step_number
