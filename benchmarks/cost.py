"""Does a step cost what the arithmetic says, and how much of the machine does it use?

    python -m benchmarks.cost --shape pocket qwen2.5-0.5b --batch 8
    python -m benchmarks.cost --shape qwen2.5-0.5b qwen2.5-1.5b qwen2.5-3b --batch 8 32 128 --device cuda

What `python -m training.run --estimate` says of a step, beside what is counted and measured. The peak
is that of a large matrix product in the same run and precision.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console

from benchmarks.playing_step import WordedSender, bytes_of_a_step, quantised_trainer, small_world
from benchmarks.random_models import random_lm
from benchmarks.record import FOLDER, Goal, Record, Table, keep
from benchmarks.timing import REPEATS, alternate, machine, ratio
from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.agents.flop_counter import flop_counter
from parley.agents.language_model import POCKET, FrozenLM
from parley.agents.pair import Pair, find_device
from parley.agents.receiver import Receiver
from parley.agents.shapes import SHAPES
from parley.channels.base import check_range
from parley.training.config import TrainConfig
from parley.training.costs.estimate import memory, step_parts
from parley.training.costs.setting import Setting, read_setting
from parley.training.trainer import Trainer

TOLERANCE, UTILISATION = 0.2, 0.4
GIB, MIB = 1 << 30, 1 << 20
KEPT = "kept for the backward pass"
BY_LETTERS: dict[str, Any] = {"readout": "label", "calibration": "none", "shots": 0}


@dataclass(frozen=True, kw_only=True)
class CostConfig:
    """What is measured.

    Args:
        shape: names of shapes; `pocket` is the embedded model.
        batch: contexts a step; every shape is measured with each.
        messages: a context.
        bfloat16: also on the CPU, where float32 is the default.
        repeats: of every step and of the matrix product, in turns, at least 5.
        threads: CPU threads.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        docs: where the record goes.
    """

    shape: tuple[str, ...] = (POCKET, "qwen2.5-0.5b")
    batch: tuple[int, ...] = (8,)
    messages: int = 5
    bfloat16: bool = False
    repeats: int = REPEATS
    threads: int = 1
    device: str = "cpu"
    docs: Path = FOLDER

    def __post_init__(self) -> None:
        check_range("repeats", self.repeats, 5)
        check_range("threads", self.threads, 1, 1024)
        check_range("messages", self.messages, 1, 5)
        for size in self.batch:
            check_range("batch", size, 2)


def measure(config: CostConfig, console: Console) -> Record:
    """Every shape with every batch, on one machine in one run."""
    device = find_device(config.device)
    torch.set_num_threads(config.threads)
    narrow = config.bfloat16 or device.type == "cuda"
    rows = []
    for shape in config.shape:
        dtype = torch.bfloat16 if narrow and shape != POCKET else torch.float32
        for batch in config.batch:
            with TemporaryDirectory() as folder:
                trainer = _trainer(shape, batch, config.messages, device, dtype, Path(folder))
                rows.append({"shape": shape, "batch": batch} | _compare(trainer, shape, config))
            console.print({name: _short(value) for name, value in rows[-1].items()}, soft_wrap=True)
            del trainer
    return Record(
        question="Does a step cost what the arithmetic says, and how much of the machine does it use?",
        machine=machine(config.threads, device),
        settings={"repeats": config.repeats, "messages": config.messages, "seed": 0},
        tables=[_table(rows)],
        goals=list(_goals(rows, device)),
        points={"rows": rows},
    )


def _trainer(
    name: str, batch: int, messages: int, device: torch.device, dtype: torch.dtype, folder: Path
) -> Trainer:
    """The default recipe behind its alignment, already quantised, about few referents."""
    lm = FrozenLM(device=device) if name == POCKET else random_lm(name, device=device, dtype=dtype)
    world = small_world(values=3)
    pair = Pair(WordedSender(lm, world), Receiver(lm), world)
    return quantised_trainer(pair, _training(name, batch, messages), folder)


def _training(name: str, batch: int, messages: int) -> TrainConfig:
    config = TrainConfig(
        steps=10**6,
        alignment_steps=0,
        continuous_share=0,
        batch_size=batch,
        messages_per_context=messages,
        validation_episodes=2,
    )
    return replace(config, models=replace(config.models, model=name, **BY_LETTERS))


def _setting(trainer: Trainer, shape: str) -> Setting:
    """What the estimate is made of: the models' configuration, and the world that is played here."""
    config = _training(shape, trainer.config.batch_size, trainer.config.messages_per_context)
    lm = trainer.pair.receiver.lm
    bytes_each = torch.finfo(lm.dtype).bits // 8
    setting = read_setting("latent_vq", trainer.channel.config, config, number_bytes=bytes_each)
    return replace(setting, referents=len(trainer.pair.world.referents("train")))


def _compare(trainer: Trainer, shape: str, config: CostConfig) -> dict[str, Any]:
    setting, device = _setting(trainer, shape), trainer.pair.device
    lm = trainer.pair.receiver.lm
    size = 8192 if device.type == "cuda" else 2048
    square = torch.randn(size, size, device=device).to(lm.dtype)
    seconds = alternate(
        {"step": trainer.step, "product": lambda: square @ square},
        repeats=config.repeats,
        warmups=2,
        device=device,
    )
    said = sum(work.flops for work in step_parts(setting).values())
    with flop_counter() as counter:
        trainer.step()
    counted = counter.get_total_flops()
    rate = 2 * size**3 / statistics.median(seconds["product"])
    step = statistics.median(seconds["step"])
    messages = trainer.config.batch_size * trainer.config.messages_per_context
    kept, kept_said = bytes_of_a_step(trainer), memory(setting)[KEPT] + messages * setting.codec.saved
    return {
        "precision": str(lm.dtype).removeprefix("torch."),
        "said_flops": said,
        "counted_flops": counted,
        "said_kept": kept_said,
        "counted_kept": kept,
        "product_flops_per_second": rate,
        "said_seconds": said / rate,
        "seconds": step,
        "utilisation": counted / (2 * size**3) * ratio(seconds["product"], seconds["step"]),
    } | dict(_peak(trainer, setting, device))


def _peak(trainer: Trainer, setting: Setting, device: torch.device) -> Iterator[tuple[str, float | None]]:
    """The whole memory of a step, which only a card of its own tells."""
    yield "said_peak", sum(memory(setting).values())
    if device.type != "cuda":
        yield "peak", None
        return
    torch.cuda.reset_peak_memory_stats(device)
    trainer.step()
    yield "peak", torch.cuda.max_memory_allocated(device)


def _table(rows: list[dict[str, Any]]) -> Table:
    return Table(
        "On paper and in fact",
        ("shape", "precision", "contexts", "GFLOP said", "GFLOP counted", "MiB kept, said", "MiB kept",
         "GiB said", "GiB", "matrix product, GFLOP/s", "s at that rate", "s measured", "utilisation"),
        [
            (r["shape"], r["precision"], r["batch"], r["said_flops"] / 1e9, r["counted_flops"] / 1e9,
             r["said_kept"] / MIB, r["counted_kept"] / MIB, r["said_peak"] / GIB,
             None if r["peak"] is None else r["peak"] / GIB, r["product_flops_per_second"] / 1e9,
             r["said_seconds"], r["seconds"], f"{r['utilisation']:.0%}")
            for r in rows
        ],
    )  # fmt: skip


def _goals(rows: list[dict[str, Any]], device: torch.device) -> Iterator[Goal]:
    for row in rows:
        name = f"{row['shape']}, {row['precision']}, {row['batch']} contexts"
        off = abs(row["said_flops"] / row["counted_flops"] - 1)
        yield Goal(f"{name}: estimate of operations off by", "<=", TOLERANCE, off)
        off = abs(row["said_kept"] / row["counted_kept"] - 1)
        yield Goal(f"{name}: estimate of what is kept off by", "<=", TOLERANCE, off)
        if row["peak"] is not None:
            yield Goal(
                f"{name}: estimate of memory off by", "<=", TOLERANCE, abs(row["said_peak"] / row["peak"] - 1)
            )
    large = [row["utilisation"] for row in rows if row["shape"] == "qwen2.5-3b"]
    on_card = max(large) if large and device.type == "cuda" else None
    yield Goal("qwen2.5-3b on a card, bfloat16: utilisation", ">=", UTILISATION, on_card)


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def main() -> int:
    """Entry point of `python -m benchmarks.cost`."""
    config = parse_arguments(CostConfig, sys.argv[1:], __doc__, "benchmarks.cost")
    for shape in config.shape:
        if shape != POCKET and shape not in SHAPES:
            raise ValueError(f"shape must be pocket or one of {', '.join(SHAPES)}, got {shape!r}")
    keep("cost", measure(config, Console()), config.docs)
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
