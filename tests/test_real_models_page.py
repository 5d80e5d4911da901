"""docs/real_models.md: its commands are understood, and its estimates are what the formula gives."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tyro
from scipy.stats import binom

from parley.agents.model_files import POCKET_FOLDER
from parley.agents.shapes import SHAPES
from parley.channels.base import ModelInterface
from parley.channels.latent import VectorQuantizedConfig
from parley.envs.world import objects_world
from parley.evaluation.admit import AdmitConfig
from parley.evaluation.gate1 import Gate1Config
from parley.evaluation.statistics import wilson
from parley.training.config import TrainConfig
from parley.training.costs.codec_cost import codec_cost
from parley.training.costs.estimate import memory
from parley.training.costs.setting import Setting, read_setting
from parley.training.run import main, parse

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/real_models.md").read_text()
GIB = 1 << 30
WEIGHTS = "models' weights"


def understood(config: type) -> Callable[[list[str]], object]:
    return lambda arguments: tyro.cli(config, args=arguments, config=(tyro.conf.OmitArgPrefixes,))


PARSERS: dict[str, Callable[[list[str]], object]] = {
    "train": parse,
    "gate1": understood(Gate1Config),
    "admit": understood(AdmitConfig),
}
LINES = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("parley ")]


def test_the_page_has_its_commands() -> None:
    assert len(COMMANDS) >= 10
    assert all(line.startswith(("parley ", "make ", "hf download ", ". .venv/")) for line in LINES)
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z0-9-]+)(?=`|\n)", PAGE)) <= set(targets)
    assert "install" in targets


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command: str) -> None:
    _, name, *arguments = shlex.split(command)
    PARSERS[name](arguments)


def test_what_a_command_names_is_what_the_one_before_made() -> None:
    """A checkpoint that is judged is the folder of a training on the page, with the same model."""
    trained = {
        words[words.index("--folder") + 1]: words[words.index("--model") + 1]
        for words in map(shlex.split, COMMANDS)
        if words[1] == "train" and "--model" in words
    }
    for words in map(shlex.split, COMMANDS):
        if "--checkpoint" in words:
            model = words[words.index("--model") + 1]
            assert trained[words[words.index("--checkpoint") + 1]] == model


@pytest.fixture(scope="module")
def assumed() -> Setting:
    """The default recipe, with prompts as long as the page assumes."""
    setting = read_setting("latent_vq", VectorQuantizedConfig(), TrainConfig())
    return replace(setting, lengths=setting.lengths._replace(before=85, prompt=60))


@pytest.mark.parametrize("name", SHAPES)
def test_the_estimates_are_those_of_the_formula(name: str, assumed: Setting) -> None:
    shape = SHAPES[name]
    interface = ModelInterface(
        state_width=shape.width, num_positions=60, embedding_width=shape.width, embedding_norm=1.0
    )
    asked, lengths = TrainConfig().objectives, assumed.lengths
    codec = codec_cost(
        "latent_vq", VectorQuantizedConfig(), interface, lengths.prompt, asked, objects_world(), 30
    )
    setting = replace(assumed, sender=shape, receiver=shape, codec=codec)
    held = [memory(replace(setting, config=TrainConfig(batch_size=size))) for size in (8, 16, 32, 64)]
    figures = [f"{sum(each.values()) / GIB:.1f}" for each in held]
    figures.append(f"{held[0][WEIGHTS] / GIB:.1f}")
    assert f"| {name} | {' | '.join(figures)} |" in PAGE


def test_the_arithmetic_of_the_gate_is_right() -> None:
    assert wilson(138, 400).ci_low >= 0.30 > wilson(137, 400).ci_low
    assert round(binom(400, 0.40).sf(137), 2) == 0.99
    assert "16.2 to 24.0%" in PAGE
    assert [round(100 * binom(400, 0.2).ppf(q) / 400, 1) for q in (0.025, 0.975)] == [16.2, 24.0]
    outside = binom(400, 0.2).cdf(55) + binom(400, 0.2).sf(104)
    assert 1 / outside == pytest.approx(450, rel=0.05)


@pytest.mark.parametrize(
    "words",
    [
        "was not found as a folder, nor on the hub (is there a connection?)",
        "which mixes in linear attention",
        "a mixture of experts",
        "which was never tried",
        "has layers with sliding-window attention",
        "scales its positions by",
        "is quantised",
        "is not installed",
        "is a GGUF file, which the package gguf reads",
        "is no GGUF file, or is truncated, damaged, or of a quantisation",
        "which transformers does not take from a GGUF file",
        "numbers in its weights",
        "weights that it has no place for",
        "is an adapter",
        "has no chat template",
        "thinks before it answers",
        "does not have one distinct token for each label A to Z",
    ],
)
def test_the_messages_are_those_that_are_said(words: str) -> None:
    said = "".join(path.read_text() for path in (ROOT / "agents").rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", said)  # a long message is written as several strings
    assert words in PAGE
    assert words in joined
    assert (POCKET_FOLDER / "chat_template.jinja").is_file(), "which the page advises to copy"


def test_the_estimate_shown_is_what_the_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [(command, shown)] = re.findall(r"```text\n\$ parley (.*?)\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.setattr("sys.argv", shlex.split(command))
    main()
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == shown.splitlines()
