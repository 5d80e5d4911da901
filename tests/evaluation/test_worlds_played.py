"""`--world` from training to verdict: what is written, what is resumed, and which checkpoint is taken."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import tyro

from parley.agents.command_line import ExitCode, run_command
from parley.agents.pair import Pair
from parley.agents.sender import Sender
from parley.channels.checkpoint import read_header, save_channel
from parley.channels.latent import ScalarQuantizedChannel, ScalarQuantizedConfig
from parley.channels.text import TextChannel, TextConfig
from parley.envs.worlds import WORLDS, find_world, world_names
from parley.evaluation import gate1
from parley.evaluation.diagnostics.diagnose import diagnose, diagnosed_referents
from parley.evaluation.playing import gate_run
from parley.evaluation.playing.entries import find_checkpoint
from parley.plugins.registry import LeftOut
from parley.training.run import parse, train
from studies import gate_sweep
from studies.rate_limit import __main__ as rate_limit

PAGE = Path(__file__).parents[2] / "docs" / "worlds.md"
THINGS = [
    ("tiny", "red", "metal", "cube"), ("tiny", "red", "metal", "ball"), ("tiny", "red", "wood", "cube"),
    ("giant", "red", "metal", "cube"), ("giant", "blue", "metal", "cube"), ("giant", "blue", "wood", "cube"),
    ("giant", "blue", "wood", "ball"), ("tiny", "blue", "wood", "ball"), ("small", "blue", "wood", "ball"),
    ("tiny", "green", "wood", "ball"), ("small", "green", "metal", "ball"), ("tiny", "green", "clay", "cube"),
]  # fmt: skip
NAMES = ("size", "colour", "material", "shape")
FEW = ("--episodes", "4", "--num-candidates", "2", "--device", "cpu")
TINY = [
    "--steps", "2", "--batch-size", "2", "--messages-per-context", "1", "--validation-episodes", "2",
    "--alignment-steps", "0", "--codec-width", "16", "--num-candidates", "2", "--channel", "latent_fsq",
    "--device", "cpu",
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_model_is_loaded_again(pocket_pair, monkeypatch):
    """The world is the command's own; the pocket is there already, and no report is drawn."""
    lm, receiver = pocket_pair.sender.lm, pocket_pair.receiver
    monkeypatch.setattr(Pair, "load", lambda _, world, game=None: Pair(Sender(lm, world), receiver, world))
    monkeypatch.setattr(gate_run, "measure", lambda *_: ({}, {}))
    monkeypatch.setattr(gate_run, "write_run", lambda results, folder, *_: write_results(results, folder))


def write_results(results, folder):
    (folder / "results.json").write_text(json.dumps(results))


def write(path, things=THINGS):
    lines = [json.dumps({"attributes": dict(zip(NAMES, thing, strict=True))}) for thing in things]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def things(tmp_path):
    return write(tmp_path / "things.jsonl")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, pocket_pair):
    """A run folder of a codec trained on the things, among other runs, and the name of their world."""
    runs = tmp_path_factory.mktemp("runs")
    path = write(runs / "things.jsonl")
    world = find_world(str(path))
    pair = Pair(Sender(pocket_pair.sender.lm, world), pocket_pair.receiver, world)
    folder = train(*parse([*TINY, "--world", str(path), "--folder", str(runs / "run")]), pair)
    return folder, world.name


def play(*arguments):
    def main():
        flat = (tyro.conf.OmitArgPrefixes,)
        return gate1.run(tyro.cli(gate1.Gate1Config, args=arguments, config=flat), list(arguments))

    return run_command(main)


def test_a_run_says_its_world_and_is_resumed_in_it_alone(things, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "out"
    arguments = ("--channels", "text", "--folder", str(folder), *FEW)
    assert play(*arguments, "--world", str(things)) == ExitCode.INCONCLUSIVE
    results = json.loads((folder / "results.json").read_text())
    name = find_world(str(things)).name
    assert re.fullmatch("things-[0-9a-f]{8}", name)
    assert results["provenance"]["world"] == name
    assert results["provenance"]["num_referents"] == 12
    definition = json.loads((folder / "run.json").read_text())
    assert definition["world"] == name
    assert "world" not in definition["play"]

    monkeypatch.chdir(tmp_path)
    assert play(*arguments, "--resume", "--world", "things.jsonl") == ExitCode.INCONCLUSIVE
    capsys.readouterr()
    write(things, [*THINGS, ("medium", "red", "clay", "star")])
    assert play(*arguments, "--resume", "--world", "things.jsonl") == ExitCode.USAGE
    changed = find_world(str(things)).name
    message = f"has other settings: world is '{name}' there and '{changed}' here"
    assert message in " ".join(capsys.readouterr().err.split())
    assert play(*arguments, "--resume") == ExitCode.USAGE
    assert f"world is '{name}' there and 'objects' here" in " ".join(capsys.readouterr().err.split())


def test_a_training_notes_its_world_and_is_resumed_in_it_alone(trained, tmp_path, capsys):
    source, name = trained
    folder = shutil.copytree(source, tmp_path / "run")
    assert read_header(folder / "channel.safetensors").training["world"] == name
    assert json.loads((folder / "config.json").read_text())["training"]["world"] == name

    def resumed(*arguments):
        return run_command(lambda: bool(train(*parse([*TINY, "--folder", str(folder), *arguments]))) - 1)

    assert resumed("--resume", "--world", str(source.parent / "things.jsonl")) == ExitCode.PASS
    capsys.readouterr()
    assert resumed("--resume") == ExitCode.USAGE
    assert f"training.world is '{name}' there and 'objects' here" in " ".join(capsys.readouterr().err.split())


def test_a_pair_must_play_about_the_world_that_is_trained_on(pocket_pair, tmp_path):
    parsed = parse([*TINY, "--world", "elements", "--folder", str(tmp_path / "run")])
    with pytest.raises(ValueError, match="pair must play about world 'elements', got one about 'objects'"):
        train(*parsed, pocket_pair)
    assert not (tmp_path / "run").exists()


def test_only_a_checkpoint_of_the_same_world_is_found_unasked(trained, pocket_pair, tmp_path):
    source, name = trained
    things = find_world(str(source.parent / "things.jsonl"))
    elsewhere = Pair(pocket_pair.sender, pocket_pair.receiver, things)
    assert elsewhere.world.name == name
    assert find_checkpoint("latent_fsq", elsewhere, source.parent) == source / "channel.safetensors"
    assert find_checkpoint("latent_fsq", pocket_pair, source.parent) is None

    channel = ScalarQuantizedChannel(ScalarQuantizedConfig(codec_width=16), pocket_pair.interface)
    (tmp_path / "old").mkdir()
    save_channel(tmp_path / "old" / "channel.safetensors", channel, pocket_pair.fingerprints, {"seed": 0})
    assert find_checkpoint("latent_fsq", pocket_pair, tmp_path) == tmp_path / "old" / "channel.safetensors"
    assert find_checkpoint("latent_fsq", elsewhere, tmp_path) is None


def test_a_checkpoint_of_another_world_is_played_if_it_is_named(trained, tmp_path):
    """It reads as many tokens as this world's sender says, and more."""
    source, name = trained
    other = write(tmp_path / "others.jsonl", THINGS[::-1])
    arguments = ("--channels", "latent_fsq", "--world", str(other), "--folder", str(tmp_path / "out"), *FEW)
    play(*arguments, "--checkpoint", str(source))
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["channels"]["latent_fsq"]["role"] == "judged"
    assert results["provenance"]["world"].startswith("others-")
    assert results["provenance"]["checkpoints"]["latent_fsq"]["training"]["world"] == name


def test_a_gate_sweep_is_of_the_world_that_is_named(trained, tmp_path):
    source, name = trained
    world = str(source.parent / "things.jsonl")
    arguments = [
        "--checkpoint",
        str(source),
        "--gates",
        "1",
        "--world",
        world,
        "--folder",
        str(tmp_path),
        *FEW,
    ]
    flat = (tyro.conf.OmitArgPrefixes,)
    gate_sweep.run(tyro.cli(gate_sweep.GateSweepConfig, args=arguments, config=flat), arguments)
    assert json.loads((tmp_path / "gate_sweep.json").read_text())["provenance"]["world"] == name


def test_the_rate_limit_is_that_of_all_combinations(things, tmp_path):
    config = rate_limit.RateLimitConfig(world=str(things), folder=tmp_path / "out")
    message = (
        "world must have every combination of its values as a referent, for the limit is proved for no other"
    )
    with pytest.raises(ValueError, match=rf"^{message}, got 'things-\w+' with 12 of 54$"):
        rate_limit.run(config, [])
    assert not (tmp_path / "out").exists()


def test_free_text_is_diagnosed_as_one_attribute(pocket_pair, tmp_path):
    """Any two texts differ alike: what is asked of distances between referents is undefined."""
    path = tmp_path / "told.jsonl"
    path.write_text("\n".join(json.dumps({"text": " ".join(thing)}) for thing in THINGS))
    world = find_world(str(path))
    pair = Pair(Sender(pocket_pair.sender.lm, world), pocket_pair.receiver, world)
    channel = TextChannel(TextConfig(), pair.interface).eval()
    found = diagnose(pair, channel, diagnosed_referents(world))
    assert (found["num_referents"], found["topographic_similarity"]) == (2, None)


def test_an_unknown_world_is_a_usage_error(tmp_path, capsys):
    words = "usage: unknown world 'elments', did you mean 'elements'? The worlds are: elements, objects"
    assert play("--world", "elments", "--folder", str(tmp_path / "out"), *FEW) == ExitCode.USAGE
    assert words in " ".join(capsys.readouterr().err.split())
    parsed = parse([*TINY, "--world", "elments", "--folder", str(tmp_path / "run")])
    assert run_command(lambda: bool(train(*parsed))) == ExitCode.USAGE
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_a_world_whose_plug_in_is_broken_is_named_on_one_line(monkeypatch, tmp_path, capsys):
    world_names()
    broken = LeftOut("dice", "dicepackage", ImportError("no dice"))
    monkeypatch.setattr(WORLDS, "_left_out", [broken])
    assert play("--world", "dice", "--folder", str(tmp_path / "out"), *FEW) == ExitCode.COULD_NOT_RUN
    shown = " ".join(capsys.readouterr().err.split())
    assert "could not run: world 'dice' was to come from dicepackage, which cannot be used: Import" in shown


@pytest.mark.parametrize(
    "config", [gate1.Gate1Config, gate_sweep.GateSweepConfig, rate_limit.RateLimitConfig]
)
def test_help_names_the_worlds(config, capsys):
    with pytest.raises(SystemExit):
        tyro.cli(config, args=["--help"], config=(tyro.conf.OmitArgPrefixes,))
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "one of elements, objects, or a file; default: objects" in shown


def test_the_commands_of_the_page_can_be_given():
    [block] = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    found = []
    for line in [
        *block.splitlines(),
        *re.findall(r"`(parley gate1 [^`]*)`", PAGE.read_text()),
    ]:
        _, command, *arguments = shlex.split(line)
        if command == "train":
            found.append(parse(arguments)[2].world)
        else:
            assert command == "gate1"
            config = tyro.cli(gate1.Gate1Config, args=arguments, config=(tyro.conf.OmitArgPrefixes,))
            found.append(config.play.world)
    assert found == ["elements", "elements", "birds.jsonl", "elements"]
