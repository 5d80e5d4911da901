"""What one shape costs: a random pair of it trains the default recipe for some steps, and plays."""

from __future__ import annotations

import platform
import resource
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from parley.agents.pair import Pair, find_device
from parley.agents.prompts import SLOT, cut_at_slot
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.agents.shapes import random_lm
from parley.channels.base import check_range
from parley.channels.latent import VectorQuantizedChannel, VectorQuantizedConfig
from parley.envs.world import Referents, World, objects_world
from parley.evaluation.contestants import enter
from parley.evaluation.play import Contestant, PlayConfig, play
from parley.evaluation.results import build_results
from parley.evaluation.stopwatch import timed
from parley.training.config import TrainConfig
from parley.training.trainer import Trainer

REFERENCES = ("silence", "text")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measurement.

    Args:
        shape: name of a shape.
        batch: contexts a training step.
        messages: of a context's candidates that take their turn as the target, 1 to 5.
        steps: training steps in which the receiver plays, at least 2; the first is not timed.
        episodes: of the validation and of the evaluation.
        values: that each attribute of the world keeps, at least 3; 0 keeps all.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads.
    """

    shape: str
    batch: int
    messages: int
    steps: int
    episodes: int
    values: int
    device: str
    threads: int

    def __post_init__(self) -> None:
        check_range("steps", self.steps, 2)
        if self.values:
            check_range("values", self.values, 3)

    @property
    def world(self) -> World:
        """The default world, with fewer values where that is asked."""
        whole = objects_world()
        if not self.values:
            return whole
        kept = tuple(replace(a, values=a.values[: self.values]) for a in whole.attributes)
        return replace(whole, attributes=kept)

    def run(self) -> dict[str, Any]:
        """Measure, as JSON; a cell that does not fit into the device's memory says so."""
        torch.set_num_threads(self.threads)
        try:
            return asdict(self) | _measure(self) | {"out_of_memory": False}
        except torch.OutOfMemoryError:
            return asdict(self) | {"device_name": _name(find_device(self.device)), "out_of_memory": True}


class PromptedSender(Sender):
    """Takes its time to describe a referent, and is then given the words: random weights find none."""

    def _describe(self, referents: list[Referents]) -> list[str]:
        super()._describe(referents)
        return [self.world.describe(referent) for referent in referents]


def _measure(cell: Cell) -> dict[str, Any]:
    device = find_device(cell.device)
    on_cuda = device.type == "cuda"
    lm = random_lm(cell.shape, device=device, dtype=torch.bfloat16 if on_cuda else torch.float32)
    pair = Pair(PromptedSender(lm, cell.world), Receiver(lm), cell.world)
    with TemporaryDirectory() as folder, _peak_memory(device) as training_peak:
        trainer, listening = timed(lambda: _trainer(cell, pair, Path(folder)), device)
        steps = [timed(trainer.step, device) for _ in range(1 + cell.steps)]
        _, validating = timed(trainer.validate, device)
    with _peak_memory(device) as playing_peak:
        verdict, seconds = _play(cell, pair, trainer.channel)
    losses = [record["loss"] for record, _ in steps]
    return {
        "device_name": _name(device),
        "precision": str(lm.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "parameters": sum(weight.numel() for weight in lm.model.parameters()),
        "weights_bytes": sum(weight.numel() * weight.element_size() for weight in lm.model.parameters()),
        "training_peak_bytes": training_peak(),
        "playing_peak_bytes": playing_peak(),
        "referents": len(cell.world.referents("train")),
        "tokens": _tokens(cell, pair),
        "seconds": {
            "sender": round(listening, 3),
            "alignment_step": round(steps[0][1], 4),
            # the first step in which the receiver plays also makes what later ones find made
            "step": round(statistics.median(second for _, second in steps[2:]), 4),
            "validation_episode": round(validating / cell.episodes, 5),
            "episode": {name: round(second, 5) for name, second in seconds.items()},
        },
        "losses": [round(loss, 4) for loss in losses],
        "verdict": verdict,
    }


def _trainer(cell: Cell, pair: Pair, folder: Path) -> Trainer:
    """The default recipe, cut short: one step of alignment, then the receiver plays."""
    config = TrainConfig(
        steps=1 + cell.steps,
        alignment_steps=1,
        batch_size=cell.batch,
        messages_per_context=cell.messages,
        validation_episodes=cell.episodes,
        folder=folder,
    )
    # no more codes than there are messages to begin them from
    codes = min(VectorQuantizedConfig().codebook_size, len(pair.world.referents("train")))
    torch.manual_seed(0)
    return Trainer(
        VectorQuantizedChannel(VectorQuantizedConfig(codebook_size=codes), pair.ends), pair, config, folder
    )


def _play(cell: Cell, pair: Pair, channel: Any) -> tuple[str, dict[str, float]]:
    """Gate 1's conditions; the verdict, and the mean seconds of an episode under normal by channel."""
    contestants = {name: enter(name, pair, None) for name in REFERENCES}
    contestants[channel.name] = Contestant(channel.eval(), True)
    config = PlayConfig(episodes=cell.episodes)
    records = [record for batch in play(pair, contestants, config) for record in batch]
    seconds: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.condition == "normal" and record.seconds is not None:
            seconds[record.channel].append(record.seconds)
    results = build_results(records, {"episodes": cell.episodes, "num_candidates": config.num_candidates})
    return results["verdict"], {name: statistics.fmean(each) for name, each in seconds.items()}


def _tokens(cell: Cell, pair: Pair) -> dict[str, int]:
    """How long the receiver's prompt is, up to the slot and after it."""
    candidates = pair.world.referents("train")[None, : TrainConfig().num_candidates]
    tail = pair.receiver.lm.encode(cut_at_slot(pair.receiver.lm.render(SLOT)).after)
    return {
        "before_slot": pair.read(list(candidates), cached=False).ids.shape[1],
        "slot": VectorQuantizedConfig().k,
        "after_slot": len(tail),
        "rows": cell.batch * cell.messages,
    }


@contextmanager
def _peak_memory(device: torch.device) -> Iterator[Callable[[], int]]:
    """Bytes at the highest point of a block: of the device's own memory, or of the whole process so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    peak = 0
    yield lambda: peak
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()})"
