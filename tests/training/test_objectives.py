"""Which terms count, how much, and what each kind of batch can be asked for."""

import math
import re

import pytest
import torch
from objective_cases import (
    NAMES,
    OF_MESSAGES,
    OF_PLAY,
    Stage,
    evaluate,
    make_loss,
    make_messages,
    make_policy,
)

from parley.training.loss import ObjectiveWeights
from parley.training.objective import OBJECTIVES

FAIR = torch.zeros(2, 3, 4)  # two contexts, null and two messages, four labels: all equally likely
REWARD = ("reinforce", "entropy")


def only(**weights):
    return ObjectiveWeights(weights=weights)


def test_there_are_terms_of_messages_and_of_play():
    assert {"reconstruction", "attributes", "state_reconstruction", "info_preserve", "quantizer"} == {
        *OF_MESSAGES
    }
    assert {"ce", "help", "contrast", "swap_contrast", "info_nce", "teacher_kl", *REWARD} == {*OF_PLAY}


def test_the_default_is_the_repaired_recipe():
    weights = ObjectiveWeights()
    assert weights.weights == {"ce": 1.0, "reconstruction": 1.0, "quantizer": 1.0}
    assert weights.among == "choices"


def test_what_does_not_count_leaves_no_trace():
    """So that a run is the same run when another objective is installed later."""
    assert only(ce=1.0, contrast=0.0) == only(ce=1.0)
    given = ObjectiveWeights(weights={"ce": 1.0}, settings={"contrast": {"margin": 2.0}})
    assert given == only(ce=1.0)
    assert only(contrast=1.0).settings == {"contrast": {"margin": 1.0}}, "what counts has all its settings"


def test_the_total_is_the_weighted_sum_and_the_terms_are_unweighted():
    batch = Stage(FAIR, [0, 1]).played("normal", "null", "shuffle")
    total, terms = evaluate(make_loss(ce=2.0, help=3.0, contrast=0.5), batch)
    assert {name: term.item() for name, term in terms.items()} == {
        "ce": pytest.approx(math.log(4)), "help": pytest.approx(0.2), "contrast": pytest.approx(1.0)
    }  # fmt: skip
    assert total.item() == pytest.approx(2 * math.log(4) + 3 * 0.2 + 0.5 * 1.0)


def test_settings_reach_their_own_objective():
    batch = Stage(FAIR, [0, 1]).played("normal", "null", "shuffle")
    settings = {"contrast": {"margin": 3.0}, "help": {"margin": 0.5}}
    _, terms = evaluate(make_loss(help=1.0, contrast=1.0, swap_contrast=0.0, settings=settings), batch)
    assert {name: term.item() for name, term in terms.items()} == {
        "contrast": pytest.approx(3.0), "help": pytest.approx(0.5)
    }  # fmt: skip


def test_what_has_no_weight_is_not_even_computed():
    _, terms = evaluate(make_loss(ce=1.0), Stage(FAIR, [0, 1]).played("normal"))
    assert terms.keys() == {"ce"}


def test_what_was_not_played_is_not_there():
    with pytest.raises(KeyError, match="shuffle"):
        evaluate(make_loss(contrast=1.0), Stage(FAIR, [0, 1]).played("normal"))


def test_of_messages_that_were_not_played_only_their_own_terms_are_asked():
    losses = {"commitment": torch.tensor(0.25)}
    said = make_messages(torch.ones(2, 1, 3), torch.ones(2, 1, 1), losses)
    total, terms = evaluate(make_loss(ce=5.0, reconstruction=1.0, quantizer=2.0), said)
    assert terms.keys() == {"reconstruction", "quantizer"}
    assert total.item() == pytest.approx(terms["reconstruction"].item() + 2 * 0.25)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_a_weight_must_be_finite_and_not_negative(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a finite weight of at least 0, got {value}"):
        only(**{name: value})


@pytest.mark.parametrize("quantizer", [0.0, 1.0])
def test_something_must_be_asked_for(quantizer):
    """A quantiser's loss alone asks for nothing that could be said."""
    with pytest.raises(ValueError, match="at least one objective must have a weight above 0"):
        only(quantizer=quantizer)


@pytest.mark.parametrize(
    ("weights", "settings", "words"),
    [
        ({"contrst": 1.0}, {}, "unknown objective 'contrst', did you mean 'contrast'? The objectives are: "),
        (
            {"contrast": 1.0},
            {"contrast": {"marign": 1.0}},
            "unknown contrast setting 'marign', did you mean 'margin'? The contrast settings are: margin",
        ),
        ({"contrast": 1.0}, {"contrast": {"margin": -1.0}}, "margin must be at least 0, got -1.0"),
        ({"info_nce": 1.0}, {"info_nce": {"rows": 1}}, "info_nce.rows must be at least 2, got 1"),
        (
            {"reconstruction": 1.0},
            {"reconstruction": {"temperature": 0.0}},
            "reconstruction.temperature must be from 0.001 to 1000.0, got 0.0",
        ),
    ],
)
def test_what_is_unknown_or_out_of_range_is_named(weights, settings, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        ObjectiveWeights(weights=weights, settings=settings)


@pytest.mark.parametrize("name", NAMES)
def test_a_codec_can_be_aligned_by_what_needs_no_receiver(name):
    aligning = name in ("reconstruction", "attributes", "state_reconstruction", "info_preserve")
    assert only(**{"entropy": 1.0, name: 1.0}).aligning is aligning


@pytest.mark.parametrize("name", NAMES)
def test_reward_and_messages_alone_need_no_gradient_through_the_receiver(name):
    through = {"normal", "shuffle", "all_pairs"} & only(**{"reinforce": 1.0, name: 1.0}).needs
    assert bool(through) is (name in OF_PLAY and name not in REWARD)


def test_as_many_pairs_are_made_as_one_of_them_looks_at():
    assert only(ce=1.0, info_nce=1.0).num_pairs == 8
    twelve = ObjectiveWeights(weights={"ce": 1.0, "info_nce": 1.0}, settings={"info_nce": {"rows": 12}})
    assert twelve.num_pairs == 12


def test_a_policy_is_needed_by_reward_alone():
    assert {name for name in NAMES if "policy" in OBJECTIVES.find(name).needs} == {*REWARD}
    batch = Stage(FAIR, [0, 1], policy=make_policy([-1.0, -2.0])).played("policy", rewards=[1, 0])
    total, _ = evaluate(make_loss(reinforce=1.0), batch)
    assert total.requires_grad
