"""What is compared computes the same: the floor as the trainer's step, the loops as each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import bare_receiver
from benchmarks.floor import bare_step
from benchmarks.operations import count_operations
from benchmarks.playing_step import Models, StepSize, trainer_of
from benchmarks.record import Goal, Record, Table
from benchmarks.report import markdown, markdown_goals, write_page
from benchmarks.training_loops import Sample, batched_step, make_task, one_by_one_step, parley_step
from parley.agents.language_model import FrozenLM
from parley.agents.packing import lay_out
from parley.agents.pair import Pair
from parley.agents.receiver import Receiver
from parley.channels.base import SoftPrompt

ROWS = [["tiny red metal cube", "large blue ball"], ["tiny red metal cone", "large blue disc"]]


@pytest.mark.parametrize("folder", ["qwen2_gqa_folder", "qwen3_folder"])
def test_the_bare_receiver_is_the_receiver(folder: str, request: pytest.FixtureRequest) -> None:
    receiver = Receiver(FrozenLM(str(request.getfixturevalue(folder))))
    lm = receiver.lm
    ids = torch.tensor([[5, 9, 7, 11], [6, 8, 4, 10]])
    context = receiver.read_tokens(ids.tolist(), 2)
    layers = bare_receiver.read(lm.model, lm.embed(ids), torch.arange(4).expand(2, -1))
    for ours, theirs in zip(layers, context.layers, strict=True):
        for bare, real in zip(ours, theirs, strict=True):
            torch.testing.assert_close(bare, real, rtol=1e-4, atol=1e-5)
    vectors = torch.randn(6, 3, lm.width)
    tail = lm.embed(torch.tensor(receiver.tail).expand(6, -1))
    inputs = torch.cat([vectors, tail], dim=1)
    read = context.mask[:, None].expand(-1, 3, -1)
    row = lay_out(read, inputs, torch.ones(inputs.shape[:2], dtype=torch.bool))
    hidden = bare_receiver.answer_states(lm.model, layers, *row[:3]).reshape(6, inputs.shape[1], -1)[:, -1]
    torch.testing.assert_close(
        hidden, receiver.answer_states(context, SoftPrompt(vectors)), rtol=1e-4, atol=1e-5
    )


def test_the_floor_has_the_loss_of_the_trainers_step(tmp_path: Path) -> None:
    trainer = trainer_of(StepSize(batch=2, candidates=3, messages=3, width=32, layers=2), Models(), tmp_path)
    contexts = trainer.sample_contexts()
    trainer.channel.eval()  # no codebook moves between the two
    trainer.optimizer.param_groups[0]["lr"] = 0.0
    bare = bare_step(trainer, contexts)
    found = trainer.play(contexts)
    assert float(bare) == pytest.approx(found["loss"], rel=1e-4)


def test_each_message_is_run_and_learned_from_in_both_loops(pocket_pair: Pair) -> None:
    task = make_task(pocket_pair.receiver.lm, contexts=2, tokens=12, further=2)
    assert task.per_context == 3
    for step in (parley_step, batched_step):
        assert torch.isfinite(step(task))
        assert all(weight.grad is not None for weight in task.channel.decoder.parameters())
    right_alone = make_task(pocket_pair.receiver.lm, contexts=2, tokens=12, further=0)
    assert parley_step(right_alone) > 0


def test_samples_are_learned_from_one_by_one(pocket_pair: Pair) -> None:
    task = make_task(pocket_pair.receiver.lm, contexts=2, tokens=12, further=0)
    sample = Sample(said=[5, 6, 7, 8], other_said=[5, 6, 9, 9], length=2, prompt=[4] * 12, target=1)
    loss = one_by_one_step(pocket_pair.receiver, task.channel, [sample, sample])
    assert loss == pytest.approx(one_by_one_step(pocket_pair.receiver, task.channel, [sample]), rel=1e-5)
    assert task.channel.decoder.project.weight.grad.abs().sum() > 0


def test_a_page_is_made_of_what_there_is(tmp_path: Path) -> None:
    machine = {"processor": "2 cores", "threads": 1, "python": "3", "torch": "2", "transformers": "5"}
    goals = [
        Goal("fast", "<=", 1.15, 1.03),
        Goal("faster", ">=", 30, 16.0),
        Goal("on a card", ">=", 0.4, None),
    ]
    record = Record(
        "How fast?", machine, {"repeats": 5}, [Table("Steps", ("step", "s"), [("one", 0.5)])], goals
    )
    (tmp_path / "floor.json").write_text(json.dumps(record.as_json("python -m benchmarks.floor")))
    write_page(tmp_path, tmp_path / "performance.md")
    page = (tmp_path / "performance.md").read_text()
    assert "`python -m benchmarks.floor` · 1 thread · 5 alternating repeats" in page
    assert "| fast | at most 1.15 | 1.03 | met |" in page
    assert "*Not measured yet: `python -m benchmarks.growth`.*" in page


def test_tables_and_goals_are_told_in_markdown() -> None:
    table = {"columns": ["step", "s"], "rows": [["one", 0.5], ["two", None]]}
    assert markdown(table) == "| step | s |\n| --- | --: |\n| one | 0.5 |\n| two | – |"
    told = markdown_goals([{"what": "x", "sense": ">=", "bound": 30, "measured": 16.04, "met": False}])
    assert told.splitlines()[-1] == "| x | at least 30 | 16 | **missed** |"


@pytest.mark.parametrize("causal", [True, False])
def test_causal_attention_counts_half(causal: bool) -> None:
    query = torch.randn(2, 3, 8, 4, requires_grad=True)

    def attend() -> None:
        attended = torch.nn.functional.scaled_dot_product_attention(query, query, query, is_causal=causal)
        attended.sum().backward()

    forward, backward = 2 * 2 * (2 * 3 * 8 * 8) * 4, 5 * 2 * (2 * 3 * 8 * 8) * 4
    assert count_operations(attend) == (forward + backward) // (2 if causal else 1)
    assert count_operations(lambda: torch.ones(2, 3) @ torch.ones(3, 5)) == 2 * 2 * 3 * 5
