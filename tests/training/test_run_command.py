"""The training command: flags, run folders, and what a user reads when something is wrong."""

import json
import shlex
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from parley.agents.command_line import ExitCode, RunError, run_command
from parley.agents.folder_lock import locked
from parley.agents.pair import ModelConfig, Pair
from parley.agents.player import find_profile
from parley.channels.codec import CodecConfig
from parley.channels.latent import ScalarQuantizedConfig, VectorQuantizedConfig
from parley.training.config import TrainConfig, check_same_run
from parley.training.loss import ObjectiveWeights
from parley.training.run import check_folder, parse, train

pytestmark = pytest.mark.usefixtures("pocket_loaded_once")
TINY = [
    "--steps", "2", "--batch-size", "2", "--messages-per-context", "1", "--validation-episodes", "4",
    "--alignment-steps", "0", "--codec-width", "16", "--device", "cpu",
]  # fmt: skip


def command(*arguments):
    def run():
        train(*parse([*TINY, *arguments]))
        return ExitCode.PASS

    return run_command(run)


def test_the_default_channel_is_latent_vq_with_24_bits():
    name, codec, config = parse([])
    assert name == "latent_vq"
    assert codec == VectorQuantizedConfig(k=4, codebook_size=64)
    assert config == TrainConfig(folder=Path("runs/latent_vq-seed0"))


def test_flags_reach_the_channel_and_the_trainer():
    arguments = "--channel latent --k 3 --seed 7 --steps 500 --model here --resume"
    name, codec, config = parse(shlex.split(arguments))
    assert (name, codec) == ("latent", CodecConfig(k=3))
    assert (config.seed, config.steps, config.models.model, config.resume) == (7, 500, "here", True)


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
        (["--ce", "-1"], "ce must be a finite weight of at least 0, got -1"),
        (["--steps", "5"], "alignment_steps must be from 0 to 5, got 100"),
        (
            ["--reconstruction", "0"],
            "alignment_steps must be 0 without an objective of messages alone, such as reconstruction",
        ),
        (["--batch-size", "0"], "batch_size must be at least 1, got 0"),
        (["--alignment-batch", "0"], "alignment_batch must be at least 1, got 0"),
        (["--messages-per-context", "6"], "messages_per_context must be from 1 to 5, got 6"),
        (["--continuous-share", "1.5"], "continuous_share must be from 0 to 1, got 1.5"),
        (["--fixed-episodes", "-1"], "fixed_episodes must be from 0 to 10000000, got -1"),
        (["--learning-rate", "-1"], "learning_rate must be from 0 to 1000000.0, got -1"),
        (["--learning-rate-every", "0"], "learning_rate_every must be at least 1, got 0"),
        (["--beta2", "2"], "beta2 must be from 0 to less than 1, got 2"),
        (["--learning-rate", "inf"], "learning_rate must be from 0 to 1000000.0, got inf"),
        (["--learning-rate", "nan"], "learning_rate must be from 0 to 1000000.0, got nan"),
        (["--weight-decay", "inf"], "weight_decay must be from 0 to 1000000.0, got inf"),
        (["--max-grad-norm", "inf"], "max_grad_norm must be at least 1e-09, got inf"),
        (["--initial-gate", "nan"], "initial_gate must be from"),
        (["--reconstruction", "nan"], "reconstruction must be a finite weight of at least 0, got nan"),
        (["--warmup-steps", "-1"], "warmup_steps must be at least 0, got -1"),
        (["--max-grad-norm", "0"], "max_grad_norm must be at least 1e-09, got 0"),
        (["--validate-every", "0"], "validate_every must be at least 1, got 0"),
        (["--validation-episodes", "0"], "validation_episodes must be at least 1, got 0"),
        (["--depth", "2"], "depth must be from 0 to 1, got 2"),
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
    assert "silence, symbols, text" in shown


def test_an_unknown_preset_lists_the_valid_and_suggests_the_nearest(capsys):
    assert command("--preset", "orignal") == ExitCode.USAGE
    shown = " ".join(capsys.readouterr().err.split())
    assert "unknown preset 'orignal', did you mean 'original'? The presets are:" in shown


def test_a_channel_without_weights_cannot_be_trained(capsys):
    assert command("--channel", "text") == ExitCode.USAGE
    assert "'text' has nothing to train; these have: index, kv, latent, " in capsys.readouterr().err


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


def test_a_pair_that_is_loaded_already_is_played_with(tmp_path, pocket_pair, monkeypatch):
    """And the seed decides all the same: what was drawn before does not matter."""
    monkeypatch.setattr(Pair, "load", lambda *_: pytest.fail("the models were loaded again"))
    folders = []
    for name in ("one", "other"):
        _, codec, config = parse([*TINY, "--folder", str(tmp_path / name)])
        folders.append(train("latent_vq", codec, config, pocket_pair))
    assert folders == [tmp_path / "one", tmp_path / "other"]
    kept = [(folder / "channel.safetensors").read_bytes() for folder in folders]
    assert kept[0] == kept[1]


def test_a_damaged_state_cannot_be_resumed_and_stays(tmp_path, capsys):
    folder = ("--folder", str(tmp_path / "run"))
    command(*folder)
    state = tmp_path / "run" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    assert command(*folder, "--resume") == ExitCode.COULD_NOT_RUN
    assert "cannot be resumed" in capsys.readouterr().err
    assert len(state.read_bytes()) == 1000


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert command("--folder", str(tmp_path / "file" / "run")) == ExitCode.COULD_NOT_RUN
    assert str(tmp_path / "file") in capsys.readouterr().err.replace("\n", "")


def test_a_model_that_is_not_there_is_named(tmp_path, capsys):
    arguments = ("--folder", str(tmp_path / "run"), "--model", str(tmp_path / "nothing"))
    assert command(*arguments) == ExitCode.COULD_NOT_RUN
    assert "nothing" in capsys.readouterr().err


def record_of(channel, codec, **settings):
    return TrainConfig(**settings).record(channel, codec)


def test_a_folder_is_resumed_only_under_the_same_settings(tmp_path):
    record = record_of("latent_vq", VectorQuantizedConfig(), seed=1)
    assert check_folder(tmp_path, record, resume=True) is False
    path = tmp_path / "config.json"
    path.write_text(json.dumps(record))
    (tmp_path / "state.safetensors").touch()
    assert check_folder(tmp_path, record, resume=True) is True
    with pytest.raises(ValueError, match=r"codec\.k is 4 there and 5 here"):
        check_same_run(path, record_of("latent_vq", VectorQuantizedConfig(k=5), seed=1))


def test_a_run_of_any_channel_is_the_same_run_when_it_is_resumed(tmp_path):
    record = record_of("latent_fsq", ScalarQuantizedConfig())
    (tmp_path / "config.json").write_text(json.dumps(record))
    check_same_run(tmp_path / "config.json", record)


@pytest.mark.parametrize("content", ["{", "[]", '{"channel": "latent_vq", "codec": 3, "training": {}}'])
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RunError, match=r"config\.json is damaged: "):
        check_same_run(tmp_path / "config.json", record_of("latent_vq", VectorQuantizedConfig()))


ALL = {"config.json", "state.safetensors", "metrics.jsonl", "channel.safetensors"}


@pytest.mark.parametrize("traces", [ALL, *(ALL - {name} for name in ALL), *({name} for name in ALL)])
def test_what_is_left_of_a_run_is_never_overwritten(tmp_path, traces):
    record = record_of("latent_vq", VectorQuantizedConfig())
    for name in traces:
        (tmp_path / name).write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"holds a run already .* continue it with --resume, or name"):
        check_folder(tmp_path, record, resume=False)
    if traces == {"config.json"}:  # one that was cut before it learned anything
        assert check_folder(tmp_path, record, resume=True) is False
    elif {"config.json", "state.safetensors"} <= traces:
        assert check_folder(tmp_path, record, resume=True) is True
    else:
        with pytest.raises(RunError, match=r"but no .*, so that run cannot be continued; name another"):
            check_folder(tmp_path, record, resume=True)


@pytest.mark.parametrize("role", ["sender", "receiver"])
def test_a_run_whose_models_changed_is_refused(tmp_path, capsys, monkeypatch, pocket_pair, role):
    folder = ("--folder", str(tmp_path / "run"))
    command(*folder)
    changed = pocket_pair.fingerprints | {role: "0" * 64}
    monkeypatch.setattr(Pair, "fingerprints", changed)
    assert command(*folder, "--resume") == ExitCode.USAGE
    shown = capsys.readouterr().err
    assert f"has other settings: models.{role} is" in shown
    assert f"'{'0' * 64}' here" in shown


def test_a_folder_by_another_path_is_the_same_model(qwen2_folder, small_world, tmp_path, monkeypatch):
    monkeypatch.chdir(qwen2_folder.parent)
    (tmp_path / "link").symlink_to(qwen2_folder)
    name = qwen2_folder.name
    records = []
    for model in (str(qwen2_folder), name, f"./{name}/../{name}/", str(tmp_path / "link")):
        config = TrainConfig(models=ModelConfig(model=model, device="cpu"))
        pair = Pair.load(config.models, small_world)
        records.append(config.record("latent", CodecConfig()) | {"models": pair.fingerprints})
    assert all(record == records[0] for record in records)


def test_a_run_that_is_refused_leaves_no_trace(tmp_path, capsys):
    assert command("--folder", str(tmp_path), "--continuous-share", "1") == ExitCode.USAGE
    assert "continuous_share must leave steps" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_two_runs_never_share_a_folder(tmp_path, capsys):
    with locked(tmp_path):
        assert command("--folder", str(tmp_path)) == ExitCode.COULD_NOT_RUN
    assert "another run is at work in" in capsys.readouterr().err
    assert command("--folder", str(tmp_path)) == ExitCode.PASS


def test_all_that_defines_a_run_is_recorded():
    record = TrainConfig(seed=1).record("latent", CodecConfig(k=3))
    assert record["channel"] == "latent"
    assert record["codec"] == asdict(CodecConfig(k=3))
    own = record["training"]
    left_out = {field.name for field in fields(TrainConfig)} - set(own)
    assert left_out == {"folder", "resume"}
    assert set(own["objectives"]) == {field.name for field in fields(ObjectiveWeights)}
    assert own["objectives"]["weights"] == {"ce": 1.0, "quantizer": 1.0, "reconstruction": 1.0}
    assert own["objectives"]["settings"] == {"reconstruction": {"temperature": 0.1}}
    assert own["models"] == {"dtype": "auto"}, "who plays is told by fingerprints"
    assert own["players"] == find_profile(ModelConfig()).settings


def test_where_and_how_fast_a_run_goes_does_not_define_it():
    elsewhere = ModelConfig(threads=2, device="cuda", sender_cache=None)
    one = TrainConfig(resume=True, models=elsewhere).record("latent", CodecConfig())
    assert one == TrainConfig().record("latent", CodecConfig())


def test_errors_become_one_line_without_a_traceback(capsys):
    def fail():
        raise RunError("the disk is [full]")

    assert run_command(fail) == ExitCode.COULD_NOT_RUN
    assert capsys.readouterr().err.strip() == "could not run: the disk is [full]"
