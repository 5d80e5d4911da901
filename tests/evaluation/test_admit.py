"""Admission from the command to the profile: who is fit, what is kept, and how it resumes."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest

from parley.agents.command_line import ExitCode, RunError, run_command
from parley.agents.language_model import ModelError
from parley.agents.pair import ModelConfig, Pair
from parley.agents.player import ReceiverSettings, SenderSettings, digest, read_profile
from parley.agents.readout import READOUTS
from parley.evaluation import admit
from parley.evaluation.admission import procedure
from parley.evaluation.admission.grid import questions
from parley.evaluation.admission.rule import best_cell, read_cell
from parley.evaluation.admission.trials import Trials
from parley.evaluation.admit import AdmitConfig
from parley.evaluation.playing.plan import PlayConfig

EPISODES = 4


def admission(lm, world, output, num_candidates, monkeypatch):
    """Settings of an admission whose model was loaded before."""
    monkeypatch.setattr(admit, "load_models", lambda config: (lm, lm))
    monkeypatch.setattr(admit, "find_world", lambda name: world)
    play = PlayConfig(episodes=EPISODES, num_candidates=num_candidates)
    return AdmitConfig(output=output, play=play)


class Finished(NamedTuple):
    """An admission that came to its end."""

    config: AdmitConfig
    content: bytes
    exit_code: int
    shown: str

    @property
    def kept(self):
        return json.loads(self.content)


def _shrink_grid(patches):
    """One wording, and one sender."""
    asked = [question for question in questions() if question.wording == "repeat"]
    patches.setattr(procedure, "questions", lambda: asked)
    patches.setattr(procedure, "SENDER_SHOTS", (0,))


def finish(config):
    with patch("sys.stdout", StringIO()) as shown:
        exit_code = run_command(lambda: admit.run(config))
    return Finished(config, config.path.read_bytes(), exit_code, shown.getvalue())


@pytest.fixture(scope="module")
def of_pocket(pocket_pair, few_objects, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patches:
        output = tmp_path_factory.mktemp("pocket") / "new" / "player.json"
        return finish(admission(pocket_pair.sender.lm, few_objects, output, 3, patches))


@pytest.fixture(scope="module")
def of_chance(lm, small_world, tmp_path_factory):
    """Of a model that knows nothing, whose context three examples do not fit."""
    with pytest.MonkeyPatch.context() as patches:
        _shrink_grid(patches)
        output = tmp_path_factory.mktemp("chance") / "player.json"
        return finish(admission(lm, small_world, output, 5, patches))


@pytest.fixture
def of_chance_again(lm, small_world, tmp_path, monkeypatch):
    """The settings of the same, with nothing tried yet."""
    _shrink_grid(monkeypatch)
    return admission(lm, small_world, tmp_path / "player.json", 5, monkeypatch)


def test_the_pocket_is_fit_and_best_asked_as_it_was_trained(of_pocket):
    assert of_pocket.exit_code == ExitCode.PASS
    profile = read_profile(of_pocket.config.path)
    assert profile.receiver == ReceiverSettings(), "label, plain, without shots"
    assert profile.sender == SenderSettings()
    record = profile.admission
    assert record["fit"] is True
    assert (record["episodes"], record["seed"], record["num_candidates"]) == (EPISODES, 0, 3)
    assert [row["shots"] for row in record["sender"]] == [0, 1, 3, 4]
    assert record["sender"][0] == {"shots": 0, "exact": 3, "n": 3}, "one target occurs twice"
    receiver = record["receiver"]
    assert receiver["exact_success"] == {"successes": EPISODES, "n": EPISODES}
    assert receiver["cyclic_consistency"] == {"same": EPISODES, "n": EPISODES}
    assert sum(receiver["picks"]) == EPISODES
    assert not of_pocket.config.path.with_suffix(".trials.jsonl").exists(), "nothing is left to resume"


def test_the_table_is_read_from_the_best_cell_down(of_pocket):
    lines = of_pocket.shown.splitlines()
    best = next(line for line in lines if line.startswith(" > "))
    assert best.split() == [">", "label", "/", "plain", "none", "0", *["100", "51–100"] * 2, "100", "51.0"]
    scores = [float(line.split()[-1]) for line in lines if " / " in line and "readout" not in line]
    assert len(scores) == len(of_pocket.kept["admission"]["cells"])
    assert scores == sorted(scores, reverse=True)
    assert "…" not in of_pocket.shown, "80 columns are enough"
    assert "Sender: exact in 3 of 3 (shots 0)" in of_pocket.shown
    assert "Fit: success may be as low as 51.0% and swap consistency as low as 51.0%" in of_pocket.shown


def test_the_record_holds_the_whole_grid_and_the_best_of_it(of_pocket):
    record = of_pocket.kept["admission"]
    cells = [read_cell(row) for row in record["cells"]]
    there = {(cell.question, cell.calibration) for cell in cells}
    assert there == {(question, name) for question in questions() for name in question.calibrations}
    assert {cell.n for cell in cells} == {EPISODES}
    assert best_cell(cells) == read_cell(record["chosen"])
    assert all(row["score"] == read_cell(row).score for row in record["cells"])
    assert {"label", "likelihood"} <= {cell.readout for cell in cells} == set(READOUTS.names())
    assert {cell.calibration for cell in cells if cell.readout == "label"} == {"none"}


def test_a_pair_plays_by_the_profile_and_another_does_not(of_pocket, qwen2_folder, few_objects):
    path = of_pocket.config.path
    pair = Pair.load(ModelConfig(player=path, device="cpu"), few_objects)
    assert pair.profile.admission == of_pocket.kept["admission"]
    with pytest.raises(ModelError, match=r"made for another sender: .*; run parley admit for this pair"):
        Pair.load(ModelConfig(model=str(qwen2_folder), player=path, device="cpu"), few_objects)


def test_an_edited_profile_is_refused(of_pocket, tmp_path):
    kept = of_pocket.kept
    assert kept["sha256"] == digest(kept)
    kept["admission"]["fit"] = False
    edited = tmp_path / "player.json"
    edited.write_text(json.dumps(kept))
    with pytest.raises(ModelError, match=r"player\.json was edited after parley admit wrote it"):
        read_profile(edited)


def test_a_model_of_chance_is_unfit_and_its_profile_says_so(of_chance):
    assert of_chance.exit_code == ExitCode.INCONCLUSIVE == 4
    record = read_profile(of_chance.config.path).admission
    assert record["fit"] is False
    assert record["chosen"]["score"] < 0.3
    assert "Unfit: success may be as low as" in of_chance.shown


def test_what_a_model_cannot_be_asked_is_left_out_and_named(of_chance):
    record = of_chance.kept["admission"]
    trial = "likelihood repeat with 3 shots"
    reason = record["left_out"][trial]
    assert "tokens exceeds the 256 of model" in reason
    assert f"Left out: {trial}: {reason}." in " ".join(of_chance.shown.split())
    assert record["cells"]
    assert not any(row["wording"] == "repeat" and row["shots"] == 3 for row in record["cells"])


def test_an_interrupted_admission_resumes_to_the_same_profile(of_chance_again, tmp_path, monkeypatch):
    config = of_chance_again
    whole = finish(replace(config, output=tmp_path / "whole.json"))
    trials = config.path.with_suffix(".trials.jsonl")
    with monkeypatch.context() as cut:
        cut.setattr(Trials, "examine", _interrupt)
        with pytest.raises(RunError, match=r"interrupted; .*player\.trials\.jsonl: the same command resumes"):
            admit.run(config)
    assert not config.path.exists()
    num_lines = len(trials.read_text().splitlines())
    assert num_lines == 1 + 1 + 3, "the settings, the sender's trials, the receiver's"
    other = replace(config, seed=1)
    with pytest.raises(ValueError, match=r"play\.seed is 0 there and 1 here\. Finish it under those, remove"):
        admit.run(other)
    monkeypatch.setattr(Trials, "try_receiver", _interrupt)
    monkeypatch.setattr(Trials, "try_sender", _interrupt)
    at_once = replace(config, play=replace(config.play, episodes_at_once=3))
    admit.run(at_once)  # how many at once is a matter of speed
    assert config.path.read_bytes() == whole.content
    assert not trials.exists()


def _interrupt(*arguments):
    raise KeyboardInterrupt


def test_other_wordings_are_other_trials(of_chance_again, monkeypatch):
    monkeypatch.setattr(Trials, "try_sender", _interrupt)
    with pytest.raises(RunError):
        admit.run(of_chance_again)
    label = READOUTS.find("label")
    reworded = {name: wording._replace(question="Which?") for name, wording in label.wordings.items()}
    monkeypatch.setattr(label, "wordings", reworded)
    with pytest.raises(ValueError, match=r"has other settings: wordings\.label again is .*'Which\?'"):
        admit.run(of_chance_again)


@pytest.mark.parametrize(("role", "trial"), [("sender", "try_sender"), ("receiver", "try_receiver")])
def test_who_can_be_asked_in_no_way_is_refused(of_chance_again, monkeypatch, role, trial):
    def refuse(*arguments):
        raise ValueError("it has no words")

    monkeypatch.setattr(Trials, trial, refuse)
    with pytest.raises(
        ValueError, match=rf"the {role} can be asked in no way of the grid; .* shots: it has no words"
    ):
        admit.run(of_chance_again)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("player", Path("p.json")), ("readout", "label"), ("wording", "plain"), ("calibration", "none"),
        ("shots", 1),
    ],
)  # fmt: skip
def test_what_is_to_be_found_out_cannot_be_given(name, value):
    with pytest.raises(
        ValueError, match=f"{name} must not be given: admission tries all there are, got {value}"
    ):
        AdmitConfig(models=ModelConfig(**{name: value}))


def test_the_profile_is_named_after_the_models():
    assert AdmitConfig().path.as_posix() == "runs/player-pocket.json"
    models = ModelConfig(sender="pocket", receiver="Qwen/Qwen2.5-0.5B-Instruct")
    assert AdmitConfig(models=models).path.name == "player-pocket-Qwen-Qwen2.5-0.5B-Instruct.json"
