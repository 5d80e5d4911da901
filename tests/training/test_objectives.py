"""The loss terms, against formulas written out by hand."""

import math

import pytest
import torch

from channels.base import Prefix, Relay
from training.objectives import (
    MessageTokens,
    ObjectiveWeights,
    Step,
    TokenTargets,
    evaluate_objectives,
)


def make_step(vectors, shares, losses=None, logits=None, targets=None):
    tokens = MessageTokens(torch.eye(10)[: shares.shape[-1]], shares)
    return Step(
        torch.zeros(len(vectors), 5) if logits is None else logits,
        torch.zeros(len(vectors), dtype=torch.long) if targets is None else targets,
        Relay(Prefix(vectors), losses or {}),
        tokens,
    )


def shares_of(texts, num_slots):
    rows = [[int(character) for character in text] for text in texts]
    return TokenTargets(rows, torch.eye(10), num_slots).of(torch.arange(len(texts))).shares


def test_each_slot_answers_for_its_own_token_when_there_are_as_many():
    shares = shares_of(["0123", "3210"], 4)
    assert torch.equal(shares[0], torch.eye(4))
    assert torch.equal(shares[1], torch.eye(4).flip(-1))


def test_slots_share_a_longer_message_evenly():
    shares = shares_of(["0123"], 2)
    assert torch.equal(shares[0], torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]))


def test_slots_are_free_where_the_message_is_shorter():
    shares = shares_of(["01"], 4)
    assert shares[0].sum(-1).tolist() == [1, 0, 1, 0]


def test_reconstruction_is_the_surprisal_of_the_slot_s_token_by_cosine():
    vectors = torch.eye(10)[None, :4].clone() * 3  # the right token's direction, at any length
    step = make_step(vectors, shares_of(["0123"], 4))
    _, terms = evaluate_objectives(step, ObjectiveWeights())
    assert terms["reconstruction"].item() == pytest.approx(math.log(1 + 3 * math.exp(-10)), rel=1e-3)


def test_reconstruction_of_a_prefix_that_says_nothing_is_the_log_of_the_vocabulary():
    vectors = torch.zeros(1, 4, 10)
    vectors[..., 9] = 1.0  # orthogonal to every token of the message
    step = make_step(vectors, shares_of(["0123"], 4))
    _, terms = evaluate_objectives(step, ObjectiveWeights())
    assert terms["reconstruction"].item() == pytest.approx(math.log(4), rel=1e-5)


def test_cross_entropy_at_chance_is_log_n_and_is_weighted():
    step = make_step(torch.ones(2, 1, 10), shares_of(["0", "1"], 1))
    weights = ObjectiveWeights(cross_entropy=2.0, reconstruction=0.0, quantizer=0.0)
    total, terms = evaluate_objectives(step, weights)
    assert terms.keys() == {"cross_entropy"}
    assert total.item() == pytest.approx(2 * math.log(5), rel=1e-5)


def test_cross_entropy_wants_the_target():
    logits = torch.tensor([[0.0, 9.0, 0.0, 0.0, 0.0]])
    right = make_step(torch.ones(1, 1, 10), shares_of(["0"], 1), logits=logits, targets=torch.tensor([1]))
    wrong = right._replace(targets=torch.tensor([0]))
    losses = [evaluate_objectives(step, ObjectiveWeights())[1]["cross_entropy"] for step in (right, wrong)]
    assert losses[1] - losses[0] == pytest.approx(9.0, rel=1e-5)


def test_the_channel_s_own_losses_are_added():
    losses = {"commitment": torch.tensor(0.25), "other": torch.tensor(0.5)}
    step = make_step(torch.ones(1, 1, 10), shares_of(["0"], 1), losses)
    _, terms = evaluate_objectives(step, ObjectiveWeights())
    assert terms["quantizer"].item() == 0.75


@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_a_weight_must_be_finite_and_not_negative(value):
    with pytest.raises(ValueError, match="reconstruction must be a finite weight of at least 0"):
        ObjectiveWeights(reconstruction=value)


def test_something_must_be_asked_for():
    step = make_step(torch.ones(1, 1, 10), shares_of(["0"], 1))
    with pytest.raises(ValueError, match="at least one objective"):
        evaluate_objectives(step, ObjectiveWeights(cross_entropy=0.0, reconstruction=0.0, quantizer=0.0))
