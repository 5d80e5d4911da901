"""Messages side by side behind one context are heard as if each stood alone."""

from __future__ import annotations

import pytest
import torch

from parley.agents.packing import lay_out, messages_per_context
from parley.agents.receiver import Receiver
from parley.channels.base import ActivationPatch, ReceiverInput, SoftPrompt, TextInput

ROWS = [["tiny red cube", "large blue ball"], ["very large dark sea blue round cone", "tiny disc"]]
LOWEST = torch.finfo(torch.float32).min


def some_of(kind: str, width: int) -> ReceiverInput:
    """Six messages."""
    torch.manual_seed(0)
    vectors = torch.randn(6, 3, width)
    return {
        "prefix": SoftPrompt(vectors),
        "masked": SoftPrompt(vectors, mask=torch.arange(3) < torch.tensor([3, 1, 2, 0, 3, 2])[:, None]),
        "start": SoftPrompt(vectors, at_start=True),
        "words": TextInput(["tiny", "large blue ball", "red", "disc", "a very dark blue one", ""]),
        "patch": ActivationPatch(vectors[:, 0], 0.5, "add"),
    }[kind]


@pytest.mark.parametrize("kind", ["prefix", "masked", "start", "words", "patch"])
def test_each_is_heard_as_if_it_stood_alone(receiver: Receiver, kind: str) -> None:
    """Contexts of different lengths, and messages of different lengths beside each other."""
    context, receiver_input = receiver.read(ROWS), some_of(kind, receiver.lm.width)
    together = receiver.choose(context, receiver_input)
    for row in range(6):
        one = torch.tensor([row])
        alone = receiver.choose(context.take(one // 3), receiver_input.take(one))
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_no_message_moves_another(receiver: Receiver) -> None:
    context, vectors = receiver.read(ROWS), torch.randn(6, 3, receiver.lm.width)
    before = receiver.choose(context, SoftPrompt(vectors))
    vectors[1] += 1
    after = receiver.choose(context, SoftPrompt(vectors))
    others = torch.arange(6) != 1
    assert torch.equal(before[others], after[others])
    assert not torch.allclose(before[1], after[1])


def test_no_gradient_crosses_from_one_to_another(receiver: Receiver) -> None:
    vectors = torch.randn(6, 3, receiver.lm.width, requires_grad=True)
    receiver.choose(receiver.read(ROWS), SoftPrompt(vectors))[4].logsumexp(-1).backward()
    assert vectors.grad is not None
    moved = vectors.grad.abs().sum((1, 2)) > 0
    assert moved.tolist() == [False] * 4 + [True, False]


def test_the_layout_by_hand() -> None:
    """Two messages of two positions, the second shorter by one, behind three tokens of which two count."""
    read = torch.tensor([[[False, True, True]] * 2])
    counted = torch.tensor([[True, True], [False, True]])
    row = lay_out(read, torch.arange(8.0).reshape(2, 2, 2), counted)
    assert row.vectors.tolist() == [[[0, 1], [2, 3], [4, 5], [6, 7]]]
    assert row.positions.tolist() == [[2, 3, 2, 2]]
    seen = [
        [0, 1, 1, 1, 0, 0, 0],
        [0, 1, 1, 1, 1, 0, 0],
        [0, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 1],
    ]
    assert torch.equal(row.mask == 0, torch.tensor([[seen]], dtype=torch.bool))
    assert torch.equal(row.mask[row.mask != 0].unique(), torch.tensor([LOWEST]))


def test_contexts_take_their_turn_equally_often(receiver: Receiver) -> None:
    assert messages_per_context(2, 6) == 3
    with pytest.raises(ValueError, match="each context must get equally many messages, got 5 for 2 contexts"):
        receiver.choose(receiver.read(ROWS), SoftPrompt(torch.randn(5, 3, receiver.lm.width)))
