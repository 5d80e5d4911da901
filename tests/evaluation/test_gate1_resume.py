"""Runs of the Gate 1 command that are cut and go on, or stop as soon as they are decided."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import tyro

from parley.agents.command_line import ExitCode, run_command
from parley.agents.folder_lock import locked
from parley.channels.conditions import condition_names
from parley.evaluation import gate1
from parley.evaluation.playing import gate_run
from parley.evaluation.records import EpisodeRecord, RecordWriter
from parley.evaluation.records.episodes_file import read_records

pytestmark = pytest.mark.usefixtures("pocket_loaded_once", "nothing_is_diagnosed", "without_pictures")
FEW = (
    "--channels", "text", "--episodes", "6", "--episodes-at-once", "4", "--device", "cpu", "--seed", "0",
    "--unsealed",
)  # fmt: skip
ROUND = 2 + len(condition_names())  # the baseline's two, and those of a channel
NUM_PLAYS = 6 * ROUND


@pytest.fixture
def nothing_is_diagnosed(monkeypatch):
    monkeypatch.setattr(gate_run, "measure", lambda *_: ({}, {}))


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command in an empty place, where no checkpoint lies."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        def main():
            config = tyro.cli(gate1.Gate1Config, args=arguments, config=(tyro.conf.OmitArgPrefixes,))
            return gate1.run(config, list(arguments))

        return run_command(main)

    return run


def cut_after(monkeypatch, batches):
    """Ctrl-C when so many batches were played."""
    played = gate_run.play

    def interrupted(*arguments, **options):
        for number, batch in enumerate(played(*arguments, **options)):
            if number == batches:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(gate_run, "play", interrupted)


def untimed(path):
    return [replace(record, seconds=None) for record in read_records(path)]


def said(capsys):
    return " ".join(capsys.readouterr().err.split())


def test_a_run_that_was_cut_ends_as_one_that_was_not(command, tmp_path, monkeypatch, capsys):
    command(*FEW, "--folder", "whole")
    whole = untimed(tmp_path / "whole/episodes.jsonl")
    assert len(whole) == NUM_PLAYS
    path = tmp_path / "cut/episodes.jsonl"
    with monkeypatch.context() as patch:
        cut_after(patch, 3)
        assert command(*FEW, "--folder", "cut") == ExitCode.COULD_NOT_RUN
    shown = said(capsys)
    assert "add --resume to the same command to go on" in shown
    assert "can be judged with --from-episodes" in shown
    kept = path.read_bytes()
    assert untimed(path) == whole[:12]
    with path.open("ab") as file:
        file.write(kept[: len(kept) // 12 // 2])  # the next line, as a kill might have left it
    assert command(*FEW, "--folder", "cut") == ExitCode.USAGE
    assert "cut holds an unfinished run; continue it with --resume" in said(capsys)
    command(*FEW, "--folder", "cut", "--resume")
    assert path.read_bytes().startswith(kept)
    assert untimed(path) == whole
    one, other = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "cut"))
    assert one["verdict"] == other["verdict"]
    rates = [
        {name: channel["conditions"] for name, channel in results["channels"].items()}
        for results in (one, other)
    ]
    assert rates[0] == rates[1]
    finished = path.read_bytes()
    command(*FEW, "--folder", "cut", "--resume")
    assert path.read_bytes() == finished, "nothing is left to play"
    assert command(*FEW, "--folder", "cut", "--resume", "--seed", "1") == ExitCode.USAGE
    assert "play.seed is 0 there and 1 here" in said(capsys)
    (tmp_path / "cut/atlas-latent.png").write_text("of an earlier run")
    command("--channels", "text", "--episodes", "2", "--folder", "cut", "--device", "cpu")
    assert len(untimed(path)) == 2 * ROUND
    assert not (tmp_path / "cut/atlas-latent.png").exists()


def test_a_run_never_goes_on_from_what_it_did_not_write(command, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        cut_after(patch, 3)
        command(*FEW, "--folder", "cut")
    for name, place, said_of in (
        ("episodes.jsonl", b'"probabilities": [0.', "is no longer what this run wrote"),
        ("episodes.marks", b'"sha256": "', "is no longer what this run wrote"),
        ("episodes.marks", b'{"bytes', "episodes.marks is damaged"),
        ("run.json", b'"seed": ', "run.json is damaged: its content is not what its SHA-256 was taken of"),
        ("run.json", b'"look_every": n', "run.json is damaged"),
    ):
        kept = (tmp_path / "cut" / name).read_bytes()
        end = kept.rindex(place) + len(place)
        (tmp_path / "cut" / name).write_bytes(kept[:end] + bytes([kept[end] ^ 1]) + kept[end + 1 :])
        capsys.readouterr()
        assert command(*FEW, "--folder", "cut", "--resume") in (ExitCode.USAGE, ExitCode.COULD_NOT_RUN)
        assert said_of in said(capsys)
        (tmp_path / "cut" / name).write_bytes(kept)
    command(*FEW, "--folder", "cut", "--resume")
    assert (tmp_path / "cut/results.json").exists()


def test_a_batch_that_has_no_mark_is_played_again(command, tmp_path, monkeypatch):
    command(*FEW, "--folder", "whole")
    with monkeypatch.context() as patch:
        cut_after(patch, 3)
        command(*FEW, "--folder", "cut")
    marks = tmp_path / "cut/episodes.marks"
    lines = marks.read_bytes().splitlines(keepends=True)
    marks.write_bytes(b"".join(lines[:-1]) + lines[-1][:9])
    command(*FEW, "--folder", "cut", "--resume")
    assert untimed(tmp_path / "cut/episodes.jsonl") == untimed(tmp_path / "whole/episodes.jsonl")


def test_two_gates_never_share_a_folder(command, tmp_path, capsys):
    with locked(tmp_path / "out"):
        assert command(*FEW, "--folder", "out") == ExitCode.COULD_NOT_RUN
    assert "another run is at work in out" in said(capsys)


def test_what_defines_a_run_is_written_before_the_first_episode(command, tmp_path, monkeypatch):
    cut_after(monkeypatch, 0)
    command(*FEW, "--folder", "out")
    definition = json.loads((tmp_path / "out/run.json").read_text())
    assert definition["channels"] == ["silence", "text"]
    assert definition["play"]["episodes"] == 6
    assert definition["look_every"] is None
    assert (tmp_path / "out/episodes.jsonl").read_text() == ""


def test_an_unfinished_run_is_refused_before_a_model_is_loaded(command, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/episodes.jsonl").write_text("{}\n")
    monkeypatch.delattr(gate_run.Pair, "load")
    assert command(*FEW, "--folder", "out") == ExitCode.USAGE


@pytest.fixture
def judges(monkeypatch):
    """Lets a run be settled at a number of episodes, and lists those at which it was asked."""
    asked = []

    def install(settled_at):
        def is_settled(outcomes, provenance, gates):
            assert provenance["sequential"] is True
            asked.append(outcomes.close().p0.n)
            return asked[-1] >= settled_at

        monkeypatch.setattr(gate_run, "is_settled", is_settled)
        monkeypatch.setattr(gate_run, "LOOK_EVERY", 5)
        return asked

    return install


OPEN = (
    "--channels", "text", "--episodes", "17", "--device", "cpu", "--seed", "0", "--unsealed",
    "--until-decided",
)  # fmt: skip


def test_a_run_stops_when_it_is_decided(command, tmp_path, judges):
    asked = judges(settled_at=10)
    command(*OPEN, "--folder", "out")
    assert asked == [5, 10]
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert results["sequential"] is True
    assert results["provenance"]["sequential"] is True
    assert results["provenance"]["look_every"] == 5
    assert results["p0"]["n"] == 10
    records = untimed(tmp_path / "out/episodes.jsonl")
    assert len(records) == 10 * ROUND
    command(*OPEN, "--folder", "out", "--resume")
    assert asked == [5, 10, 10]
    assert untimed(tmp_path / "out/episodes.jsonl") == records
    command("--from-episodes", "out/episodes.jsonl", "--folder", "again")
    again = json.loads((tmp_path / "again/results.json").read_text())
    assert again["sequential"] is True, "run.json beside the episodes says so"
    assert again["channels"] == results["channels"]


def test_what_is_played_until_decided_begins_as_the_whole_does(command, tmp_path, judges):
    judges(settled_at=10)
    command(*OPEN, "--folder", "open")
    command(*OPEN[:-1], "--folder", "fixed")
    key = lambda record: (record.channel, record.condition, record.episode_id)  # noqa: E731
    fixed = {key(record): record for record in untimed(tmp_path / "fixed/episodes.jsonl")}
    for record in untimed(tmp_path / "open/episodes.jsonl"):
        whole = fixed[key(record)]
        assert record.probabilities == pytest.approx(whole.probabilities, abs=1e-4)
        assert replace(record, probabilities=None) == replace(whole, probabilities=None)


def test_a_run_with_a_fixed_number_is_not_continued_with_an_open_one(command, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        cut_after(patch, 2)
        command(*OPEN[:-1], "--folder", "out")
    capsys.readouterr()
    assert command(*OPEN, "--folder", "out", "--resume") == ExitCode.USAGE
    assert "look_every is None there and 50 here" in said(capsys)


@pytest.mark.parametrize("flags", [(), ("--until-decided",)])
def test_recorded_episodes_can_be_judged_as_of_an_open_number(command, tmp_path, flags):
    with RecordWriter(tmp_path / "e.jsonl") as writer:
        writer.write([EpisodeRecord(channel="x", condition="normal", episode_id=0, success=True)])
    command("--from-episodes", "e.jsonl", "--folder", "out", "--gate", "1,3", *flags)
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert results["sequential"] is bool(flags)
    assert results["gates"] == [1, 3]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gate": ("4",)}, "gate must be some of 1, 2, 3, got '4'"),
        ({"gate": (",",)}, "gate must be some of 1, 2, 3, got ','"),
        ({"gate": ("1", "x,2")}, "gate must be some of 1, 2, 3, got '1,x,2'"),
        (
            {"resume": True, "from_episodes": Path("e.jsonl")},
            "resume must not go with from_episodes, which plays nothing, got e.jsonl",
        ),
    ],
)
def test_flags_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        gate1.Gate1Config(**settings)


def test_gates_may_be_named_in_any_way():
    assert gate1.Gate1Config().gates == (1,)
    assert gate1.Gate1Config(gate=("3,1", "2")).gates == (1, 2, 3)
