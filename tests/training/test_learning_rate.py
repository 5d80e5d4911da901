"""How fast it learns: a warm-up, then a cosine, in steps if it is told so."""

import math

import pytest
from trainer_cases import make_trainer

from parley.training.config import TrainConfig
from parley.training.presets import find_preset


def rates(config):
    """The rate of every step, and what it would be after the last one."""
    return [config.learning_rate_at(step) for step in range(config.steps + 1)]


def config(**settings):
    return TrainConfig(**{"alignment_steps": 0, "learning_rate": 1.0, **settings})


def test_it_warms_up_and_falls_to_zero():
    seen = rates(config(steps=10, warmup_steps=2))
    assert seen[:3] == [0.5, 1.0, 1.0]
    assert seen[6] == pytest.approx(0.5), "half way"
    assert seen[3:] == sorted(seen[3:], reverse=True)
    assert seen[-1] == pytest.approx(0.0)


def test_without_a_warm_up_it_begins_at_its_peak():
    assert rates(config(steps=4, warmup_steps=0))[:2] == [1.0, pytest.approx(0.5 + math.sqrt(0.125))]


def test_it_may_stand_still_between_changes():
    seen = rates(config(steps=10, warmup_steps=0, learning_rate_every=5))
    assert seen == pytest.approx([1.0] * 5 + [0.5] * 5 + [0.0])


def test_the_warm_up_does_not_wait_for_a_change():
    seen = rates(config(steps=12, warmup_steps=4, learning_rate_every=4))
    assert seen[:4] == [0.25, 0.5, 0.75, 1.0]
    assert seen[4:8] == [1.0] * 4
    assert seen[8:12] == pytest.approx([0.5] * 4)


@pytest.mark.parametrize("warmup", [30, 90])
def test_it_is_at_its_peak_after_the_warm_up_and_never_rises_again(warmup):
    seen = rates(config(steps=160, warmup_steps=warmup, learning_rate_every=100))
    assert seen[warmup] == 1.0
    assert seen[warmup:] == sorted(seen[warmup:], reverse=True)


def test_the_failed_experiment_s_falls_once_an_epoch():
    seen = rates(find_preset("original").training)
    by_hand = [1e-3 * 0.5 * (1 + math.cos(math.pi * 137 * epoch / 1374)) for epoch in range(10)]
    assert seen[:1370] == pytest.approx([rate for rate in by_hand for _ in range(137)])


def test_more_warm_up_than_steps_never_ends():
    assert rates(config(steps=3, warmup_steps=6)) == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6])


def test_the_optimiser_is_told(pocket_pair, tmp_path):
    trainer = make_trainer(
        pocket_pair, tmp_path, "latent", learning_rate=0.01, warmup_steps=2, beta2=0.9, weight_decay=0.3
    )
    seen = []
    for _ in range(2):
        trainer.step()
        seen.append([group["lr"] for group in trainer.optimizer.param_groups])
    assert seen == [[0.005], [0.01]]
    [group] = trainer.optimizer.param_groups
    assert (group["betas"], group["weight_decay"]) == ((0.9, 0.9), 0.3)


def test_gradients_are_clipped_to_their_length(pocket_pair, tmp_path):
    trainer = make_trainer(pocket_pair, tmp_path, "latent", max_grad_norm=1e-3)
    record = trainer.step()
    total = sum(float(p.grad.square().sum()) for p in trainer.trainable.parameters()) ** 0.5
    assert record["grad_norm"] > 1e-2, "what is logged is the length before"
    assert total == pytest.approx(1e-3, rel=1e-3)
