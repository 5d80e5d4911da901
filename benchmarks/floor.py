"""How near is a training step to the least that must be computed?

    python -m benchmarks.floor

The trainer's step against bare PyTorch that does only the arithmetic, and the whole loop, with its
episodes, log and progress, against the sum of its steps.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from benchmarks import bare_receiver
from benchmarks.parts import seconds_of
from benchmarks.playing_step import WordedSender, quantised_trainer, small_world
from benchmarks.random_models import random_lm
from benchmarks.record import Goal, Record, Table, keep
from benchmarks.timing import REPEATS, alternate, machine, ratio, spread
from benchmarks.training_loops import label_ids
from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.agents.packing import lay_out
from parley.agents.pair import ModelConfig, Pair, find_device
from parley.agents.receiver import Receiver
from parley.envs.batched import BatchedEnv
from parley.envs.world import objects_world
from parley.evaluation.playing.stopwatch import timed
from parley.training.config import TrainConfig
from parley.training.log import read_metrics
from parley.training.objectives.messages import Reconstruction
from parley.training.step import ContextBatch
from parley.training.trainer import Trainer

STEP_BOUND, LOOP_BOUND, ENVIRONMENT_BOUND = 1.15, 1.10, 0.03
LARGE = "qwen2.5-0.5b"


@dataclass(frozen=True, kw_only=True)
class FloorConfig:
    """What is compared.

    Args:
        contexts: of a step of the pocket's, each with 5 messages.
        large_contexts: of a step of the shape of Qwen2.5-0.5B; 0 leaves it out.
        loop_steps: of the whole loop, in which the receiver plays.
        repeats: alternating repeats, at least 5.
        threads: CPU threads.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
    """

    contexts: int = 32
    large_contexts: int = 4
    loop_steps: int = 20
    repeats: int = REPEATS
    threads: int = 1
    device: str = "cpu"


def measure(config: FloorConfig, console: Console) -> Record:
    """Everything, on one machine in one run."""
    device = find_device(config.device)
    torch.set_num_threads(config.threads)
    rows = []
    with TemporaryDirectory() as folder:
        trainer = _trainer("pocket", config.contexts, config.loop_steps, device, Path(folder))
        rows.append({"model": "pocket"} | _compare(trainer, config.repeats, console))
        loops = [_loop(trainer, config.loop_steps) for _ in range(config.repeats)]
    if config.large_contexts:
        with TemporaryDirectory() as folder:
            trainer = _trainer(LARGE, config.large_contexts, 1, device, Path(folder))
            rows.append({"model": LARGE} | _compare(trainer, config.repeats, console))
    shares = {name: statistics.median(loop[name] for loop in loops) for name in loops[0]}
    return Record(
        question="How near is a training step to the least that must be computed?",
        machine=machine(config.threads, device),
        settings={"repeats": config.repeats, "loop_steps": config.loop_steps, "seed": 0},
        tables=[_table(rows), _loop_table(shares)],
        goals=[
            *(
                Goal(f"{r['model']}: step over floor, contexts given", "<=", STEP_BOUND, r["given"])
                for r in rows
            ),
            *(
                Goal(f"{r['model']}: step over floor, reading included", "<=", STEP_BOUND, r["read"])
                for r in rows
            ),
            *(
                Goal(
                    f"{r['model']}: share of a step in the environment",
                    "<=",
                    ENVIRONMENT_BOUND,
                    r["environment"],
                )
                for r in rows
            ),
            Goal("pocket: whole loop over the sum of its steps", "<=", LOOP_BOUND, shares["loop over steps"]),
        ],
        points={"rows": rows, "loop": loops},
    )


def _trainer(name: str, contexts: int, steps: int, device: torch.device, folder: Path) -> Trainer:
    """The default recipe behind its alignment, already quantised."""
    world = objects_world() if name == "pocket" else small_world(values=3)
    if name == "pocket":
        pair = Pair.load(ModelConfig(device=str(device), threads=torch.get_num_threads()), world)
    else:
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        lm = random_lm(name, device=device, dtype=dtype)
        pair = Pair(WordedSender(lm, world), Receiver(lm), world)
    config = TrainConfig(
        steps=steps,
        alignment_steps=0,
        continuous_share=0,
        batch_size=contexts,
        validate_every=10**6,
        validation_episodes=20,
        folder=folder,
    )
    return quantised_trainer(pair, config, folder)


def _compare(trainer: Trainer, repeats: int, console: Console) -> dict[str, Any]:
    """The trainer's step and the floor in turns, on the same contexts."""
    contexts = trainer.sample_contexts()
    prompts = contexts.context.ids
    assert bool(contexts.context.mask.all()), "the floor reads contexts of one length"
    embedded = trainer.pair.receiver.embed_ids(prompts)
    places = torch.arange(prompts.shape[1], device=prompts.device).expand(len(prompts), -1)
    model = trainer.pair.receiver.lm.model
    environment = [(BatchedEnv, "reset"), (BatchedEnv, "step")]

    def step() -> None:
        trainer.env.reset(options={"episodes": contexts.episodes})
        trainer.play(contexts)

    with console.status(f"{trainer.pair.receiver.lm.name}: step and floor"):
        seconds = alternate(
            {
                "step": step,
                "floor": lambda: bare_step(trainer, contexts),
                "reading": lambda: trainer.pair.receiver.read_tokens(prompts.tolist(), 5),
                "bare reading": lambda: bare_receiver.read(model, embedded, places),
                "sampling": trainer.sample_contexts,
            },
            repeats=repeats,
            warmups=2,
            device=trainer.pair.device,
        )
    inside = []
    for _ in range(repeats):
        with seconds_of({"environment": environment}) as parts:
            _, second = timed(step, trainer.pair.device)
        inside.append(parts["environment"] / second)
    whole = [a + b for a, b in zip(seconds["step"], seconds["reading"], strict=True)]
    least = [a + b for a, b in zip(seconds["floor"], seconds["bare reading"], strict=True)]
    return {
        "rows": len(contexts.targets),
        "environment": statistics.median(inside),
        "given": ratio(seconds["step"], seconds["floor"]),
        "given_spread": spread(seconds["step"], seconds["floor"]),
        "read": ratio(whole, least),
        "read_spread": spread(whole, least),
    } | {name.replace(" ", "_") + "_seconds": statistics.median(each) for name, each in seconds.items()}


def bare_step(trainer: Trainer, contexts: ContextBatch) -> Tensor:
    """The same step in bare PyTorch: codec, receiver behind what it has read, losses, gradient, AdamW.

    Returns:
        The loss, which is the trainer's.
    """
    pair, context = trainer.pair, contexts.context
    receiver = pair.receiver
    utterance = pair.speak(trainer.channel, contexts.sender_views)
    tokens = trainer.targets.of(pair.world.index(contexts.sender_views))
    output = trainer.channel(utterance)
    vectors = output.receiver_input.vectors
    tail = receiver.embed_ids(torch.tensor(receiver.tail, device=pair.device).expand(len(vectors), -1))
    inputs = torch.cat([vectors.to(tail), tail], dim=1)
    row = lay_out(
        context.mask[:, None].expand(-1, len(inputs) // len(context.mask), -1),
        inputs,
        torch.ones_like(inputs[..., 0], dtype=torch.bool),
    )
    hidden = bare_receiver.answer_states(receiver.lm.model, context.layers, *row[:3])
    last = hidden.reshape(len(inputs), inputs.shape[1], -1)[:, -1]
    labels = receiver.lm.output_rows(label_ids(receiver, context.num_candidates))
    answer = functional.cross_entropy(functional.linear(last, labels).float(), contexts.targets)
    unit = functional.normalize(vectors.float(), dim=-1)
    cosines = unit @ functional.normalize(tokens.table.float(), dim=-1).T
    log_p = functional.log_softmax(cosines / Reconstruction.Config().temperature, dim=-1)
    said = -(tokens.shares * log_p).sum()
    loss: Tensor = answer + said / tokens.shares.sum() + sum(output.losses.values())
    trainer.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(trainer.trainable.parameters(), trainer.config.max_grad_norm)
    trainer.optimizer.step()
    return loss.detach()


def _loop(trainer: Trainer, steps: int) -> dict[str, float]:
    """The trainer's own loop, timed from outside, beside the seconds of its steps."""
    trainer.step_number, before = 0, trainer.seconds
    _, loop = timed(trainer.run, trainer.pair.device)
    assert read_metrics(trainer.folder)[-1]["step"] == steps
    inside = trainer.seconds - before
    _, validation = timed(trainer.validate, trainer.pair.device)
    _, saving = timed(trainer.save, trainer.pair.device)
    return {
        "loop seconds": loop,
        "sum of its steps, seconds": inside,
        "one validation and two savings, seconds": validation + 2 * saving,
        "loop over steps": (loop - validation - 2 * saving) / inside,
        "loop over steps, with the validation": loop / inside,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    return Table(
        "A training step against its floor",
        ("model", "contexts x messages", "step, ms", "floor, ms", "step / floor", "reading, ms",
         "bare reading, ms", "with reading", "environment"),
        [
            (r["model"], f"{r['rows'] // 5} x 5", r["step_seconds"] * 1e3, r["floor_seconds"] * 1e3,
             r["given"], r["reading_seconds"] * 1e3, r["bare_reading_seconds"] * 1e3, r["read"],
             f"{r['environment']:.1%}")
            for r in rows
        ],
    )  # fmt: skip


def _loop_table(shares: dict[str, float]) -> Table:
    return Table("The whole loop", ("part", "median"), list(shares.items()))


def main() -> int:
    """Entry point of `python -m benchmarks.floor`."""
    config = parse_arguments(FloorConfig, sys.argv[1:], __doc__, "benchmarks.floor")
    keep("floor", measure(config, Console()))
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
