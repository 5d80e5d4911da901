"""The highest score is chosen, and among equal ones every one as often, whatever its position."""

from collections import Counter

import numpy as np
import pytest
import torch

from parley.agents.choosing import pick


def never(row):
    raise AssertionError(f"row {row} has no tie")


def drawn(row):
    return np.random.default_rng([7, row])


def test_without_ties_the_highest_is_picked_and_nothing_is_drawn():
    logits = torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
    assert pick(logits, never).tolist() == logits.argmax(-1).tolist()
    assert pick(logits.bfloat16()[:1], never).shape == (1,)


def test_equal_scores_are_picked_equally_often():
    """chi-squared over 5 and over 3 places; 18.5 and 13.8 are exceeded with probability 0.001."""
    all_equal = Counter(pick(torch.zeros(2000, 5), drawn).tolist())
    assert sum((all_equal[place] - 400) ** 2 / 400 for place in range(5)) < 18.5
    three = Counter(pick(torch.tensor([1.0, 3.0, 3.0, 2.0, 3.0]).repeat(1500, 1), drawn).tolist())
    assert set(three) == {1, 2, 4}
    assert sum((count - 500) ** 2 / 500 for count in three.values()) < 13.8


def test_only_rows_with_ties_draw_and_each_from_a_generator_of_its_own():
    asked = []
    logits = torch.tensor([[0.0, 1.0], [2.0, 2.0], [1.0, 0.0], [3.0, 3.0]])
    choices = pick(logits, lambda row: asked.append(row) or drawn(row))
    assert asked == [1, 3]
    assert choices[[0, 2]].tolist() == [1, 0]
    assert pick(logits[:2], drawn).tolist() == choices[:2].tolist()


def test_scores_with_gradient_are_picked_from_as_they_are():
    logits = torch.tensor([[0.0, 1.0]], requires_grad=True)
    assert pick(logits, never).tolist() == [1]


@pytest.mark.parametrize("equal", [float("inf"), -1e30])
def test_extreme_scores_tie_as_others_do(equal):
    assert set(pick(torch.full((60, 3), equal), drawn).tolist()) == {0, 1, 2}
