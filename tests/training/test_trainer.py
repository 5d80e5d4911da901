"""The training loop on the pocket: what changes, what must not, and what is kept."""

import json

import numpy as np
import pytest
import torch
from objective_cases import NAMES
from trainer_cases import CODECS, failed_codec, make_trainer, moved, only, played, same, snapshot

from parley.channels.base import SoftPrompt
from parley.channels.checkpoint import load_channel, read_header
from parley.channels.conditions import find_condition
from parley.channels.receiver_input import zeros_like_input


@pytest.fixture
def pair(pocket_pair):
    return pocket_pair


@pytest.mark.parametrize("kind", CODECS)
def test_the_codec_learns_and_the_models_stay_bit_identical(pair, tmp_path, kind):
    trainer = make_trainer(pair, tmp_path, kind)
    model = pair.sender.lm.model
    frozen, codec = snapshot(model), snapshot(trainer.channel)
    trainer.run()
    assert same(frozen, snapshot(model))
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.parameters())
    assert moved(trainer, codec) == {name for name, _ in trainer.channel.named_parameters()}


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_teaches_the_codec_and_is_logged_by_its_name(pair, tmp_path, name):
    kind = "symbols" if name in ("reinforce", "entropy") else "latent_vq"
    weights = {"ce": 1.0, name: 1.0} if name == "quantizer" else {name: 1.0}
    trainer = make_trainer(pair, tmp_path, kind, objectives=only(**weights), continuous_share=0.0)
    before = snapshot(trainer.channel)
    torch.manual_seed(3)
    record = trainer.step()
    assert set(record) - set(NAMES) == {
        "step", "loss", "success", "grad_norm", "scale_gate", "learning_rate"
    }  # fmt: skip
    assert set(weights) <= set(record)
    assert np.isfinite(record["loss"])
    assert "encoder.queries" in moved(trainer, before)
    assert all(parameter.grad is None for parameter in pair.receiver.lm.model.parameters())


def test_every_parameter_of_the_codec_gets_a_gradient_through_the_receiver(pair, tmp_path):
    """Failure 11."""
    trainer = make_trainer(pair, tmp_path, objectives=only(ce=1.0))
    trainer.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trainer.channel.parameters())


def test_the_failed_experiment_s_codec_learns_from_its_losses(pair, tmp_path):
    objectives = only(ce=1.0, contrast=0.5, help=1.0, state_reconstruction=20.0, info_preserve=10.0)
    trainer = make_trainer(
        pair, tmp_path, "latent", failed_codec(), messages_per_context=1, objectives=objectives
    )
    before = snapshot(trainer.channel)
    contexts = trainer.sample_contexts()
    assert contexts.context.layers == (), "nothing is read before the prefix is there"
    assert played(trainer, contexts).soft_prompt.at_start
    trainer.step()
    assert moved(trainer, before) == {name for name, _ in trainer.channel.named_parameters()}


@pytest.mark.parametrize("codec", [CODECS["latent"], failed_codec()])
def test_training_s_null_is_evaluation_s(pair, tmp_path, codec, monkeypatch):
    """Failure 6: after training too."""
    trainer = make_trainer(pair, tmp_path, "latent", codec, objectives=only(ce=1.0, help=1.0))
    trainer.step()
    asked, answer = [], pair.receiver.answer
    monkeypatch.setattr(
        pair.receiver, "answer", lambda context, given: asked.append(given) or answer(context, given)
    )
    played(trainer)
    _, null = asked
    assert find_condition("null").content_free
    answer_states = zeros_like_input(trainer.channel.null_input(len(null.vectors)))
    assert isinstance(answer_states, SoftPrompt)
    assert torch.equal(null.vectors, answer_states.vectors)
    assert not null.vectors.any()
    assert null.at_start == answer_states.at_start == codec.at_start


def test_the_run_folder_holds_metrics_checkpoint_and_state(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path)
    trainer.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert {"loss", "ce", "reconstruction", "success", "seconds"} <= set(lines[-1])
    assert {"validation_success", "nll_normal", "nll_swap", "prefix_cosine", "perplexity"} <= set(lines[-1])
    header = read_header(tmp_path / "channel.safetensors")
    assert header.channel == "latent_vq"
    assert header.training["seed"] == 0
    loaded = load_channel(tmp_path / "channel.safetensors", pair.interface, pair.fingerprints)
    assert not loaded.training
    assert (tmp_path / "state.safetensors").exists()


def test_heads_are_trained_and_kept_out_of_the_checkpoint(pair, tmp_path):
    trainer = make_trainer(
        pair, tmp_path, "latent", objectives=only(attributes=1.0, state_reconstruction=1.0)
    )
    before = snapshot(trainer.loss)
    assert before["heads.0.weight"].shape == (16, 64), "four values of four attributes, 4 x 16 latents"
    trainer.run()
    after = snapshot(trainer.loss)
    assert all(not torch.equal(before[name], after[name]) for name in before)
    loaded = load_channel(tmp_path / "channel.safetensors", pair.interface, pair.fingerprints)
    assert not any("head" in name or "attributes" in name for name in loaded.state_dict())


def test_the_best_checkpoint_on_validation_is_kept(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, "latent")
    scores = iter([0.5, 0.3])
    modes = []

    def play():
        modes.append(trainer.channel.training)
        return {"validation_success": next(scores)}

    trainer.validation.play = play
    trainer.run()
    assert modes == [False, False]
    assert read_header(tmp_path / "channel.safetensors").training["validation_success"] == 0.5
    assert read_header(tmp_path / "channel.safetensors").training["step"] == 2
    assert trainer.best == 0.5


def test_of_equally_good_checkpoints_the_latest_is_kept(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, "latent")
    trainer.validation.play = lambda: {"validation_success": 0.5}
    trainer.run()
    assert read_header(tmp_path / "channel.safetensors").training["step"] == 4


@pytest.mark.parametrize("kind", ["latent_vq", "latent_fsq", "latent_rvq", "latent_gumbel"])
def test_a_discrete_channel_is_kept_only_once_it_is_quantised(pair, tmp_path, kind):
    trainer = make_trainer(pair, tmp_path, kind, continuous_share=0.5)
    trainer.step()
    trainer.validate()
    assert not (tmp_path / "channel.safetensors").exists()
    for _ in range(2):
        trainer.step()
    trainer.validate()
    assert (tmp_path / "channel.safetensors").exists()


def test_a_discrete_channel_that_would_never_be_quantised_is_refused(pair, tmp_path):
    with pytest.raises(ValueError, match=r"continuous_share must leave .*'latent_vq'.*, got 1\.0 of 4 steps"):
        make_trainer(pair, tmp_path, continuous_share=1.0)


def test_quantising_begins_at_its_share_of_the_steps(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, continuous_share=0.5)
    states = []
    for _ in range(4):
        trainer.step()
        states.append(bool(trainer.channel.quantizing))
    assert states == [False, False, True, True]


def test_codes_are_placed_once_by_all_that_the_sender_says(pair, tmp_path, monkeypatch):
    trainer, placed = make_trainer(pair, tmp_path, continuous_share=0.25), []
    monkeypatch.setattr(
        type(trainer.channel.quantizer), "place_codes", lambda self, latents: placed.append(latents.shape)
    )
    trainer.run()
    assert placed == [(len(pair.world.referents("train")), 4, 16)]


def test_validation_plays_in_eval_mode_and_leaves_the_codebook_alone(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, continuous_share=0.0)
    trainer.step()
    before = snapshot(trainer.channel)
    trainer.validate()
    assert same(before, snapshot(trainer.channel))
    assert trainer.channel.training


def test_training_episodes_are_training_referents_and_targets_vary(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, batch_size=16, messages_per_context=5)
    batch = played(trainer)
    assert batch.answers["normal"].logits.shape == (80, 5)
    assert sorted(batch.targets[:5].tolist()) == [0, 1, 2, 3, 4]
    assert len({tuple(row) for row in batch.targets.reshape(16, 5).tolist()}) > 10
    assert pair.world.in_split(batch.sender_views.numpy(), "train").all()
    assert trainer.env.game.config.split == "train"


def test_a_context_is_played_with_its_own_candidates(pair, tmp_path):
    """Repeated contexts, messages and targets must stay in step: the receiver's text success shows it."""
    settings = {"batch_size": 8, "messages_per_context": 5, "objectives": only(teacher_kl=1.0)}
    batch = played(make_trainer(pair, tmp_path, **settings))
    assert (batch.answers["text"].logits.argmax(-1) == batch.targets).float().mean() > 0.9
    described = [pair.world.describe(referent) for referent in batch.sender_views.numpy()]
    assert [text == said for text, said in zip(batch.utterance.texts, described, strict=True)].count(
        True
    ) > 38


def test_a_slot_answers_for_the_tokens_of_its_own_row(pair, tmp_path):
    batch = played(make_trainer(pair, tmp_path))
    receiver = pair.receiver
    rows = receiver.message_tokens(list(batch.utterance.texts))
    assert {len(tokens) for tokens in rows} == {4}, "as many tokens as slots"
    assert torch.equal(batch.tokens.shares @ batch.tokens.table, receiver.embed_ids(torch.tensor(rows)))


def test_what_is_reconstructed_of_the_sender_is_what_the_encoder_reads_last(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path)
    batch = played(trainer)
    states = trainer.channel.encoder.standardize(batch.utterance.states)
    for row, length in enumerate(batch.utterance.mask.sum(1).tolist()):
        assert torch.equal(batch.pooled[row], states[row, length - 1])
