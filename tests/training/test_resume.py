"""A training that was cut goes on as if it had not been, to the last bit."""

import pytest
import torch
from trainer_cases import make_trainer, only, played, same, snapshot

from parley.agents.choosing import pick
from parley.envs.rules import RECEIVER

WITH_HEADS = only(ce=1.0, reconstruction=1.0, attributes=1.0, state_reconstruction=1.0, quantizer=1.0)
REWARD = only(reinforce=1.0, entropy=0.1)
RECIPES = {
    "before codes are placed": (2, {"continuous_share": 0.6}),
    "after codes were placed": (4, {"continuous_share": 0.6}),
    "while aligning, with heads": (
        1,
        {"objectives": WITH_HEADS, "alignment_steps": 2, "alignment_batch": 20},
    ),
    "in a fixed epoch": (3, {"fixed_episodes": 7, "alignment_steps": 1, "alignment_batch": 20}),
    "while codes are drawn": (3, {"kind": "latent_gumbel", "continuous_share": 0.2}),
    "while codes of stages are revived": (3, {"kind": "latent_rvq", "continuous_share": 0.2}),
    "while symbols are drawn": (3, {"kind": "symbols", "objectives": REWARD, "learning_rate_every": 2}),
}
STEPS = 5


def steps(trainer, num):
    records = [trainer.step() for _ in range(num)]
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


@pytest.mark.parametrize("train_defaults", RECIPES)
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(pocket_pair, tmp_path, train_defaults):
    cut, settings = RECIPES[train_defaults]
    settings = {"steps": STEPS, **settings}
    whole = make_trainer(pocket_pair, tmp_path, **settings)
    wanted = steps(whole, STEPS)
    first = make_trainer(pocket_pair, tmp_path, **settings)
    steps(first, cut)
    first.best, first.seconds = 0.25, 7.5
    first.save()
    second = make_trainer(pocket_pair, tmp_path, **settings)
    torch.manual_seed(123)  # a new process has another generator until the state is loaded
    second.rng.integers(9, size=5)
    second.resume()
    assert (second.step_number, second.best, second.seconds) == (cut, 0.25, 7.5)
    assert steps(second, STEPS - cut) == wanted[cut:]
    assert same(snapshot(whole.trainable), snapshot(second.trainable))


def test_heads_are_part_of_what_is_resumed(pocket_pair, tmp_path):
    first = make_trainer(pocket_pair, tmp_path, "latent", objectives=WITH_HEADS)
    steps(first, 2)
    first.save()
    second = make_trainer(pocket_pair, tmp_path, "latent", objectives=WITH_HEADS)
    assert not same(snapshot(first.loss), snapshot(second.loss))
    second.resume()
    assert same(snapshot(first.loss), snapshot(second.loss))
    assert len(list(second.loss.parameters())) == 4
    moments = second.optimizer.state_dict()["state"]
    assert len(moments) == len(list(second.trainable.parameters()))


def test_ties_are_broken_anew_in_every_step_and_alike_when_resumed(pocket_pair, tmp_path):
    trainer, again = (make_trainer(pocket_pair, tmp_path, "latent") for _ in range(2))
    state = trainer.rng.bit_generator.state
    first = pick(torch.zeros(40, 5), trainer._tie_rng)
    assert trainer.rng.bit_generator.state == state  # the episodes stay what they are
    trainer.step_number = again.step_number = 3
    later = pick(torch.zeros(40, 5), trainer._tie_rng)
    assert set(first.tolist()) == set(later.tolist()) == set(range(5))
    assert first.tolist() != later.tolist()
    assert later.tolist() == pick(torch.zeros(40, 5), again._tie_rng).tolist()


def test_a_receiver_to_whom_all_is_equal_is_paid_by_lot(pocket_pair, tmp_path, monkeypatch):
    trainer = make_trainer(pocket_pair, tmp_path, "latent", batch_size=64, messages_per_context=1)
    ask = trainer.ask_receiver

    def equal(*arguments):
        answers = ask(*arguments)
        normal = answers["normal"]
        return {**answers, "normal": normal._replace(logits=torch.zeros_like(normal.logits))}

    monkeypatch.setattr(trainer, "ask_receiver", equal)
    monkeypatch.setattr(trainer.env, "step", watched := Watched(trainer.env.step))
    played(trainer)
    assert set(watched.actions[RECEIVER].tolist()) == set(range(5))


class Watched:
    """A step of the environment whose last actions are kept."""

    def __init__(self, step):
        self.step, self.actions = step, {}

    def __call__(self, actions):
        self.actions |= actions
        return self.step(actions)
