"""Which terms count, how much, and what each kind of batch can be asked for."""

import math
from dataclasses import fields

import pytest
import torch
from objective_cases import make_heads, make_policy, make_said, make_step

from parley.training.objectives import OF_MESSAGES, OF_PLAY, ObjectiveWeights, evaluate_objectives

NAMES = [*OF_MESSAGES, *OF_PLAY]
NOTHING = dict.fromkeys(NAMES, 0.0)
FAIR = torch.zeros(2, 3, 4)  # two contexts, null and two messages, four labels: all equally likely


def only(**weights):
    return ObjectiveWeights(**{**NOTHING, **weights})


def test_every_objective_has_a_weight_and_every_weight_an_objective():
    names = {field.name for field in fields(ObjectiveWeights)} - {"among", "extra"}
    assert names == set(NAMES) == set(ObjectiveWeights().weights)
    assert len(NAMES) == len(set(NAMES)), "no name stands for two"


def test_the_default_is_the_repaired_recipe():
    weights = ObjectiveWeights()
    assert {name: weight for name, weight in weights.weights.items() if weight} == {
        "ce": 1.0, "reconstruction": 1.0, "quantizer": 1.0
    }  # fmt: skip
    assert weights.among == "labels"


def test_the_total_is_the_weighted_sum_and_the_terms_are_unweighted():
    step = make_step(FAIR, [0, 1])
    total, terms = evaluate_objectives(step, make_heads([]), only(ce=2.0, help=3.0, contrast=0.5))
    assert {name: term.item() for name, term in terms.items()} == {
        "ce": pytest.approx(math.log(4)), "help": pytest.approx(0.2), "contrast": pytest.approx(1.0)
    }  # fmt: skip
    assert total.item() == pytest.approx(2 * math.log(4) + 3 * 0.2 + 0.5 * 1.0)


def test_what_has_no_weight_is_not_even_computed():
    step = make_step(FAIR, [0, 1])
    _, terms = evaluate_objectives(step, make_heads([]), only(ce=1.0))
    assert terms.keys() == {"ce"}
    assert len(step.receiver.calls) == 1


def test_terms_are_for_looking_at_and_the_total_for_learning():
    step = make_step(FAIR, [0, 1], policy=make_policy([-1.0, -2.0]))
    total, terms = evaluate_objectives(step, make_heads([]), only(reinforce=1.0))
    assert total.requires_grad
    assert not terms["reinforce"].requires_grad


def test_of_messages_nobody_heard_only_what_was_said_is_asked():
    losses = {"commitment": torch.tensor(0.25)}
    said = make_said(torch.ones(2, 1, 3), torch.ones(2, 1, 1), losses)
    total, terms = evaluate_objectives(said, make_heads([]), ObjectiveWeights(ce=5.0, quantizer=2.0))
    assert terms.keys() == {"reconstruction", "quantizer"}
    assert total.item() == pytest.approx(terms["reconstruction"].item() + 2 * 0.25)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_a_weight_must_be_finite_and_not_negative(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a finite weight of at least 0, got {value}"):
        ObjectiveWeights(**{name: value})


@pytest.mark.parametrize("quantizer", [0.0, 1.0])
def test_something_must_be_asked_for(quantizer):
    """A quantiser's loss alone asks for nothing that could be said."""
    with pytest.raises(ValueError, match="at least one objective must have a weight above 0"):
        only(quantizer=quantizer)


@pytest.mark.parametrize("name", NAMES)
def test_a_codec_can_be_aligned_by_what_needs_no_receiver(name):
    aligning = name in ("reconstruction", "attributes", "state_reconstruction", "info_preserve")
    assert ObjectiveWeights(**{**NOTHING, "entropy": 1.0, name: 1.0}).aligning is aligning


@pytest.mark.parametrize("name", NAMES)
def test_reward_alone_needs_no_gradient_through_the_receiver(name):
    weights = ObjectiveWeights(**{**NOTHING, "reinforce": 1.0, name: 1.0})
    assert weights.differentiable is (name not in ("reinforce", "entropy"))
