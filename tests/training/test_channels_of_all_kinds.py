"""Training what is no latent channel: recipes, validation, and what each may not be asked for."""

import json
from types import MappingProxyType

import numpy as np
import pytest
import torch
from trainer_cases import make_trainer, moved, only, played, same, snapshot

from parley.agents.command_line import ExitCode, run_command
from parley.agents.model_channels.kv import KvChannel, KvConfig
from parley.agents.model_channels.lora_encoder import LoraEncoderConfig
from parley.agents.model_channels.priming import PrimingChannel, PrimingConfig
from parley.agents.pair import Pair
from parley.agents.sender import Sender
from parley.channels.checkpoint import load_channel
from parley.channels.index import IndexChannel, IndexConfig
from parley.channels.registry import channel_class
from parley.training.config import TrainConfig
from parley.training.loss import Loss, ObjectiveWeights
from parley.training.presets import find_preset
from parley.training.run import parse, train
from parley.training.validation import Validation, observe

CODECS = {
    "index": IndexConfig(),
    "kv": KvConfig(hidden_width=16),
    "lora_encoder": LoraEncoderConfig(codec_width=32),
    "priming": PrimingConfig(),
}
RECIPE = {"alignment_steps": 0, "reconstruction": 0.0, "quantizer": 0.0}


@pytest.fixture(scope="module")
def small_pair(lm, receiver, small_world):
    """Whose sender says one of a few lines; it is kept for all tests here."""
    said = ["tiny red cube", "very large dark sea blue round cone", "tiny blue"]
    sender = Sender(lm, small_world)
    with pytest.MonkeyPatch.context() as patch:  # of this sender alone: the pocket's keeps what it says
        patch.setattr(sender, "_describe", lambda rows: [said[int(row.sum()) % 3] for row in rows])
        yield Pair(sender, receiver, small_world)


def trainer_of(pair, folder, kind, **settings):
    settings = {"objectives": only(ce=1.0), "steps": 2, "learning_rate": 0.01, **settings}
    return make_trainer(pair, folder, kind, CODECS[kind], **settings)


@pytest.mark.parametrize("kind", CODECS)
def test_it_learns_is_validated_and_kept_while_the_models_stay(small_pair, tmp_path, kind):
    trainer = trainer_of(small_pair, tmp_path, kind)
    model = small_pair.receiver.lm.model
    frozen, before = snapshot(model), snapshot(trainer.channel)
    trainer.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2]
    assert all(np.isfinite(lines[0][name]) for name in ("loss", "ce", "grad_norm", "nll_normal", "nll_swap"))
    assert ("scale_gate" in lines[0]) == (kind == "lora_encoder"), "what a channel logs is its own"
    assert ("prefix_cosine" in lines[0]) == (kind != "kv")
    assert moved(trainer, before) == {name for name, _ in trainer.channel.named_parameters()}
    assert same(frozen, snapshot(model))
    assert all(weight.grad is None and not weight.requires_grad for weight in model.parameters())
    loaded = load_channel(tmp_path / "channel.safetensors", small_pair.interface, small_pair.fingerprints)
    assert type(loaded) is channel_class(kind)
    assert same(snapshot(loaded), snapshot(trainer.channel))


def test_kv_learns_under_statistics_of_the_senders_cache(small_pair, tmp_path):
    trainer = trainer_of(small_pair, tmp_path, "kv")
    assert trainer.train_utterances.states.shape[2] == trainer.channel.state_width
    assert trainer.channel.standardize.mean.any()
    assert trainer.channel.null_input(4).keys.shape == (4, 3, 4, 8, 8)


def test_index_learns_to_point(small_pair, tmp_path):
    """It is told where the target is, and nothing stands between that and the answer."""
    fixed = {"fixed_episodes": 4, "messages_per_context": 1, "warmup_steps": 0}
    trainer = trainer_of(small_pair, tmp_path, "index", steps=9, learning_rate=0.05, **fixed)
    assert trainer.train_utterances is None
    losses = [trainer.step()["loss"] for _ in range(8)]
    assert losses[-1] < losses[0] - 0.1
    assert set(trainer.channel.send(played(trainer).utterance)) <= set(range(5))


def test_a_step_tells_each_receiver_s_scene(small_pair, tmp_path):
    step = played(trainer_of(small_pair, tmp_path, "index"))
    assert len(step.targets) == 8
    scene, world = step.utterance.scene, small_pair.world
    assert torch.equal(scene.targets, step.targets)
    for candidates, target, referent in zip(
        scene.candidates, scene.targets.tolist(), step.sender_views.numpy(), strict=True
    ):
        assert len(candidates) == 5
        assert candidates[target] == world.describe(referent)
    assert scene.candidates[0] == scene.candidates[1] != scene.candidates[2], "two targets a context"


def test_validation_tells_the_scene_of_target_and_foil(small_pair):
    torch.manual_seed(0)
    channel, sent = IndexChannel(IndexConfig(), small_pair.interface).eval(), []

    class Noted(IndexChannel):
        def send(self, utterance):
            sent.append(super().send(utterance))
            return sent[-1]

    channel.__class__ = Noted
    channel.name = "index"
    game = TrainConfig().find_game(small_pair.world, "validation")
    validation = Validation(small_pair, channel, game, 12)
    seen = validation.play()
    own, swap_targets = sent
    assert own == validation.targets.tolist()
    assert swap_targets == [(place + 1) % 5 for place in own]
    of_prefixes = {"prefix_cosine", "prefix_rank", "norm_ratio"}
    played = {"validation_success", "nll_normal", "nll_shuffle", "nll_swap", "nll_null"}
    assert seen.keys() == played | of_prefixes
    with torch.no_grad():
        logits = small_pair.receiver.choose(validation.context, channel.receive(swap_targets))
    swapped = float(torch.nn.functional.cross_entropy(logits, validation.targets))
    assert seen["nll_swap"] == pytest.approx(swapped, rel=1e-5)


def test_what_is_no_prefix_has_none_to_observe(small_pair):
    torch.manual_seed(0)
    referents = small_pair.world.referents("train")[:6]
    kv = KvChannel(KvConfig(), small_pair.interface).eval()
    assert observe(kv, kv.send(small_pair.speak(kv, referents))) == {}
    priming = PrimingChannel(PrimingConfig(), small_pair.interface).eval()
    seen = observe(priming, priming.send(small_pair.speak(priming, referents)))
    assert seen["prefix_cosine"] == pytest.approx(1, abs=1e-4), "everybody gets the same"


def test_who_speaks_about_episodes_is_not_aligned_without_any(small_pair, tmp_path):
    wanted = "alignment_steps must be 0 for channel 'index', which speaks about episodes, not about referents"
    with pytest.raises(ValueError, match=f"{wanted} alone, got 1"):
        trainer_of(small_pair, tmp_path, "index", alignment_steps=1, objectives=only(reconstruction=1.0))


@pytest.mark.parametrize("name", ["attributes", "state_reconstruction"])
@pytest.mark.parametrize("kind", ["kv", "index", "priming"])
def test_nothing_is_guessed_from_a_channel_without_latents(small_pair, tmp_path, kind, name):
    wanted = f"{name} needs a channel with latents, and '{kind}' has none"
    with pytest.raises(ValueError, match=wanted):
        trainer_of(small_pair, tmp_path, kind, objectives=only(**{name: 1.0}))
    channel = channel_class(kind)(CODECS[kind], small_pair.interface)
    assert not list(Loss(only(ce=1.0, info_preserve=1.0), channel, small_pair.world).parameters())


def test_a_cache_is_not_compared_with_tokens(small_pair, tmp_path):
    trainer = trainer_of(small_pair, tmp_path, "kv", objectives=only(reconstruction=1.0))
    wanted = "channel delivers a CacheEntries: set --reconstruction 0 and --alignment-steps 0"
    with pytest.raises(ValueError, match=wanted):
        trainer.step()


def test_latents_are_not_asked_of_a_channel_that_has_none(small_pair, tmp_path):
    trainer = trainer_of(small_pair, tmp_path, "kv", objectives=only(ce=1.0, info_preserve=1.0))
    with pytest.raises(ValueError, match="needs latents, as channel `latent` has"):
        trainer.step()


@pytest.mark.parametrize("kind", ["index", "kv", "priming"])
def test_a_channel_s_recipe_takes_the_place_of_the_default_s_settings(kind):
    assert dict(channel_class(kind).train_defaults) == RECIPE
    preset = find_preset("default")
    training = preset.training_for(channel_class(kind))
    assert training.alignment_steps == 0
    assert training.objectives.weights == {"ce": 1.0}
    rest = {"alignment_steps", "objectives"}
    assert all(
        getattr(training, name) == value for name, value in vars(TrainConfig()).items() if name not in rest
    )
    assert preset.training == TrainConfig(), "the preset stays as it is"


def test_a_channel_without_a_recipe_is_trained_as_the_preset_says():
    for name in ("original", "default", "reinforce"):
        preset = find_preset(name)
        assert preset.training_for(channel_class("latent")) == preset.training


def test_a_recipe_may_hold_only_what_the_trainer_has(monkeypatch):
    monkeypatch.setattr(PrimingChannel, "train_defaults", MappingProxyType({"reconstructoin": 0.0}))
    wanted = "unknown setting of the trainer 'reconstructoin', did you mean 'reconstruction'?"
    with pytest.raises(ValueError, match=wanted.replace("?", r"\?")):
        find_preset("default").training_for(PrimingChannel)


@pytest.mark.parametrize("kind", ["index", "kv", "priming"])
def test_the_command_takes_the_recipe_unless_a_preset_is_asked_for(kind):
    name, codec, config = parse(["--channel", kind])
    assert (name, type(codec)) == (kind, channel_class(kind).Config)
    assert (config.alignment_steps, config.objectives.weights) == (0, {"ce": 1.0})
    kept = parse(["--preset", "default", "--channel", kind])[2]
    assert kept.alignment_steps == TrainConfig().alignment_steps > 0
    assert kept.objectives == ObjectiveWeights()
    changed = parse(["--channel", kind, "--reconstruction", "0.5", "--steps", "7"])[2]
    assert (changed.objectives.weights["reconstruction"], changed.steps) == (0.5, 7)


@pytest.mark.usefixtures("pocket_loaded_once")
def test_a_preset_that_does_not_suit_is_refused_in_clear_words(tmp_path, capsys):
    arguments = ["--preset", "default", "--channel", "index", "--folder", str(tmp_path / "run")]

    def command():
        train(*parse([*arguments, "--device", "cpu"]))
        return ExitCode.PASS

    assert run_command(command) == ExitCode.USAGE
    shown = " ".join(capsys.readouterr().err.split())
    assert "alignment_steps must be 0 for channel 'index', which speaks about episodes" in shown
    arguments[:2] = ["--steps", "1", "--batch-size", "2", "--validation-episodes", "4"]
    assert run_command(command) == ExitCode.PASS, "what was refused does not stand in the way of a better one"
    assert json.loads((tmp_path / "run" / "config.json").read_text())["training"]["alignment_steps"] == 0
    assert run_command(command) == ExitCode.USAGE
    assert "holds a run already" in capsys.readouterr().err
