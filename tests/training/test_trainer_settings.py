"""Every setting of a training reaches what it sets."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from trainer_cases import make_trainer, only, played

from parley.channels.codec import CodecConfig
from parley.training.config import TrainConfig
from parley.training.progress import TrainingProgress


def test_where_the_answer_is_looked_for(pocket_pair, tmp_path):
    nll = {}
    for among in ("choices", "vocabulary"):
        trainer = make_trainer(pocket_pair, tmp_path, "latent", objectives=only(ce=1.0, among=among))
        batch = played(trainer)
        nll[among] = batch.answers["normal"].nll
    by_hand = -batch.answers["normal"].logits.log_softmax(-1)[range(len(batch.targets)), batch.targets]
    assert torch.allclose(nll["choices"], by_hand, rtol=1e-4, atol=1e-5)
    assert (nll["vocabulary"] > nll["choices"]).all(), "other tokens than the labels are likely too"


@pytest.mark.parametrize(("objectives", "flows"), [(only(ce=1.0), True), (only(reinforce=1.0), False)])
def test_gradient_flows_through_the_receiver_where_it_is_needed(pocket_pair, tmp_path, objectives, flows):
    batch = played(make_trainer(pocket_pair, tmp_path, "symbols", objectives=objectives))
    assert batch.answers["normal"].logits.requires_grad is flows


@pytest.mark.parametrize(("first_only", "asked"), [(True, 2), (False, 4)])
def test_two_slots_answer_for_the_first_two_tokens_or_for_all_four(pocket_pair, tmp_path, first_only, asked):
    trainer = make_trainer(
        pocket_pair, tmp_path, "latent", CodecConfig(k=2, codec_width=32), first_tokens_only=first_only
    )
    shares = played(trainer).tokens.shares
    assert ((shares > 0).sum((1, 2)) == asked).all()


def test_how_many_candidates_there_are(pocket_pair, tmp_path):
    trainer = make_trainer(pocket_pair, tmp_path, "latent", num_candidates=3, messages_per_context=3)
    assert played(trainer).answers["normal"].logits.shape == (4 * 3, 3)
    assert trainer.validation.context.num_candidates == 3
    assert len(trainer.validation.targets) == 8


@pytest.mark.parametrize("fixed", [0, 6])
def test_the_seed_decides_which_episodes_are_played(pocket_pair, tmp_path, fixed):
    drawn = [
        make_trainer(pocket_pair, tmp_path, "latent", seed=seed, fixed_episodes=fixed).sample_contexts()
        for seed in (1, 1, 2)
    ]
    views = [contexts.receiver_views for contexts in drawn]
    assert np.array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


def test_fixed_samples_come_back(pocket_pair, tmp_path):
    trainer = make_trainer(pocket_pair, tmp_path, "latent", fixed_episodes=4, messages_per_context=1)
    first, second = played(trainer), played(trainer)
    assert sorted(first.sender_views.tolist()) == sorted(second.sender_views.tolist())


def test_validation_is_due_every_so_often_and_at_the_end(pocket_pair, tmp_path):
    trainer = make_trainer(pocket_pair, tmp_path, "latent", steps=5, validate_every=3)
    validated = []
    trainer.validation.play = lambda: validated.append(trainer.step_number) or {"validation_success": 0.5}
    trainer.run()
    assert validated == [3, 5]


def test_the_default_training_can_be_made():
    assert TrainConfig().alignment_steps <= TrainConfig().steps


@pytest.mark.parametrize("codes", [False, True])
def test_the_bar_says_that_it_aligns_until_there_is_a_success_to_show(codes):
    progress, shown = TrainingProgress(3, 0), []
    progress._bar = SimpleNamespace(update=lambda task, completed, text: shown.append((completed, text)))
    progress.update({"step": 1, "loss": 0.5})
    progress.update({"step": 2, "loss": 0.25, "success": 0.5})
    record = {"step": 3, "loss": np.float64(0.125), "success": 1.0, "validation_success": 0.75}
    progress.update(record | ({"perplexity": 7.25} if codes else {}))
    assert shown[0] == (1, "loss 0.500  aligning")
    assert shown[1] == (2, "loss 0.250  success 50.0%")
    in_use = "  codes 7.2" if codes else ""
    assert shown[2] == (3, f"loss 0.125  success 100.0%  validation 75.0%{in_use}")
