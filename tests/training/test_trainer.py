"""The training loop on the pocket: what changes, what must not, and what survives a cut."""

import json

import pytest
import torch

from agents.command_line import RunError
from agents.pair import ModelConfig, Pair
from channels.base import Words
from channels.checkpoint import load_channel, read_header
from channels.latent import ContinuousChannel, LatentConfig, LatentVQConfig, VectorQuantizedChannel
from training.config import TrainConfig
from training.objectives import ObjectiveWeights
from training.trainer import Trainer

SMALL = {
    "batch_size": 4,
    "messages_per_context": 2,
    "validate_every": 2,
    "validation_episodes": 8,
    "warmup_steps": 2,
}


@pytest.fixture(scope="module")
def pair(few_objects):
    return Pair.load(ModelConfig(device="cpu"), few_objects)


def make_trainer(pair, folder, kind="vq", **settings):
    torch.manual_seed(0)
    config = TrainConfig(**{**SMALL, "steps": 4, **settings})
    if kind == "vq":
        channel = VectorQuantizedChannel(LatentVQConfig(codebook_size=16, codec_width=32), pair.ends)
    else:
        channel = ContinuousChannel(LatentConfig(codec_width=32), pair.ends)
    return Trainer(channel, pair, config, folder)


def snapshot(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["vq", "continuous"])
def test_the_codec_learns_and_the_models_stay_bit_identical(pair, tmp_path, kind):
    trainer = make_trainer(pair, tmp_path, kind)
    model = pair.sender.lm.model
    frozen, codec = snapshot(model), snapshot(trainer.channel)
    trainer.run()
    assert same(frozen, snapshot(model))
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.parameters())
    moved = [
        name for name, value in trainer.channel.named_parameters() if not torch.equal(value, codec[name])
    ]
    assert set(moved) == {name for name, _ in trainer.channel.named_parameters()}


def test_every_parameter_of_the_codec_gets_a_gradient_through_the_receiver(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, objectives=ObjectiveWeights(reconstruction=0.0, quantizer=0.0))
    trainer.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trainer.channel.parameters())


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(pair, tmp_path):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = make_trainer(pair, tmp_path / "whole", steps=6)
    whole.run()
    first = make_trainer(pair, tmp_path / "cut", steps=6)
    for _ in range(4):
        first.step()
    first.save()
    second = make_trainer(pair, tmp_path / "cut", steps=6)
    torch.manual_seed(123)  # a new process has another generator until the state is loaded
    second.resume()
    assert second.step_number == 4
    for _ in range(2):
        second.step()
    assert same(snapshot(whole.channel), snapshot(second.channel))


def test_the_run_folder_holds_metrics_checkpoint_and_state(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path)
    trainer.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert {"loss", "cross_entropy", "reconstruction", "success", "validation_success", "perplexity"} <= set(
        lines[-1]
    )
    header = read_header(tmp_path / "channel.safetensors")
    assert header.channel == "latent_vq"
    assert header.training["seed"] == 0
    loaded = load_channel(tmp_path / "channel.safetensors", pair.ends, pair.fingerprints)
    assert not loaded.training
    assert (tmp_path / "state.safetensors").exists()


def test_the_best_checkpoint_on_validation_is_kept(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, "continuous")
    scores = iter([0.5, 0.3])
    modes = []
    trainer.validation.success = lambda channel: (modes.append(channel.training), next(scores))[1]
    trainer.run()
    assert modes == [False, False]
    assert read_header(tmp_path / "channel.safetensors").training["validation_success"] == 0.5
    assert trainer.best == 0.5


def test_a_discrete_channel_is_kept_only_once_it_is_quantised(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, continuous_share=0.5)
    trainer.step()
    trainer.validate()
    assert not (tmp_path / "channel.safetensors").exists()
    for _ in range(2):
        trainer.step()
    trainer.validate()
    assert (tmp_path / "channel.safetensors").exists()


def test_quantising_begins_at_its_share_of_the_steps(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, continuous_share=0.5)
    states = []
    for _ in range(4):
        trainer.step()
        states.append(bool(trainer.channel.quantizing))
    assert states == [False, False, True, True]


def test_validation_plays_in_eval_mode_and_leaves_the_codebook_alone(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, continuous_share=0.0)
    trainer.step()
    before = snapshot(trainer.channel)
    trainer.validate()
    assert same(before, snapshot(trainer.channel))
    assert trainer.channel.training


def test_a_loss_that_is_not_finite_stops_and_keeps_what_was_saved(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, "continuous")
    trainer.run()
    kept = (tmp_path / "channel.safetensors").read_bytes()
    with torch.no_grad():
        trainer.channel.decoder.scale_gate.fill_(float("nan"))
    with pytest.raises(RunError, match=r"the loss is nan at step 5.*keeps the last good checkpoint"):
        trainer.step()
    assert (tmp_path / "channel.safetensors").read_bytes() == kept


def test_the_learning_rate_warms_up_and_falls_to_zero(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, steps=10, warmup_steps=2, learning_rate=1.0)
    rates = []
    for trainer.step_number in range(11):
        rates.append(trainer.learning_rate())
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] == pytest.approx(0.0)


def test_training_episodes_are_training_referents_and_targets_vary(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, batch_size=16, messages_per_context=5)
    batch = trainer.play()
    assert batch.logits.shape == (80, 5)
    assert sorted(batch.targets[:5].tolist()) == [0, 1, 2, 3, 4]
    assert len({tuple(row) for row in batch.targets.reshape(16, 5).tolist()}) > 10
    drawn = trainer.sampler.draw(trainer.rng).candidates
    assert pair.world.in_split(drawn, "train").all()
    assert (trainer.number_of[pair.world.index(pair.world.referents("train"))] >= 0).all()
    assert (trainer.number_of[pair.world.index(pair.world.referents("test"))] == -1).all()


def test_a_context_is_played_with_its_own_candidates(pair, tmp_path):
    """Repeated contexts and their messages must stay in step: the receiver's text success shows it."""
    trainer = make_trainer(pair, tmp_path, batch_size=8, messages_per_context=5)
    seen = {}
    choose = pair.receiver.choose

    def listen(context, reception):
        texts = [seen["texts"][i] for i in range(len(context.mask))]
        return choose(context, Words(texts))

    speak = pair.sender.speak

    def note(referents):
        utterance = speak(referents)
        seen["texts"] = list(utterance.texts)
        return utterance

    pair.sender.speak, pair.receiver.choose = note, listen
    try:
        batch = trainer.play()
    finally:
        del pair.sender.speak, pair.receiver.choose
    assert (batch.logits.argmax(-1) == batch.targets).float().mean() > 0.9
