"""Which tokens a slot answers for."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.training.token_targets import TokenTargets

TOKENS = torch.eye(10)


def targets(texts, num_slots, **settings):
    return TokenTargets([[int(c) for c in text] for text in texts], TOKENS, num_slots, **settings)


def shares_of(texts, num_slots, **settings):
    return targets(texts, num_slots, **settings).of(np.arange(len(texts))).shares


def test_each_slot_answers_for_its_own_token_when_there_are_as_many():
    shares = shares_of(["0123", "3210"], 4)
    assert torch.equal(shares[0], torch.eye(4))
    assert torch.equal(shares[1], torch.eye(4).flip(-1))


def test_slots_share_a_longer_message_evenly():
    shares = shares_of(["0123"], 2)
    assert torch.equal(shares[0], torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]))


def test_a_token_that_is_said_twice_counts_twice():
    assert torch.equal(shares_of(["001"], 1)[0], torch.tensor([[2 / 3, 1 / 3]]))


def test_slots_are_free_where_the_message_is_shorter():
    shares = shares_of(["01"], 4)
    assert shares[0].sum(-1).tolist() == [1, 0, 1, 0]


def test_a_sender_that_says_nothing_leaves_every_slot_free():
    tokens = targets(["", ""], 2).of(np.arange(2))
    assert (tokens.shares.shape, tokens.table.shape) == ((2, 2, 0), (0, 10))


def test_the_first_tokens_only_leave_the_rest_unsaid():
    whole, first = (shares_of(["0123", "45"], 2, first_only=first) for first in (False, True))
    assert whole.shape[-1] == 6
    assert first.shape[-1] == 4, "tokens 2 and 3 are nobody's, and no negatives either"
    assert torch.equal(first[0], torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0]]))
    assert torch.equal(first[1], torch.tensor([[0, 0, 1.0, 0], [0, 0, 0, 1]]))


def test_with_the_first_tokens_only_a_shorter_message_frees_the_last_slots():
    assert shares_of(["01"], 4, first_only=True)[0].sum(-1).tolist() == [1, 1, 0, 0]


@settings(max_examples=50)
@given(
    texts=st.lists(st.text("0123456789", min_size=1, max_size=9), min_size=1, max_size=4),
    num_slots=st.integers(1, 5),
    first=st.booleans(),
)
def test_every_slot_answers_for_a_distribution_or_for_nothing(texts, num_slots, first):
    shares = shares_of(texts, num_slots, first_only=first)
    sums = shares.sum(-1)
    assert torch.allclose(sums, sums.round())
    assert ((sums > 0.5).sum(-1) == torch.tensor([min(len(text), num_slots) for text in texts])).all()


def test_the_targets_are_those_of_the_messages_asked_for():
    made = targets(["7", "2", "5"], 1)
    asked = made.of(np.array([2, 0, 2]))
    assert torch.equal(asked.table, TOKENS[[2, 5, 7]])
    assert asked.shares[:, 0].tolist() == [[0, 1, 0], [0, 0, 1], [0, 1, 0]]


def test_messages_are_asked_for_by_the_indices_that_were_given():
    made = targets(["7", "2", "5"], 1, indices=np.array([4, 10, 11]))
    shares = made.of(np.array([11, 4])).shares
    assert shares[:, 0].tolist() == [[0, 1, 0], [0, 0, 1]]
