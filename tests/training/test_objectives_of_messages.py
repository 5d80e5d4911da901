"""The terms that need no receiver, against numbers written out by hand."""

import math

import numpy as np
import pytest
import torch
from objective_cases import make_channel, make_messages, make_objective, value_of

from parley.envs.listed_world import ListedWorld
from parley.training.loss import Loss, ObjectiveWeights
from parley.training.token_targets import TokenTargets

TOKENS = torch.eye(10)


def world_of(*num_values):
    """A world of so many values of each attribute."""
    listed = [[f"{number}" for number in row] for row in np.ndindex(*num_values)]
    return ListedWorld.of("numbers", [f"attribute {n}" for n in range(len(num_values))], listed)


def shares_of(texts, num_slots, **settings):
    rows = [[int(character) for character in text] for text in texts]
    return TokenTargets(rows, TOKENS, num_slots, **settings).of(np.arange(len(texts))).shares


# reconstruction: -log p(token) by cosine / 0.1 with the token's embedding


def test_reconstruction_is_the_surprisal_of_the_slot_s_token_by_cosine():
    vectors = TOKENS[None, :4].clone() * 3  # the right token's direction, at any length
    said = make_messages(vectors, shares_of(["0123"], 4))
    assert value_of("reconstruction", said).item() == pytest.approx(math.log(1 + 3 * math.exp(-10)), rel=1e-3)


def test_reconstruction_of_a_prefix_that_says_nothing_is_the_log_of_the_vocabulary():
    vectors = torch.zeros(1, 4, 10)
    vectors[..., 9] = 1.0  # orthogonal to every token of the message
    said = make_messages(vectors, shares_of(["0123"], 4))
    assert value_of("reconstruction", said).item() == pytest.approx(math.log(4), rel=1e-5)


def test_reconstruction_is_the_mean_over_slots_that_have_a_token():
    """Slots without one are free: whatever stands there costs nothing."""
    vectors = torch.zeros(2, 2, 10)
    vectors[0, 0, 0], vectors[1, 0, 0] = 1.0, 1.0  # right for "0", wrong for "1"
    vectors[:, 1, 5] = 7.0
    said = make_messages(vectors, shares_of(["0", "1"], 2))
    right = math.log(1 + math.exp(-10))
    assert value_of("reconstruction", said).item() == pytest.approx((right + right + 10) / 2, rel=1e-5)


def test_a_slot_that_answers_for_two_tokens_owes_both_their_mean():
    vectors = torch.zeros(1, 1, 10)
    vectors[0, 0, 0] = 1.0
    said = make_messages(vectors, shares_of(["01"], 1))
    right = math.log(1 + math.exp(-10))
    assert value_of("reconstruction", said).item() == pytest.approx((right + right + 10) / 2, rel=1e-5)


# attributes: mean over attributes of a linear guess's cross-entropy


def test_attributes_of_a_guess_that_knows_nothing_are_the_mean_log_of_their_numbers():
    objective = make_objective("attributes", world_of(3, 4))
    torch.nn.init.zeros_(objective.head.weight)
    torch.nn.init.zeros_(objective.head.bias)
    said = make_messages(torch.randn(3, 2, 3), views=torch.tensor([[0, 0], [1, 3], [0, 2]]))
    assert objective(said).item() == pytest.approx((math.log(3) + math.log(4)) / 2, rel=1e-5)


def test_attributes_are_each_guessed_from_all_latents_by_their_own_numbers():
    """Attribute 0 by numbers 0 to 2 of the flattened latents, attribute 1 by numbers 3 to 6."""
    objective = make_objective("attributes", world_of(3, 4), make_channel(num_slots=2, latent_width=4))
    with torch.no_grad():
        objective.head.weight.copy_(torch.eye(7, 8))
        objective.head.bias.zero_()
    latents = torch.tensor([[[1.0, 3.0, 0.0, 0.0], [2.0, 4.0, 1.0, 9.0]]])
    said = make_messages(torch.zeros(1, 2, 3), latents=latents, views=torch.tensor([[1, 2]]))
    first = math.log(math.exp(1) + math.exp(3) + 1) - 3
    second = math.log(1 + math.exp(2) + math.exp(4) + math.exp(1)) - 4
    assert objective(said).item() == pytest.approx((first + second) / 2, rel=1e-5)


# state_reconstruction: squared error between unit vectors


@pytest.mark.parametrize(
    ("guess", "pooled", "expected"),
    [
        ([2.0, 0.0], [5.0, 0.0], 0.0),  # lengths do not matter
        ([2.0, 0.0], [0.0, 5.0], 1.0),  # ((1 - 0)^2 + (0 - 1)^2) / 2
        ([1.0, 0.0], [-1.0, 0.0], 2.0),  # (2^2 + 0) / 2
        ([3.0, 4.0], [1.0, 0.0], 0.4),  # ((.6 - 1)^2 + .8^2) / 2
    ],
)
def test_state_reconstruction_is_the_squared_error_of_directions(guess, pooled, expected):
    objective = make_objective("state_reconstruction")
    objective.head = torch.nn.Linear(2, 2)
    with torch.no_grad():
        objective.head.weight.copy_(torch.eye(2))
        objective.head.bias.zero_()
    said = make_messages(torch.zeros(1, 1, 2), latents=torch.tensor([[guess]]), pooled=torch.tensor([pooled]))
    assert objective(said).item() == pytest.approx(expected, abs=1e-6)


# info_preserve: squared difference of pairwise cosines


@pytest.mark.parametrize(
    ("latents", "pooled", "expected"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]], 0.5),  # (0, 1, 1, 0) squared, over 4
        ([[1.0, 0.0], [0.0, 1.0]], [[0.0, 3.0], [2.0, 0.0]], 0.0),  # only likeness counts
        ([[1.0, 0.0], [-1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]], 2.0),  # (0, 2, 2, 0) squared, over 4
        ([[3.0, 4.0], [5.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], 0.18),  # cosine .6 against 0: 2 * .36 / 4
    ],
)
def test_info_preserve_wants_latents_as_alike_as_states_are(latents, pooled, expected):
    flat = torch.tensor(latents)
    for shaped in (flat[:, None], flat[:, :, None]):  # in one slot, or over two
        said = make_messages(torch.zeros(2, 1, 2), latents=shaped, pooled=torch.tensor(pooled))
        assert value_of("info_preserve", said).item() == pytest.approx(expected, abs=1e-6)


# quantizer: the channel's own


def test_the_channel_s_own_losses_are_added():
    losses = {"commitment": torch.tensor(0.25), "other": torch.tensor(0.5)}
    assert value_of("quantizer", make_messages(torch.ones(1, 1, 3), losses=losses)).item() == 0.75


def test_a_channel_without_losses_of_its_own_owes_nothing():
    assert value_of("quantizer", make_messages(torch.ones(1, 1, 3))).item() == 0.0


def test_a_temperature_of_one_makes_the_cosines_themselves_the_log_odds():
    said = make_messages(TOKENS[None, :4].clone(), shares_of(["0123"], 4))
    wanted = math.log(1 + 3 * math.exp(-1))
    assert value_of("reconstruction", said, temperature=1.0).item() == pytest.approx(wanted, rel=1e-3)


def test_a_sender_that_says_nothing_leaves_nothing_to_reconstruct():
    said = make_messages(torch.zeros(2, 2, 10), shares_of(["", ""], 2))
    with pytest.raises(ValueError, match="reconstruction must be 0 with a sender that says nothing"):
        value_of("reconstruction", said)


# heads


def test_only_objectives_that_guess_have_heads():
    def heads_of(*names):
        loss = Loss(ObjectiveWeights(weights=dict.fromkeys(names, 1.0)), make_channel(2, 3), world_of(3, 4))
        return {name: tuple(p.shape) for name, p in loss.named_parameters()}

    assert heads_of("ce", "info_preserve") == {}
    assert heads_of("state_reconstruction", "attributes") == {
        "heads.0.weight": (7, 6), "heads.0.bias": (7,), "heads.1.weight": (24, 6), "heads.1.bias": (24,)
    }  # fmt: skip


@pytest.mark.parametrize("name", ["attributes", "state_reconstruction", "info_preserve"])
def test_gradient_reaches_the_latents(name):
    latents = torch.randn(5, 2, 3, requires_grad=True)
    views = torch.tensor([[0, 0], [1, 1], [2, 2], [1, 3], [0, 1]])
    said = make_messages(torch.zeros(5, 2, 3), latents=latents, pooled=torch.randn(5, 24), views=views)
    make_objective(name, world_of(3, 4))(said).backward()
    assert latents.grad.abs().sum(-1).all()
