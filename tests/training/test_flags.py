"""Every flag of the training command is seen with two values, at least (failure 13)."""

import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from objective_cases import NAMES

from parley.channels.registry import channel_class
from parley.training.config import TrainConfig
from parley.training.costs.cards import EstimateConfig
from parley.training.presets import find_preset
from parley.training.run import ask, parse

# each flag with a value that is neither its default nor another flag's
CODEC = {
    "k": 3, "latent_width": 21, "encoder": "pooled", "decoder": "identity", "codec_width": 48,
    "codec_heads": 6, "depth": 0.125, "reads": "message", "standardize": False, "at_start": True,
    "initial_gate": 0.375,
}  # fmt: skip
OF_CHANNEL = {
    "latent": {},
    "latent_vq": {"codebook_size": 33, "shared_codebook": True},
    "latent_fsq": {"levels": (7, 5, 3)},
    "latent_rvq": {"codebook_size": 35, "stages": 4, "shared_codebook": True},
    "latent_gumbel": {"codebook_size": 36, "sharpness": 8.5, "temperature": 0.75},
    "symbols": {"codebook_size": 34},
}
TRAINING = {
    "folder": "some/folder", "resume": True, "seed": 7, "steps": 345, "alignment_steps": 11,
    "alignment_batch": 22, "first_tokens_only": True, "labels": "exact", "continuous_share": 0.625,
    "batch_size": 9, "messages_per_context": 2, "fixed_episodes": 77, "learning_rate": 0.0625,
    "warmup_steps": 13, "learning_rate_every": 14, "beta2": 0.875, "weight_decay": 0.03125,
    "max_grad_norm": 2.5, "num_candidates": 6, "validate_every": 15, "validation_episodes": 16,
    "game": "some_game", "world": "some/world.jsonl",
}  # fmt: skip
OBJECTIVES = {
    "ce": 1.5, "contrast": 0.2, "swap_contrast": 0.3, "reconstruction": 0.4, "attributes": 0.6,
    "state_reconstruction": 0.7, "info_nce": 0.8, "info_preserve": 0.9, "teacher_kl": 1.1, "reinforce": 1.2,
    "entropy": 1.3, "quantizer": 1.4,
}  # fmt: skip
SETTINGS = {
    "contrast.margin": 1.75, "swap_contrast.margin": 2.25, "help.margin": 0.25, "info_nce.rows": 6,
    "reconstruction.temperature": 0.1875,
}  # fmt: skip
MODELS = {
    "model": "m", "sender": "s", "receiver": "r", "device": "cpu", "device_map": "balanced", "threads": 2,
    "player": Path("some.json"), "readout": "some_readout", "wording": "some", "calibration": "content_free",
    "shots": 3, "dtype": "bfloat16", "sender_cache": Path("some/cache"),
}  # fmt: skip
SWITCHES = {"standardize", "at_start", "shared_codebook", "resume", "first_tokens_only"}


def flags(values):
    arguments = []
    for name, value in values.items():
        dashed = name.replace("_", "-")
        if isinstance(value, bool):
            arguments.append(f"--{dashed}" if value else f"--no-{dashed}")
        elif isinstance(value, tuple):
            arguments += [f"--{dashed}", *map(str, value)]
        else:
            arguments += [f"--{dashed}", str(value)]
    return arguments


def plain_settings(config):
    """A configuration's own settings, without the configurations in it."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return {name: value for name, value in values.items() if not is_dataclass(value)}


@pytest.mark.parametrize("channel", OF_CHANNEL)
def test_every_flag_reaches_its_own_setting(channel):
    codec_values = {**CODEC, **OF_CHANNEL[channel]}
    every = {**codec_values, **TRAINING, **OBJECTIVES, **SETTINGS, **MODELS, "among": "vocabulary"}
    name, codec, training = parse(["--channel", channel, "--help-loss", "0.1", *flags(every)])
    assert name == channel
    assert plain_settings(codec) == codec_values, "the table above must name every flag"
    seen = {**plain_settings(training), "folder": str(training.folder)}
    assert seen == TRAINING
    assert training.objectives.weights == {"help": 0.1, **OBJECTIVES}
    assert training.objectives.weights.keys() == set(NAMES), "the table above must name every objective"
    settings = training.objectives.settings
    assert {f"{name}.{key}": v for name, own in settings.items() for key, v in own.items()} == SETTINGS
    assert training.objectives.among == "vocabulary"
    assert plain_settings(training.models) == MODELS


@pytest.mark.parametrize("channel", OF_CHANNEL)
def test_no_flag_is_set_unless_it_is_said(channel):
    _, codec, training = parse(["--channel", channel])
    assert codec == channel_class(channel).Config()
    assert plain_settings(training) == {**plain_settings(TrainConfig()), "folder": training.folder}
    assert training.objectives == TrainConfig().objectives
    assert training.models == TrainConfig().models
    settings = {**plain_settings(codec), **plain_settings(training), **training.objectives.weights}
    said = {**CODEC, **OF_CHANNEL[channel], **TRAINING, **OBJECTIVES}
    assert [name for name, value in settings.items() if value == said.get(name)] == []


def test_the_flags_of_an_estimate_reach_it_and_no_training():
    values = {
        "estimate": True, "card": "l4", "peak_tflops": 1.5, "bandwidth_gbs": 2.5, "utilisation": 0.5,
    }  # fmt: skip
    asked = ask(flags(values))
    assert plain_settings(asked.estimate) == values
    assert asked[:3] == parse([])
    assert ask([]).estimate == EstimateConfig()


def test_the_help_loss_can_be_asked_for():
    assert parse(["--help-loss", "0.1"])[2].objectives.weights["help"] == 0.1


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("preset", ["original", "default"])
def test_every_switch_can_be_thrown_both_ways_whatever_the_preset_says(preset, value):
    _, codec, training = parse(
        ["--preset", preset, "--channel", "latent_vq", *flags(dict.fromkeys(SWITCHES, value))]
    )
    settings = {**plain_settings(codec), **plain_settings(training)}
    assert {name: settings[name] for name in SWITCHES} == dict.fromkeys(SWITCHES, value)
    assert {name for name, setting in settings.items() if isinstance(setting, bool)} == SWITCHES


@pytest.mark.parametrize(
    ("flag", "values"),
    [
        ("--encoder", ["perceiver", "pooled"]),
        ("--decoder", ["mlp", "identity"]),
        ("--reads", ["prompt", "message"]),
        ("--among", ["choices", "vocabulary"]),
        ("--labels", ["said", "exact"]),
    ],
)
def test_every_choice_takes_its_names_and_no_other(flag, values, capsys):
    for value in values:
        _, codec, training = parse(["--channel", "latent", flag, value])
        settings = {
            **plain_settings(codec),
            **plain_settings(training),
            **plain_settings(training.objectives),
        }
        assert settings[flag.removeprefix("--")] == value
    with pytest.raises(SystemExit) as stop:
        parse(["--channel", "latent", flag, "nonsense"])
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert "nonsense" in shown.err + shown.out


def test_the_flags_of_one_channel_are_unknown_to_another(capsys):
    for channel, flag in (
        ("latent", "--codebook-size"),
        ("latent_fsq", "--shared-codebook"),
        ("symbols", "--levels"),
    ):
        with pytest.raises(SystemExit):
            parse(["--channel", channel, flag, "8"])
        shown = capsys.readouterr()
        assert flag in shown.err + shown.out


@pytest.mark.parametrize("preset", ["original", "default", "reinforce"])
def test_a_preset_without_flags_is_itself(preset):
    name, codec, training = parse([f"--preset={preset}"])
    wanted = find_preset(preset)
    assert name == wanted.channel
    assert codec == wanted.codec_for(channel_class(name))
    assert plain_settings(training) == {**plain_settings(wanted.training), "folder": training.folder}
    assert training.objectives == wanted.training.objectives


def test_single_flags_override_the_preset_and_leave_the_rest():
    arguments = [
        "--k",
        "7",
        "--preset",
        "original",
        "--no-at-start",
        "--batch-size",
        "16",
        "--contrast",
        "2",
    ]
    name, codec, training = parse(arguments)
    preset = find_preset("original")
    assert name == "latent"
    assert (codec.k, codec.at_start) == (7, False)
    assert (codec.encoder, codec.depth, codec.initial_gate) == ("pooled", 1.0, 0.5)
    assert (training.batch_size, training.steps) == (16, 1374)
    weights = training.objectives.weights
    assert weights == preset.training.objectives.weights | {"contrast": 2.0}
    assert training.objectives.settings == preset.training.objectives.settings
    assert training.objectives.among == "vocabulary"
    assert preset.training.batch_size == 8, "the preset itself stays"


def test_another_channel_takes_the_preset_s_codec_as_far_as_it_has_one():
    name, codec, training = parse(["--preset", "original", "--channel", "latent_vq", "--codebook-size", "8"])
    assert name == "latent_vq"
    assert type(codec) is channel_class("latent_vq").Config
    assert (codec.codebook_size, codec.encoder, codec.at_start) == (8, "pooled", True)
    assert training.fixed_episodes == 1099


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        ([], "runs/latent_vq-seed0"),
        (["--channel", "latent", "--seed", "3"], "runs/latent-seed3"),
        (["--preset", "default", "--channel", "latent"], "runs/latent-seed0"),
        (["--preset", "original"], "runs/original-seed0"),
        (["--preset", "original", "--channel", "latent"], "runs/original-seed0"),
        (
            ["--preset", "original", "--channel", "latent_vq", "--seed", "4"],
            "runs/original-latent_vq-seed4",
        ),
        (["--preset=reinforce"], "runs/reinforce-seed0"),
        (["--preset", "reinforce", "--folder", "here"], "here"),
    ],
)
def test_where_a_run_is_kept_by_default(arguments, folder):
    assert parse(arguments)[2].folder.as_posix() == folder


@pytest.mark.parametrize(
    ("channel", "own", "other"),
    [("latent_vq", "--shared-codebook", "--levels"), ("latent_fsq", "--levels", "--shared-codebook")],
)
def test_help_names_presets_channels_and_the_flags_of_the_one_that_is_named(channel, own, other, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(["--channel", channel, "--help"])
    assert stop.value.code in (0, None)
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "one of original, default, aligned, reinforce" in shown
    assert "latent, latent_fsq, latent_gumbel, latent_rvq, latent_vq, " in shown
    assert "what is talked about. (one of elements, objects, or a file; default: objects)" in shown
    assert own in shown
    assert other not in shown


def test_the_command_line_is_what_is_parsed_by_main(monkeypatch, tmp_path):
    import parley.training.run as command

    asked = []
    monkeypatch.setattr(command, "train", lambda *parsed: asked.append(parsed))
    monkeypatch.setattr(sys, "argv", ["training.run", "--channel", "latent", "--folder", str(tmp_path)])
    assert command.main() == 0
    [(name, codec, training)] = asked
    assert (name, codec, training.folder) == ("latent", channel_class("latent").Config(), tmp_path)
