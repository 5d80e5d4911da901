"""The estimate on paper: how it grows, what the command shows, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.pair import Pair
from parley.agents.readout import AnswerCost
from parley.agents.shapes import SHAPES, Shape, paper_model, shape_of
from parley.channels.base import ModelInterface
from parley.channels.registry import channel_class
from parley.envs.world import objects_world
from parley.training.config import TrainConfig
from parley.training.costs.answers import receiver_passes
from parley.training.costs.cards import CARDS, Card, EstimateConfig
from parley.training.costs.codec_cost import CodecCost, Polynomial, codec_cost
from parley.training.costs.estimate import memory, run_parts, step_parts
from parley.training.costs.passes import Work
from parley.training.costs.setting import Lengths, Setting
from parley.training.loss import ObjectiveWeights
from parley.training.run import main

GROUPED = Shape(
    repository="nobody/grouped", width=48, mlp_width=80, num_layers=2, num_heads=6, num_key_value_heads=2,
    head_width=8, vocab_size=700, max_length=512, tied=False,
)  # fmt: skip
WIDE = replace(GROUPED, family="qwen3", head_width=16)
POCKET = shape_of("pocket")


def total(parts: dict[str, Work]) -> float:
    return sum(parts.values(), Work()).flops


def on_paper(**changed: Any) -> Setting:
    """The default run of a small shape that nobody has."""
    return Setting(
        config=TrainConfig(**changed),
        sender=GROUPED,
        receiver=GROUPED,
        one_model=True,
        lengths=Lengths(before=50, tail=5, words=4, prompt=35, description=4, vocabulary=30),
        rereads=False,
        layers_read=1,
        codec=CodecCost(
            parameters=1000,
            forward=Polynomial(each=1e5),
            learning=Polynomial(each=2.3e5),
            saved=1e4,
            slots=4,
            at_start=False,
        ),
        referents=100,
        answer=AnswerCost(0, 5),
    )


def test_operations_grow_in_proportion_to_contexts_and_messages() -> None:
    one, two = total(step_parts(on_paper(batch_size=8))), total(step_parts(on_paper(batch_size=16)))
    assert two == 2 * one
    few, more = (receiver_passes(on_paper(messages_per_context=m))[0].work(on_paper()) for m in (2, 4))
    assert 2 < more.flops / few.flops < 2.3, "side by side, messages also pay for masked looks at each other"


@pytest.mark.parametrize(
    ("holder", "changed"),
    [
        ("models' weights", {"sender": WIDE, "one_model": False}),
        ("contexts read, and a copy that goes on", {"config": TrainConfig(batch_size=64)}),
        ("kept for the backward pass", {"config": TrainConfig(messages_per_context=4)}),
        ("sender's states", {"referents": 1000}),
        ("validation's contexts", {"config": TrainConfig(validation_episodes=400)}),
        ("codec, its activations, AdamW", {"codec": on_paper().codec._replace(parameters=2000)}),
    ],
)
def test_memory_grows_with_what_holds_it(holder: str, changed: dict[str, Any]) -> None:
    small = on_paper(messages_per_context=3)
    assert memory(replace(small, **changed))[holder] > memory(small)[holder]


def test_a_run_is_the_sum_of_its_parts() -> None:
    setting = on_paper(steps=50, alignment_steps=10, validate_every=20)
    playing, *others = run_parts(setting)
    assert [part.times for part in (playing, *others)] == [40, 10, 3, 1, 1]
    assert playing.works == [*step_parts(setting).values()]
    card = Card(tflops=1, gbs=1000)
    assert card.seconds(Work(flops=3e12, traffic=2e12)) == 3.0
    assert card.seconds(Work(flops=3e12, traffic=4e12)) == 4.0
    assert playing.seconds(card) == pytest.approx(40 * sum(map(card.seconds, playing.works)))
    assert playing.work.flops == pytest.approx(40 * total(step_parts(setting)))
    for part in others:
        [work] = part.works
        assert part.seconds(card) == pytest.approx(part.times * card.seconds(work))
        assert part.work.flops == pytest.approx(part.times * work.flops)


def test_a_share_of_the_peaks_takes_longer_in_proportion() -> None:
    whole, part = (EstimateConfig(card="l4", utilisation=share).reached for share in (1.0, 0.25))
    work = Work(flops=1e15, traffic=1e9)
    assert part.seconds(work) == 4 * whole.seconds(work)
    own = EstimateConfig(peak_tflops=50, bandwidth_gbs=100).reached
    assert (own.tflops, own.gbs, own.memory_gb, own.number_bytes) == (50, 100, 0, 2)
    assert EstimateConfig(peak_tflops=50).reached.gbs == CARDS["a100-80"].gbs
    assert CARDS["cpu"].number_bytes == 4


def test_a_shape_is_read_from_a_configuration_alone(qwen3_folder: Path, tmp_path: Path) -> None:
    assert shape_of("qwen2.5-3b") is SHAPES["qwen2.5-3b"]
    assert POCKET.num_parameters == 1_109_888
    (tmp_path / "config.json").write_text((qwen3_folder / "config.json").read_text())
    bare, whole = paper_model(str(tmp_path)), paper_model(str(qwen3_folder))
    assert replace(bare.shape, repository="") == replace(whole.shape, repository="")
    assert (whole.shape.head_width, whole.shape.num_key_value_heads, whole.shape.family) == (16, 2, "qwen3")
    assert (bare.own_tokenizer, whole.own_tokenizer) == (False, True)
    assert whole.shape.num_parameters == FrozenLM(str(qwen3_folder)).model.num_parameters()
    assert whole.lm.device.type == "meta", "nothing is loaded"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        (
            "qwen2.5-3",
            ValueError,
            r"unknown model 'qwen2\.5-3', did you mean 'qwen2\.5-3b'\? The models are: ",
        ),
        ("./nothing", ModelError, r"model '\./nothing' was not found as a folder, nor on the hub"),
    ],
)
def test_a_model_that_is_not_there_is_named(name: str, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        shape_of(name)


def test_bad_settings_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown card 'a100', did you mean 'a100-80'\? The cards are: "):
        _ = EstimateConfig(card="a100").reached
    with pytest.raises(ValueError, match=r"utilisation must be above 0 and at most 1, got 0"):
        EstimateConfig(utilisation=0.0)
    with pytest.raises(ValueError, match=r"peak_tflops must be at least 0, got -1"):
        EstimateConfig(peak_tflops=-1.0)
    with pytest.raises(ValueError, match=r"bandwidth_gbs must be at least 0, got -1"):
        EstimateConfig(bandwidth_gbs=-1.0)
    interface = ModelInterface(state_width=8, num_positions=40, embedding_width=8, embedding_norm=1.0)
    with pytest.raises(ValueError, match=r"channel 'kv' cannot be estimated from configurations: this"):
        codec_cost("kv", channel_class("kv").Config(), interface, 10, ObjectiveWeights(), objects_world(), 30)


@pytest.mark.parametrize("arguments", [["--model", "qwen2.5-3b"], ["--card", "cpu", "--preset", "original"]])
def test_the_command_shows_tables_and_writes_nothing(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Pair, "load", lambda *_: pytest.fail("the models were loaded"))
    monkeypatch.setattr("sys.argv", ["training.run", "--estimate", "--batch-size", "2", *arguments])
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    assert main() == 0
    assert torch.equal(torch.random.get_rng_state(), before)
    shown = capsys.readouterr().out
    for words in ("one playing step", "the sender, once", "the whole run", "all of it", "lower bound"):
        assert words in shown
    assert ("contexts are read" in shown) is (arguments[0] == "--model"), "at the start nothing is kept"
    assert max(map(len, shown.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []
