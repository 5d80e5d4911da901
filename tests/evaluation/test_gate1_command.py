"""The Gate 1 command, end to end on the pocket, with few episodes."""

import json
import runpy
import sys
from contextlib import redirect_stdout
from importlib.metadata import EntryPoint
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import parley.plugins.registry
from parley.agents.command_line import ExitCode, parse_arguments, run_command
from parley.channels import registry
from parley.channels.checkpoint import save_channel
from parley.channels.latent import VectorQuantizedChannel, VectorQuantizedConfig
from parley.evaluation import gate1
from parley.evaluation.playing import gate_run
from parley.evaluation.playing.entries import chosen_channels, given_checkpoints

pytestmark = pytest.mark.usefixtures("pocket_loaded_once")
JUDGED = {"results.json", "report.md", "report.html", "junit.xml", "success.png"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, pocket_pair):
    """A run folder with a codec that never learned."""
    pair = pocket_pair
    torch.manual_seed(0)
    channel = VectorQuantizedChannel(VectorQuantizedConfig(codec_width=32), pair.interface)
    channel.start_quantizing(pair.calibrate(channel))
    folder = tmp_path_factory.mktemp("runs") / "latent_vq-seed0"
    folder.mkdir()
    save_channel(folder / "channel.safetensors", channel, pair.fingerprints, {"seed": 0})
    return folder


def diagnose_few(patch):
    patch.setattr("parley.evaluation.diagnostics.diagnose.MOST_REFERENTS", 40)
    patch.setattr("parley.evaluation.diagnostics.flops.COUNTED_EPISODES", 1)


@pytest.fixture(autouse=True)
def few_referents_are_diagnosed(monkeypatch):
    """What a channel says of all of them takes seconds a command; so does counting many episodes' flops."""
    diagnose_few(monkeypatch)


def command(*arguments):
    def main():
        import tyro

        config = tyro.cli(gate1.Gate1Config, args=arguments, config=(tyro.conf.OmitArgPrefixes,))
        return gate1.run(config, list(arguments))

    return run_command(main)


def results_in(folder):
    return json.loads((folder / "results.json").read_text())


class Played(NamedTuple):
    """A run of the command."""

    folder: Path
    exit_code: int
    shown: str


@pytest.fixture(scope="module")
def played(checkpoint, pocket_pair, tmp_path_factory):
    """Text and the codec that never learned."""
    folder = tmp_path_factory.mktemp("played")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as shown:
        patch.setattr(gate_run.Pair, "load", lambda *_: pocket_pair)
        diagnose_few(patch)
        code = command(
            "--channels", "latent_vq,text", "--checkpoint", str(checkpoint), "--episodes", "60",
            "--folder", str(folder), "--device", "cpu", "--seed", "0",
        )  # fmt: skip
    return Played(folder, code, shown.getvalue())


def test_a_codec_that_never_learned_fails(played):
    results = results_in(played.folder)
    assert played.exit_code == ExitCode.FAIL
    assert results["verdict"] == "fail"
    assert results["channels"]["latent_vq"]["role"] == "judged"
    assert results["channels"]["latent_vq"]["bits"] == 24.0
    assert results["p0"]["n"] == 60
    provenance = results["provenance"]["checkpoints"]["latent_vq"]
    assert len(provenance["sha256"]) == 64
    assert provenance["training"] == {"seed": 0}
    assert results["provenance"]["seeds"] == {"evaluation": 0}
    written = {"run.json", "episodes.jsonl", "episodes.marks", "atlas-latent_vq.png"}
    assert {path.name for path in played.folder.iterdir()} == JUDGED | written
    diagnosed = results["diagnostics"]
    assert diagnosed["latent_vq"]["num_referents"] == diagnosed["text"]["num_referents"] == 40
    assert diagnosed["latent_vq"]["nll"].keys() == results["channels"]["latent_vq"]["conditions"].keys()
    assert diagnosed["silence"].keys() == {"nll", "receiver_flops"}
    flops = {name: found["receiver_flops"] for name, found in diagnosed.items()}
    assert 1e6 < flops["silence"] < flops["text"] <= flops["latent_vq"] < 1e9
    assert "](atlas-latent_vq.png)" in (played.folder / "report.md").read_text()
    assert results["sentence"].split()[0] in played.shown
    assert "report.md" in played.shown


def test_recorded_episodes_give_the_same_judgement_without_a_model(played, tmp_path, monkeypatch):
    monkeypatch.delattr(gate_run.Pair, "load")
    recorded = str(played.folder / "episodes.jsonl")
    assert command("--from-episodes", recorded, "--folder", str(tmp_path)) == played.exit_code
    one, other = results_in(played.folder), results_in(tmp_path)
    assert one["channels"] == other["channels"]
    assert one["verdict"] == other["verdict"]
    for name, found in other["diagnostics"].items():
        assert found == {"nll": one["diagnostics"][name]["nll"]}, "the rest needs the channel itself"
    assert {path.name for path in tmp_path.iterdir()} == JUDGED


@pytest.mark.usefixtures("without_pictures")
def test_judging_again_does_not_replace_what_was_written_when_playing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command("--channels", "text", "--episodes", "10", "--device", "cpu")
    written = (tmp_path / "runs/gate1/results.json").read_bytes()
    command("--from-episodes", "runs/gate1/episodes.jsonl")
    assert (tmp_path / "runs/gate1/results.json").read_bytes() == written
    assert (tmp_path / "runs/gate1-judged-again/results.json").exists()


@pytest.mark.usefixtures("without_pictures")
def test_without_a_trained_channel_nothing_is_decided(tmp_path):
    arguments = ("--channels", "text", "--episodes", "10", "--folder", str(tmp_path), "--runs", str(tmp_path))
    assert command(*arguments, "--device", "cpu") == ExitCode.INCONCLUSIVE
    assert results_in(tmp_path)["channels"]["text"]["role"] == "ceiling"


@pytest.mark.usefixtures("without_pictures")
def test_the_newest_fitting_checkpoint_is_found(checkpoint, tmp_path):
    arguments = ("--channels", "latent_vq", "--episodes", "4", "--runs", str(checkpoint.parent))
    command(*arguments, "--folder", str(tmp_path), "--device", "cpu")
    assert results_in(tmp_path)["channels"]["latent_vq"]["role"] == "judged"


@pytest.mark.usefixtures("without_pictures")
def test_a_checkpoint_for_other_models_is_not_taken_unasked(pocket_pair, tmp_path):
    pair = pocket_pair
    channel = VectorQuantizedChannel(VectorQuantizedConfig(codec_width=32), pair.interface)
    (tmp_path / "latent_vq-other").mkdir()
    others = {"sender": "another", "receiver": "another"}
    save_channel(tmp_path / "latent_vq-other/channel.safetensors", channel, others, {})
    command("--channels", "latent_vq", "--episodes", "4", "--runs", str(tmp_path), "--folder", str(tmp_path))
    assert results_in(tmp_path)["channels"]["latent_vq"]["role"] == "untrained"


@pytest.mark.parametrize("damage", [lambda kept: kept[:500], lambda kept: kept[:-1] + b"?", lambda kept: b""])
def test_a_checkpoint_that_is_there_and_cannot_be_used_is_named(checkpoint, tmp_path, capsys, damage):
    """Whatever channel it was of: nobody can tell, and none plays untrained for it."""
    (tmp_path / "damaged").mkdir()
    path = tmp_path / "damaged/channel.safetensors"
    path.write_bytes(damage((checkpoint / "channel.safetensors").read_bytes()))
    arguments = ("--channels", "latent_vq", "--episodes", "4", "--runs", str(tmp_path))
    code = command(*arguments, "--folder", str(tmp_path / "out"), "--device", "cpu")
    assert code == ExitCode.COULD_NOT_RUN
    shown = " ".join(capsys.readouterr().err.split())
    assert f"{path} is damaged" in shown
    assert not (tmp_path / "out").exists()


def test_a_malformed_line_is_named_by_its_number(tmp_path, capsys):
    path = tmp_path / "episodes.jsonl"
    good = {"channel": "x", "condition": "normal", "episode_id": 0, "success": True}
    path.write_text(json.dumps(good) + "\n{broken\n")
    code = command("--from-episodes", str(path), "--folder", str(tmp_path / "out"))
    assert code == ExitCode.USAGE
    assert "line 2" in capsys.readouterr().err
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--channels", "latnt"], ExitCode.USAGE, "did you mean 'latent'"),
        (["--channels", ","], ExitCode.USAGE, "at least one channel"),
        (["--checkpoint", "nowhere"], ExitCode.COULD_NOT_RUN, "no checkpoint at nowhere"),
        (["--from-episodes", "nowhere.jsonl"], ExitCode.COULD_NOT_RUN, "nowhere.jsonl"),
        (["--model", "./nowhere", "--channels", "text"], ExitCode.COULD_NOT_RUN, "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(arguments, code, words, tmp_path, capsys):
    assert command(*arguments, "--folder", str(tmp_path / "out"), "--device", "cpu") == code
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    arguments = ("--channels", "text", "--folder", str(tmp_path / "file" / "out"), "--device", "cpu")
    assert command(*arguments) == ExitCode.COULD_NOT_RUN
    assert "file" in capsys.readouterr().err


def test_help_lists_the_channels_there_are_and_no_other_run_looks_for_them(monkeypatch, capsys):
    looked = []
    monkeypatch.setattr(gate1, "channel_names", lambda: looked.append("looked") or ["loud", "text"])
    parse_arguments(gate1.Gate1Config, ["--from-episodes", "some.jsonl"], None, "evaluation.gate1")
    assert looked == []
    with pytest.raises(SystemExit) as stop:
        parse_arguments(gate1.Gate1Config, ["--help"], None, "evaluation.gate1")
    assert stop.value.code in (0, None)
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "names, or all. (default: all; there are: loud, text)" in shown


@pytest.mark.usefixtures("without_pictures")
def test_a_broken_plug_in_stops_who_asks_for_it_and_no_other(tmp_path, monkeypatch, capfd, caplog):
    known = registry.CHANNELS
    known.names()
    for name, value in (("_known", dict(known._known)), ("_left_out", []), ("_begun", set())):
        monkeypatch.setattr(known, name, value)
    (tmp_path / "hoarsepackage.py").write_text("import no_such_voice")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("hoarse", "hoarsepackage", "parley.channels")
    monkeypatch.setattr(
        parley.plugins.registry, "entry_points", lambda group: [point] if group == point.group else []
    )
    cause = "which cannot be used: ModuleNotFoundError: No module named 'no_such_voice'"
    arguments = ("--episodes", "4", "--folder", str(tmp_path / "out"), "--device", "cpu")
    assert command("--channels", "hoarse", *arguments) == ExitCode.COULD_NOT_RUN
    shown = " ".join(capfd.readouterr().err.split())
    assert shown == f"could not run: channel 'hoarse' was to come from hoarsepackage, {cause}"
    assert caplog.messages == [], "it is said once"
    known._begun.clear()
    assert command("--channels", "text", *arguments) == ExitCode.INCONCLUSIVE
    assert caplog.messages == [f"left out: plug-in 'hoarse' (hoarsepackage), {cause}"]


def test_silence_always_plays_and_all_means_all():
    assert chosen_channels(["latent"]) == ["silence", "latent"]
    assert chosen_channels(["all"])[:2] == ["silence", "text"]
    assert set(chosen_channels(["all"])) >= {"latent", "latent_vq"}
    with pytest.raises(ValueError, match="unknown channel 'nothing'"):
        chosen_channels(["all", "nothing"])


def test_a_checkpoint_must_be_of_a_channel_that_plays(checkpoint):
    with pytest.raises(ValueError, match="which is not among --channels text"):
        given_checkpoints([checkpoint], ["text"])
    with pytest.raises(ValueError, match="two checkpoints are of channel 'latent_vq'"):
        given_checkpoints([checkpoint, checkpoint], ["latent_vq"])
    assert given_checkpoints([checkpoint], ["latent_vq"])["latent_vq"].name == "channel.safetensors"


def test_the_command_runs_by_the_name_of_its_folder(tmp_path, monkeypatch):
    """In this process; tests/docs/test_example_package.py gives it one of its own."""
    path = tmp_path / "episodes.jsonl"
    line = {"channel": "x", "condition": "normal", "episode_id": 0, "success": True}
    path.write_text(json.dumps(line) + "\n")
    monkeypatch.setattr(
        sys, "argv", ["gate1", "--from-episodes", str(path), "--folder", str(tmp_path / "out")]
    )
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("evaluation.gate1", run_name="__main__", alter_sys=True)
    assert stop.value.code == ExitCode.INCONCLUSIVE
    assert (tmp_path / "out" / "results.json").exists()
