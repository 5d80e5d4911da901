"""Pretraining the pocket: the curriculum's rule, and a run that is cut ends as one that is not."""

import os
import signal
import stat

import numpy as np
import pytest
import torch

from parley.agents.command_line import RunError
from parley.agents.language_model import FrozenLM
from parley.envs.world import objects_world
from studies import pretrain_pocket
from studies.pocket_lessons import CURRICULUM
from studies.pocket_model import PocketConfig
from studies.pretrain_pocket import PretrainConfig, Pretraining, Progression

LAST = len(CURRICULUM) - 1
RULE = PretrainConfig(mastery=0.9, mastery_window=3, patience=5, polish_steps=4, learning_rate=1.0)
TINY = PocketConfig(width=16, mlp_width=16, num_layers=2, num_heads=2, max_length=256)


def tiny_run(folder, **settings):
    config = PretrainConfig(folder=folder, batch_size=2, num_rounds=1, warmup_steps=2, model=TINY, **settings)
    return Pretraining(config, objects_world())


def test_a_stage_is_mastered_when_a_whole_window_is_good_enough():
    progression = Progression(step=10)
    outcomes = [progression.advance(accuracy, RULE) for accuracy in (0.5, 1.0, 1.0, 1.0)]
    assert outcomes == [False, False, False, True]
    assert (progression.stage, progression.stage_start, len(progression.accuracies)) == (1, 10, 0)


def test_the_last_stage_is_polished_once_mastered():
    progression = Progression(stage=LAST, step=7, stage_start=6)
    for _ in range(3):
        progression.advance(1.0, RULE)
    assert progression.polish_start == 7


def test_the_last_stage_is_polished_when_patience_ends():
    progression = Progression(stage=LAST, step=11, stage_start=6)
    progression.advance(0.0, RULE)
    assert progression.polish_start == 11
    progression.step = 14
    progression.advance(1.0, RULE)
    assert progression.polish_start == 11


def test_the_learning_rate_warms_up_stays_and_falls_while_polishing():
    config = PretrainConfig(learning_rate=1.0, warmup_steps=4, polish_steps=4)
    assert [Progression(step=s).learning_rate(config) for s in (0, 1, 3, 50)] == [0.25, 0.5, 1.0, 1.0]
    falling = [Progression(step=s, polish_start=10).learning_rate(config) for s in (10, 12, 14)]
    assert falling == pytest.approx([1.0, 0.5, 0.0])


def test_training_ends_after_polishing_or_at_its_bound():
    assert not Progression(step=13, polish_start=10).finished(RULE)
    assert Progression(step=14, polish_start=10).finished(RULE)
    assert Progression(step=RULE.max_steps).finished(RULE)


def test_a_run_that_is_cut_ends_where_one_that_is_not_does(tmp_path):
    whole = tiny_run(tmp_path / "whole", max_steps=6, checkpoint_every=3)
    records = list(whole.steps())
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    cut = tiny_run(tmp_path / "cut", max_steps=6, checkpoint_every=3)
    for number, _ in enumerate(cut.steps()):
        if number == 4:
            break
    resumed = tiny_run(tmp_path / "cut", max_steps=6, checkpoint_every=3)
    assert resumed.progression.step == 3
    assert [record["loss"] for record in resumed.steps()] == [record["loss"] for record in records[3:]]
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_result_is_a_folder_that_plays(tmp_path):
    list(tiny_run(tmp_path, max_steps=1).steps())
    lm = FrozenLM(str(tmp_path / "pocket"))
    assert lm.width == 16
    assert lm.render("hello").startswith("<|im_start|>user\nhello<|im_end|>")


def test_a_run_is_stopped_behind_a_step_and_resumes_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain_pocket, "LOG_EVERY", 1)
    settings = {"batch_size": 2, "num_rounds": 1, "warmup_steps": 2, "max_steps": 5, "model": TINY}
    configs = [PretrainConfig(folder=tmp_path / name, **settings) for name in ("whole", "cut")]
    pretrain_pocket.run(configs[0])
    optimised = torch.optim.AdamW.step
    steps = []

    def signalled(*arguments, **options):
        steps.append(optimised(*arguments, **options))
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", signalled)
        with pytest.raises(RunError, match="interrupted at step 3; the same command resumes"):
            pretrain_pocket.run(configs[1])
    pretrain_pocket.run(configs[1])
    for name in ("state.safetensors", "metrics.jsonl", "pocket/model.safetensors", "pocket/fingerprint.txt"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    assert stat.S_IMODE((tmp_path / "cut/pocket/model.safetensors").stat().st_mode) & 0o044
    with pytest.raises(ValueError, match="seed is 0 there and 1 here"):
        pretrain_pocket.run(PretrainConfig(folder=tmp_path / "cut", seed=1, **settings))
    (tmp_path / "cut/config.json").unlink()
    with pytest.raises(RunError, match=r"holds .*metrics\.jsonl.* but no config\.json, so it cannot"):
        pretrain_pocket.run(configs[1])


@pytest.mark.parametrize("setting", ["learning_rate", "mastery", "max_steps"])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1])
def test_settings_that_make_no_sense_are_named(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must be .*, got {value}"):
        PretrainConfig(**{setting: value})


def test_another_seed_is_another_model(tmp_path):
    one, other = (tiny_run(tmp_path / str(seed), seed=seed) for seed in (0, 1))
    assert not torch.equal(one.model.lm_head.weight, other.model.lm_head.weight)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    run = tiny_run(tmp_path)
    with torch.no_grad():
        run.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(RunError, match="the loss is nan at step 0"):
        run.step()


def test_half_of_the_heads_begin_by_looking_back_a_fixed_number_of_tokens(tmp_path):
    """In the first layer, from a value to its label: 2 and 3 tokens back (of 2, 3, 4, 5, for 4 heads)."""
    config = PocketConfig(width=64, mlp_width=16, num_layers=1, num_heads=4, max_length=256)
    run = Pretraining(PretrainConfig(folder=tmp_path, model=config), objects_world())
    run.model.set_attn_implementation("eager")
    ids = torch.from_numpy(np.random.default_rng(0).integers(5, 400, (8, 40)))
    with torch.no_grad():
        (attention,) = run.model.model(ids, output_attentions=True).attentions
    back = 39 - attention[:, :2, 39].argmax(-1)
    assert back.tolist() == [[2, 3]] * 8
