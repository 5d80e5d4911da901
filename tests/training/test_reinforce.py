"""Reward alone: the one objective that is never shown the target."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_cases import Stage, make_policy, value_of

from parley.training.loss import ObjectiveWeights


def rewarded(rewards, policy):
    """A step in which these rows, one a context, are rewarded."""
    logits = torch.zeros(len(rewards), len(rewards) + 1, 3)
    return Stage(logits, [0] * len(rewards), policy=policy).played("rewards", "policy", rewards=rewards)


def test_reinforce_by_hand():
    """Rewards 1, 0, 1 against the others' means .5, 1, .5: advantages .5, -1, .5."""
    step = rewarded([1, 0, 1], make_policy([-1.0, -2.0, -4.0]))
    assert value_of("reinforce", step).item() == pytest.approx(-(0.5 * -1 - 1 * -2 + 0.5 * -4) / 3, rel=1e-6)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(-9, 0)), min_size=2, max_size=9))
def test_the_baseline_is_the_mean_reward_of_the_others(rows):
    rewards, log_p = [reward for reward, _ in rows], [log for _, log in rows]
    wanted = 0.0
    for row, reward in enumerate(rewards):
        others = rewards[:row] + rewards[row + 1 :]
        wanted -= (reward - sum(others) / len(others)) * log_p[row] / len(rows)
    assert value_of("reinforce", rewarded(rewards, make_policy(log_p))).item() == pytest.approx(
        wanted, rel=1e-4, abs=1e-5
    )


def test_a_rewarded_message_becomes_likelier_and_one_that_was_not_less_likely():
    policy = make_policy([-1.0, -2.0, -4.0, -1.0])
    value_of("reinforce", rewarded([1, 0, 0, 1], policy)).backward()
    pushed = -policy.log_probabilities.grad  # a step of descent moves against the gradient
    assert (pushed > 0).tolist() == [True, False, False, True]
    assert pushed.sum().item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("rewards", [[1, 1, 1], [0, 0, 0]])
def test_nothing_is_learned_where_all_fare_alike(rewards):
    policy = make_policy([-1.0, -2.0, -4.0])
    value_of("reinforce", rewarded(rewards, policy)).backward()
    assert not policy.log_probabilities.grad.any()


def test_it_knows_of_target_and_answers_only_what_was_paid():
    losses = set()
    for targets, logits in (([0, 0], torch.zeros(2, 3, 3)), ([2, 1], torch.randn(2, 3, 3))):
        stage = Stage(logits, targets, policy=make_policy([-1.0, -2.0]))
        losses.add(value_of("reinforce", stage.played("rewards", rewards=[1, 0])).item())
    assert len(losses) == 1


def test_nothing_flows_back_through_the_receiver_for_reward():
    stage = Stage(torch.zeros(2, 3, 3), [0, 0], policy=make_policy([-1.0, -2.0]))
    stage.receiver.table.requires_grad_()
    value_of("reinforce", stage.played("rewards", "policy", rewards=[1, 0])).backward()
    assert stage.receiver.with_gradient == [False]
    assert stage.receiver.table.grad is None


def test_entropy_is_minus_the_mean_so_that_descent_keeps_undecided():
    step = rewarded([1, 0], make_policy([0.0, 0.0], [math.log(4), 0.0]))
    assert value_of("entropy", step).item() == pytest.approx(-math.log(4) / 2, rel=1e-6)


@pytest.mark.parametrize("name", ["reinforce", "entropy"])
def test_a_channel_that_computes_its_codes_has_no_policy(name):
    with pytest.raises(
        ValueError, match="reinforce and entropy need a channel that draws its codes"
    ) as caught:
        value_of(name, rewarded([1, 0], None))
    assert str(caught.value).endswith("such as symbols")


def test_reward_is_asked_for_without_gradient_and_other_terms_with_it():
    assert "normal" not in ObjectiveWeights(weights={"reinforce": 1}).needs
    assert "normal" in ObjectiveWeights(weights={"ce": 1, "reinforce": 1}).needs
