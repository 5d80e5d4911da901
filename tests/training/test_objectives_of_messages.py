"""The terms that need no receiver, against numbers written out by hand."""

import math

import pytest
import torch
from objective_cases import make_heads, make_said

from parley.training.objectives import (
    attributes,
    info_preserve,
    quantizer,
    reconstruction,
    state_reconstruction,
)
from parley.training.token_targets import TokenTargets

TOKENS = torch.eye(10)
NO_HEADS = make_heads([])


def shares_of(texts, num_slots, **settings):
    rows = [[int(character) for character in text] for text in texts]
    return TokenTargets(rows, TOKENS, num_slots, **settings).of(torch.arange(len(texts))).shares


# reconstruction: -log p(token) by cosine / 0.1 with the token's embedding


def test_reconstruction_is_the_surprisal_of_the_slot_s_token_by_cosine():
    vectors = TOKENS[None, :4].clone() * 3  # the right token's direction, at any length
    said = make_said(vectors, shares_of(["0123"], 4))
    assert reconstruction(said, NO_HEADS).item() == pytest.approx(math.log(1 + 3 * math.exp(-10)), rel=1e-3)


def test_reconstruction_of_a_prefix_that_says_nothing_is_the_log_of_the_vocabulary():
    vectors = torch.zeros(1, 4, 10)
    vectors[..., 9] = 1.0  # orthogonal to every token of the message
    said = make_said(vectors, shares_of(["0123"], 4))
    assert reconstruction(said, NO_HEADS).item() == pytest.approx(math.log(4), rel=1e-5)


def test_reconstruction_is_the_mean_over_slots_that_have_a_token():
    """Slots without one are free: whatever stands there costs nothing."""
    vectors = torch.zeros(2, 2, 10)
    vectors[0, 0, 0], vectors[1, 0, 0] = 1.0, 1.0  # right for "0", wrong for "1"
    vectors[:, 1, 5] = 7.0
    said = make_said(vectors, shares_of(["0", "1"], 2))
    right = math.log(1 + math.exp(-10))
    assert reconstruction(said, NO_HEADS).item() == pytest.approx((right + right + 10) / 2, rel=1e-5)


def test_a_slot_that_answers_for_two_tokens_owes_both_their_mean():
    vectors = torch.zeros(1, 1, 10)
    vectors[0, 0, 0] = 1.0
    said = make_said(vectors, shares_of(["01"], 1))
    right = math.log(1 + math.exp(-10))
    assert reconstruction(said, NO_HEADS).item() == pytest.approx((right + right + 10) / 2, rel=1e-5)


# attributes: mean over attributes of a linear guess's cross-entropy


def test_attributes_of_a_guess_that_knows_nothing_are_the_mean_log_of_their_numbers():
    heads = make_heads(["attributes"], num_values=(2, 4))
    torch.nn.init.zeros_(heads._attributes.weight)
    torch.nn.init.zeros_(heads._attributes.bias)
    said = make_said(torch.randn(3, 2, 3), referents=torch.tensor([[0, 0], [1, 3], [0, 2]]))
    assert attributes(said, heads).item() == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-5)


def test_attributes_are_each_guessed_from_all_latents_by_their_own_numbers():
    """Attribute 0 by numbers 0 and 1 of the flattened latents, attribute 1 by numbers 2 to 4."""
    heads = make_heads(["attributes"], num_slots=2, latent_width=3, num_values=(2, 3))
    with torch.no_grad():
        heads._attributes.weight.copy_(torch.eye(5, 6))
        heads._attributes.bias.zero_()
    latents = torch.tensor([[[1.0, 3.0, 0.0], [2.0, 4.0, 9.0]]])
    said = make_said(torch.zeros(1, 2, 3), latents=latents, referents=torch.tensor([[1, 2]]))
    first = math.log(math.exp(1) + math.exp(3)) - 3
    second = math.log(1 + math.exp(2) + math.exp(4)) - 4
    assert attributes(said, heads).item() == pytest.approx((first + second) / 2, rel=1e-5)


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
    heads = make_heads(["state_reconstruction"])
    heads._state = torch.nn.Linear(2, 2)
    with torch.no_grad():
        heads._state.weight.copy_(torch.eye(2))
        heads._state.bias.zero_()
    said = make_said(torch.zeros(1, 1, 2), latents=torch.tensor([[guess]]), pooled=torch.tensor([pooled]))
    assert state_reconstruction(said, heads).item() == pytest.approx(expected, abs=1e-6)


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
        said = make_said(torch.zeros(2, 1, 2), latents=shaped, pooled=torch.tensor(pooled))
        assert info_preserve(said, NO_HEADS).item() == pytest.approx(expected, abs=1e-6)


# quantizer: the channel's own


def test_the_channel_s_own_losses_are_added():
    losses = {"commitment": torch.tensor(0.25), "other": torch.tensor(0.5)}
    assert quantizer(make_said(torch.ones(1, 1, 3), losses=losses), NO_HEADS).item() == 0.75


def test_a_channel_without_losses_of_its_own_owes_nothing():
    assert quantizer(make_said(torch.ones(1, 1, 3)), NO_HEADS).item() == 0.0


# heads


def test_heads_that_were_not_asked_for_do_not_exist():
    assert not list(make_heads([]).parameters())
    assert not list(make_heads(["ce", "info_preserve"]).parameters())
    both = make_heads(["attributes", "state_reconstruction"])
    shapes = {name: tuple(p.shape) for name, p in both.named_parameters()}
    assert shapes == {
        "_attributes.weight": (6, 6), "_attributes.bias": (6,), "_state.weight": (24, 6), "_state.bias": (24,)
    }  # fmt: skip


def test_a_head_that_was_not_asked_for_is_not_made_up():
    heads = make_heads([])
    with pytest.raises(AssertionError, match="no head for attributes was asked for"):
        heads.attribute_logits(torch.zeros(1, 2, 3))
    with pytest.raises(AssertionError, match="no head for states was asked for"):
        heads.state(torch.zeros(1, 2, 3))


@pytest.mark.parametrize("objective", [attributes, state_reconstruction, info_preserve])
def test_gradient_reaches_the_latents(objective):
    heads = make_heads(["attributes", "state_reconstruction"])
    latents = torch.randn(5, 2, 3, requires_grad=True)
    referents = torch.tensor([[0, 0], [1, 1], [0, 2], [1, 3], [0, 1]])
    said = make_said(torch.zeros(5, 2, 3), latents=latents, pooled=torch.randn(5, 24), referents=referents)
    objective(said, heads).backward()
    assert latents.grad.abs().sum(-1).all()
