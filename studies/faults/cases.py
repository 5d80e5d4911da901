"""The two runs that are cut, and what makes a run that resumed the same as one that was never cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from parley.agents.marked_file import Mark
from parley.channels.tensor_file import read_tensors
from parley.envs.world import objects_world
from parley.evaluation.playing.marked_records import marks_file
from parley.evaluation.playing.run_folder import EPISODES_FILE
from parley.evaluation.records import read_records
from parley.evaluation.records.beside import RESULTS_FILE
from parley.training.log import METRICS_FILE, STATE_FILE, read_metrics
from parley.training.state import read_notes
from parley.training.trainer import CHECKPOINT_FILE
from studies.faults.processes import Ended, run

WORLD_FILE = "few.jsonl"
NUM_REFERENTS = 60
TRAIN = (
    "train", "--channel", "latent_vq", "--steps", "12", "--alignment-steps", "4", "--alignment-batch", "8",
    "--batch-size", "2", "--messages-per-context", "2", "--validate-every", "4", "--validation-episodes", "4",
    "--codec-width", "16", "--codebook-size", "8", "--device", "cpu", "--world", WORLD_FILE,
)  # fmt: skip
GATE = (
    "gate1", "--channels", "latent_vq", "--episodes", "8", "--episodes-at-once", "4", "--seed", "0",
    "--device", "cpu", "--world", WORLD_FILE, "--checkpoint", "whole-train",
)  # fmt: skip


def write_world(folder: Path) -> None:
    """A world of a few objects, so that their sender has soon read them all."""
    world = objects_world()
    step = max(1, world.size // NUM_REFERENTS)
    every = sorted(tuple(row) for split in ("train", "validation", "test") for row in world.referents(split))
    names = [attribute.name for attribute in world.attributes]
    lines = [
        json.dumps(
            {"attributes": {n: a.values[i] for n, a, i in zip(names, world.attributes, row, strict=True)}}
        )
        for row in every[::step]
    ]
    (folder / WORLD_FILE).write_text("".join(f"{line}\n" for line in lines))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command whose runs are cut.

    Args:
        name: of the folder, and in the table.
        arguments: without folder.
        kept: what must outlast a cut, bit for bit, of the files as they were then.
        outcome: all that an uncut run comes to, without what it took in time.
    """

    name: str
    arguments: tuple[str, ...]
    kept: Callable[[Path], bytes]
    outcome: Callable[[Path], Any]

    def run(self, root: Path, folder: str, *flags: str, **cut: Any) -> Ended:
        """Run it in a folder of its own."""
        return run([*self.arguments, "--folder", folder, *flags], root, **cut)


def training_kept(folder: Path) -> bytes:
    """The log up to the saved state, seconds and all: steps that were taken again would take others."""
    if not (folder / STATE_FILE).exists():
        return b""
    mark: Mark = read_notes(folder / STATE_FILE)["log"]
    return (folder / METRICS_FILE).read_bytes()[: mark["bytes"]] if mark["bytes"] else b""


def training_outcome(folder: Path) -> Any:
    """Checkpoint, state and log."""
    content: list[Any] = [[replace_time(line) for line in read_metrics(folder)]]
    for name in (CHECKPOINT_FILE, STATE_FILE):
        tensors, header = read_tensors(folder / name)
        notes = header.get("notes", {})
        header["notes"] = {key: value for key, value in notes.items() if key not in ("seconds", "log")}
        bits = {key: tensor.reshape(-1).view(torch.uint8).tolist() for key, tensor in tensors.items()}
        content += [header, bits]
    return content


def gate_kept(folder: Path) -> bytes:
    """The episodes up to their last mark, seconds and all."""
    marks = marks_file(folder / EPISODES_FILE)
    whole = marks.read_bytes().split(b"\n")[:-1] if marks.exists() else []
    return (folder / EPISODES_FILE).read_bytes()[: json.loads(whole[-1])["bytes"]] if whole else b""


def gate_outcome(folder: Path) -> Any:
    """Episodes and results, but for how they were asked for and what they took."""
    records = [replace(record, seconds=None) for record in read_records(folder / EPISODES_FILE)]
    results = json.loads((folder / RESULTS_FILE).read_text())
    del results["provenance"]
    return records, untimed(results)


def replace_time(line: dict[str, Any]) -> dict[str, Any]:
    """A line of the log without its seconds."""
    return {**line, "seconds": None}


def untimed(part: Any) -> Any:
    """JSON without whatever is told of seconds."""
    if isinstance(part, dict):
        return {name: untimed(value) for name, value in part.items() if "seconds" not in name}
    return [untimed(value) for value in part if not _of_seconds(value)] if isinstance(part, list) else part


def _of_seconds(value: Any) -> bool:
    return isinstance(value, dict) and "seconds" in str(value.get("name"))


TRAINING = Case(name="train", arguments=TRAIN, kept=training_kept, outcome=training_outcome)
EVALUATION = Case(name="gate1", arguments=GATE, kept=gate_kept, outcome=gate_outcome)
