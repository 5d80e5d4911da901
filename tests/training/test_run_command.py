"""The training command: flags, run folders, and what a user reads when something is wrong."""

import json
import shlex
import subprocess
import sys

import pytest

from agents.command_line import ExitCode, RunError, run_command
from agents.pair import ModelConfig
from channels.latent import LatentConfig, LatentVQConfig
from training.config import TrainConfig, check_same_run
from training.run import parse, prepare_folder, train
from training.trainer import Trainer

TINY = [
    "--steps", "2", "--batch-size", "2", "--messages-per-context", "1", "--validation-episodes", "4",
    "--codec-width", "16", "--device", "cpu",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _few_objects(few_objects, monkeypatch):
    monkeypatch.setattr("training.run.objects_world", lambda: few_objects)


def command(*arguments):
    return run_command(lambda: train(*parse([*TINY, *arguments])))


def test_the_default_channel_is_latent_vq_with_24_bits():
    name, codec, config = parse([])
    assert name == "latent_vq"
    assert codec == LatentVQConfig(k=4, codebook_size=64)
    assert config == TrainConfig()


def test_flags_reach_the_channel_and_the_trainer():
    arguments = "--channel latent --k 3 --seed 7 --steps 5 --model here --resume"
    name, codec, config = parse(shlex.split(arguments))
    assert (name, codec) == ("latent", LatentConfig(k=3))
    assert (config.seed, config.steps, config.models.model, config.resume) == (7, 5, "here", True)


def test_the_channel_may_be_named_with_an_equals_sign():
    assert parse(["--channel=latent"])[0] == "latent"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--k", "0"], "k must be from 1 to 256, got 0"),
        (["--codebook-size", "1"], "codebook_size must be from 2 to 65536, got 1"),
        (["--seed", "-1"], "seed must be from 0 to"),
        (["--steps", "0"], "steps must be at least 1, got 0"),
        (["--num-candidates", "27"], "num_candidates must be from 2 to 26, got 27"),
        (["--threads", "-1"], "threads must be from 0 to 1024, got -1"),
        (["--codec-width", "30"], "codec_width must be a multiple of codec_heads"),
        (["--cross-entropy", "-1"], "cross_entropy must be a finite weight"),
        (["--steps", "many"], "many"),
        (["--codebok-size", "8"], "--codebook-size"),
    ],
)
def test_a_bad_value_is_a_usage_error_that_names_bound_and_value(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(arguments)
    assert stop.value.code == ExitCode.USAGE
    shown = capsys.readouterr()
    assert words in " ".join((shown.err + shown.out).replace("│", " ").split())


def test_an_unknown_channel_lists_the_valid_and_suggests_the_nearest(capsys):
    assert command("--channel", "latentvq") == ExitCode.USAGE
    shown = " ".join(capsys.readouterr().err.split())
    assert "unknown channel 'latentvq'" in shown
    assert "did you mean 'latent_vq'" in shown
    assert "silence, text" in shown


def test_a_channel_without_weights_cannot_be_trained(capsys):
    assert command("--channel", "text") == ExitCode.USAGE
    assert "'text' has nothing to train; these have: latent, latent_vq" in capsys.readouterr().err


def test_a_run_trains_refuses_to_overwrite_and_resumes(tmp_path, capsys):
    folder = ("--folder", str(tmp_path / "run"))
    assert command(*folder) == ExitCode.PASS
    assert "best validation success" in " ".join(capsys.readouterr().out.split())
    kept = (tmp_path / "run" / "channel.safetensors").read_bytes()
    assert command(*folder) == ExitCode.USAGE
    assert "continue it with --resume" in capsys.readouterr().err
    assert command(*folder, "--resume") == ExitCode.PASS
    assert (tmp_path / "run" / "channel.safetensors").read_bytes() == kept
    assert command(*folder, "--resume", "--seed", "3") == ExitCode.USAGE
    assert "training.seed is 0 there and 3 here" in capsys.readouterr().err


def test_a_damaged_state_cannot_be_resumed_and_stays(tmp_path, capsys):
    folder = ("--folder", str(tmp_path / "run"))
    command(*folder)
    state = tmp_path / "run" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    assert command(*folder, "--resume") == ExitCode.COULD_NOT_RUN
    assert "cannot be resumed" in capsys.readouterr().err
    assert len(state.read_bytes()) == 1000


def test_ctrl_c_keeps_what_was_learned_and_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    step = Trainer.step

    def interrupted(self):
        if self.step_number == 1:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Trainer, "step", interrupted)
    assert command("--folder", str(tmp_path / "run")) == ExitCode.COULD_NOT_RUN
    assert "interrupted at step 1" in capsys.readouterr().err
    monkeypatch.undo()
    assert command("--folder", str(tmp_path / "run"), "--resume") == ExitCode.PASS


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert command("--folder", str(tmp_path / "file" / "run")) == ExitCode.COULD_NOT_RUN
    assert str(tmp_path / "file") in capsys.readouterr().err.replace("\n", "")


def test_a_model_that_is_not_there_is_named(tmp_path, capsys):
    arguments = ("--folder", str(tmp_path / "run"), "--model", str(tmp_path / "nothing"))
    assert command(*arguments) == ExitCode.COULD_NOT_RUN
    assert "nothing" in capsys.readouterr().err


def test_a_folder_is_resumed_only_under_the_same_settings(tmp_path):
    record = TrainConfig(seed=1).record("latent_vq", LatentVQConfig())
    assert prepare_folder(tmp_path / "run", record, resume=True) is False
    path = tmp_path / "run" / "config.json"
    assert json.loads(path.read_text()) == record
    check_same_run(path, record)
    with pytest.raises(ValueError, match=r"codec\.k is 4 there and 5 here"):
        check_same_run(path, TrainConfig(seed=1).record("latent_vq", LatentVQConfig(k=5)))


def test_where_and_how_fast_a_run_goes_does_not_define_it():
    elsewhere = ModelConfig(threads=2, device="cuda")
    one = TrainConfig(resume=True, models=elsewhere).record("latent", LatentConfig())
    assert one == TrainConfig().record("latent", LatentConfig())


def test_errors_become_one_line_without_a_traceback(capsys):
    def fail():
        raise RunError("the disk is [full]")

    assert run_command(fail) == ExitCode.COULD_NOT_RUN
    assert capsys.readouterr().err.strip() == "could not run: the disk is [full]"


def test_help_runs_in_a_process_of_its_own():
    done = subprocess.run(
        [sys.executable, "-m", "training.run", "--help"], capture_output=True, text=True, check=True
    )
    assert "--codebook-size" in done.stdout
