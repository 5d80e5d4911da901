"""One batch: which context gets which message, how often the receiver is asked, and with what gradient."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from objective_cases import NULL, PASSES, Stage, make_loss, make_messages, make_policy

from parley.channels.base import ChannelOutput, TextInput
from parley.training.loss import ObjectiveWeights

NAMES = ("ce", "help", "contrast", "swap_contrast", "info_nce", "teacher_kl", "reinforce", "entropy")


def blank(num_contexts, per_context=1, **settings):
    num = num_contexts * per_context
    targets = [place for _ in range(num_contexts) for place in range(per_context)]
    return Stage(torch.zeros(num_contexts, num + 1, 5), targets, per_context, **settings)


def own_context(message, per_context):
    return (message - 1) // per_context


@given(st.integers(1, 5), st.integers(1, 4))
def test_each_context_gets_its_own_messages_in_turn(num_contexts, per_context):
    stage = blank(num_contexts, per_context)
    answers = stage.answers("normal")
    assert answers.keys() == {"normal"}
    assert answers["normal"].logits.shape == (num_contexts * per_context, 5)
    [asked] = stage.receiver.calls
    assert [message for _, message in asked] == list(range(1, len(asked) + 1))
    assert all(context == own_context(message, per_context) for context, message in asked)


@given(st.integers(2, 6), st.integers(1, 4))
def test_shuffled_messages_are_never_of_the_same_context(num_contexts, per_context):
    stage = blank(num_contexts, per_context)
    stage.answers("normal", "shuffle")
    _, asked = stage.receiver.calls
    assert all(context != own_context(message, per_context) for context, message in asked)
    assert Counter(message for _, message in asked) == Counter(range(1, len(asked) + 1)), "each is used once"


def test_one_context_alone_has_nobody_elses_message():
    with pytest.raises(ValueError, match="contrast needs a batch_size of at least 2"):
        blank(1, 2).answers("shuffle")


def test_null_is_read_once_a_context_without_gradient_and_counts_for_every_message():
    stage = blank(2, 2)
    answers = stage.answers("normal", "null")
    assert stage.receiver.calls[1] == [(0, NULL), (1, NULL)]
    assert stage.receiver.with_gradient == [True, False]
    assert answers["null"].logits.shape == (4, 5)
    assert answers["null"].nll.shape == (4,)


def test_null_answers_are_those_of_each_row_s_context():
    logits = torch.randn(2, 5, 5)
    stage = Stage(logits, [0, 1, 2, 3], per_context=2)
    null = stage.answers("normal", "null")["null"]
    assert torch.equal(null.logits, logits[[0, 0, 1, 1], NULL])
    assert torch.allclose(null.nll, -logits[[0, 0, 1, 1], NULL].log_softmax(-1)[range(4), [0, 1, 2, 3]])


def test_the_teacher_is_told_the_senders_own_words_without_gradient():
    stage = blank(3)
    stage.answers("normal", "text")
    assert stage.receiver.calls[1] == [(0, 1), (1, 2), (2, 3)], "the words of message m are its number"
    assert stage.receiver.with_gradient == [True, False]


def test_messages_are_read_with_gradient_where_an_objective_looks_at_them():
    stages = [blank(2), blank(2)]
    stages[0].answers("normal", "shuffle")
    stages[1].answers("rewards", "policy", "all_pairs")
    assert [stage.receiver.with_gradient for stage in stages] == [[True, True], [False, True]]


@pytest.mark.parametrize(
    ("asked", "passes"),
    [
        (["ce"], 1),
        (["swap_contrast"], 1),
        (["reinforce", "entropy"], 1),
        (["help"], 2),
        (["contrast"], 2),
        (["teacher_kl"], 2),
        (["info_nce"], 2),
        (["ce", "help", "contrast", "swap_contrast", "teacher_kl", "reinforce"], 4),
        (list(NAMES), 5),
    ],
)
def test_the_receiver_is_asked_once_for_each_thing_that_is_needed(asked, passes):
    """Right message, null, another context's, the words, and all pairs; the choice needs the first."""
    weights = ObjectiveWeights(weights=dict.fromkeys(asked, 1.0))
    stage = blank(3, 2, policy=make_policy([-1.0] * 6))
    batch = stage.played(*weights.needs)
    assert make_loss(**weights.weights).of_play(batch).keys() == set(asked)
    assert len(stage.receiver.calls) == passes


def test_all_pairs_are_context_by_message():
    logits = torch.randn(3, 7, 5)
    stage = Stage(logits, [0, 1, 2, 3, 4, 1], per_context=2)
    crossed = stage.answers("all_pairs", num_pairs=2)["all_pairs"]
    for i, row in enumerate((0, 2)):
        for j, message in enumerate((0, 2)):
            wanted = logits[row // 2, message + 1]
            assert torch.equal(crossed.logits[2 * i + j], wanted)
            nll = -wanted.log_softmax(-1)[stage.targets[row]]
            assert crossed.nll[2 * i + j].item() == pytest.approx(nll.item(), rel=1e-5)


@pytest.mark.parametrize("at_start", [False, True])
def test_wrong_messages_stand_where_the_right_ones_do(at_start):
    stage = blank(3, at_start=at_start)
    stage.answers(*PASSES)
    assert stage.receiver.at_start == [at_start] * 4


def test_gradient_reaches_shuffled_and_crossed_messages():
    stage = blank(3)
    stage.receiver.table.requires_grad_()
    answers = stage.answers("shuffle", "all_pairs")
    (answers["shuffle"].logits.sum() + answers["all_pairs"].logits.sum()).backward()
    assert stage.receiver.table.grad[0, 3].all(), "context 0 under message 3"


def test_only_a_prefix_can_be_reconstructed():
    words = replace(make_messages(torch.zeros(2, 1, 3)), output=ChannelOutput(TextInput(["a", "b"]), {}))
    with pytest.raises(
        ValueError, match="this channel delivers a TextInput: set --reconstruction 0 and --align"
    ):
        words.soft_prompt  # noqa: B018 - the property raises
    with pytest.raises(ValueError, match="needs latents, as channel `latent` has"):
        words.latents  # noqa: B018 - as above
