"""Reward alone: the one objective that is never shown the target."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_cases import make_policy, make_step

from parley.training.objectives import ObjectiveWeights, entropy, reinforce

RIGHT, WRONG = [9.0, 0.0, 0.0], [0.0, 9.0, 0.0]  # the target is candidate 0


def rewarded(rewards, policy):
    """A step in which these rows, one a context, are rewarded."""
    logits = torch.zeros(len(rewards), len(rewards) + 1, 3)
    for row, reward in enumerate(rewards):
        logits[row, row + 1] = torch.tensor(RIGHT if reward else WRONG)
    return make_step(logits, [0] * len(rewards), policy=policy, differentiable=False)


def test_reinforce_by_hand():
    """Rewards 1, 0, 1 against the others' means .5, 1, .5: advantages .5, -1, .5."""
    step = rewarded([1, 0, 1], make_policy([-1.0, -2.0, -4.0]))
    assert reinforce(step).item() == pytest.approx(-(0.5 * -1 - 1 * -2 + 0.5 * -4) / 3, rel=1e-6)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(-9, 0)), min_size=2, max_size=9))
def test_the_baseline_is_the_mean_reward_of_the_others(rows):
    rewards, log_p = [reward for reward, _ in rows], [log for _, log in rows]
    wanted = 0.0
    for row, reward in enumerate(rewards):
        others = rewards[:row] + rewards[row + 1 :]
        wanted -= (reward - sum(others) / len(others)) * log_p[row] / len(rows)
    assert reinforce(rewarded(rewards, make_policy(log_p))).item() == pytest.approx(
        wanted, rel=1e-4, abs=1e-5
    )


def test_a_rewarded_message_becomes_likelier_and_one_that_was_not_less_likely():
    policy = make_policy([-1.0, -2.0, -4.0, -1.0])
    reinforce(rewarded([1, 0, 0, 1], policy)).backward()
    pushed = -policy.log_probabilities.grad  # a step of descent moves against the gradient
    assert (pushed > 0).tolist() == [True, False, False, True]
    assert pushed.sum().item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("rewards", [[1, 1, 1], [0, 0, 0]])
def test_nothing_is_learned_where_all_fare_alike(rewards):
    policy = make_policy([-1.0, -2.0, -4.0])
    reinforce(rewarded(rewards, policy)).backward()
    assert not policy.log_probabilities.grad.any()


def test_it_knows_of_the_target_only_whether_it_was_picked():
    """The receiver picks candidate 1; that the target is 0, or 2, is one and the same to it."""
    logits = torch.zeros(2, 3, 3)
    logits[0, 1], logits[1, 2] = torch.tensor(WRONG), torch.tensor(RIGHT)
    missed = [make_step(logits, [target, 0], policy=make_policy([-1.0, -2.0])) for target in (0, 2)]
    assert reinforce(missed[0]).item() == reinforce(missed[1]).item()


def test_how_sure_the_receiver_was_does_not_matter():
    losses = []
    for sureness in (0.1, 10.0):
        logits = torch.zeros(2, 3, 3)
        logits[0, 1, 0], logits[1, 2, 1] = sureness, sureness
        losses.append(reinforce(make_step(logits, [0, 0], policy=make_policy([-1.0, -2.0]))).item())
    assert losses[0] == losses[1]


def test_reward_is_1_for_the_target_and_0_otherwise():
    step = rewarded([1, 0, 1], make_policy([0.0, 0.0, 0.0]))
    assert step.rewards.tolist() == [1.0, 0.0, 1.0]
    assert not step.rewards.requires_grad


def test_nothing_flows_back_through_the_receiver_for_reward():
    step = rewarded([1, 0], make_policy([-1.0, -2.0]))
    step.receiver.table.requires_grad_()
    reinforce(step).backward()
    assert step.receiver.with_gradient == [False]
    assert step.receiver.table.grad is None


def test_entropy_is_minus_the_mean_so_that_descent_keeps_undecided():
    step = rewarded([1, 0], make_policy([0.0, 0.0], [math.log(4), 0.0]))
    assert entropy(step).item() == pytest.approx(-math.log(4) / 2, rel=1e-6)


@pytest.mark.parametrize("objective", [reinforce, entropy])
def test_a_channel_that_computes_its_codes_has_no_policy(objective):
    with pytest.raises(
        ValueError, match="reinforce and entropy need a channel that draws its codes"
    ) as caught:
        objective(rewarded([1, 0], None))
    assert str(caught.value).endswith("such as symbols")


def test_reward_is_asked_for_without_gradient_and_other_terms_with_it():
    assert not ObjectiveWeights(ce=0, reconstruction=0, quantizer=0, reinforce=1).differentiable
    assert ObjectiveWeights(ce=1, reconstruction=0, quantizer=0, reinforce=1).differentiable
