"""One batch: which context hears which message, how often the receiver is asked, and with what gradient."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from objective_cases import NULL, make_heads, make_policy, make_said, make_step

from parley.channels.base import ChannelOutput, TextInput
from parley.training.objectives import ObjectiveWeights, evaluate_objectives
from parley.training.step import MessageBatch

NAMES = ("ce", "help", "contrast", "swap_contrast", "info_nce", "teacher_kl", "reinforce", "entropy")


def blank(num_contexts, per_context=1, **settings):
    num = num_contexts * per_context
    targets = [place for _ in range(num_contexts) for place in range(per_context)]
    return make_step(torch.zeros(num_contexts, num + 1, 5), targets, per_context, **settings)


def own_context(message, per_context):
    return (message - 1) // per_context


@given(st.integers(1, 5), st.integers(1, 4))
def test_each_context_hears_its_own_messages_in_turn(num_contexts, per_context):
    step = blank(num_contexts, per_context)
    assert step.answer_states.shape == (num_contexts * per_context, 5)
    [answer_states] = step.receiver.calls
    assert [message for _, message in answer_states] == list(range(1, len(answer_states) + 1))
    assert all(context == own_context(message, per_context) for context, message in answer_states)


@given(st.integers(2, 6), st.integers(1, 4))
def test_shuffled_messages_are_never_of_the_same_context(num_contexts, per_context):
    step = blank(num_contexts, per_context)
    step.answer_states_shuffled  # noqa: B018 - the call is what is looked at
    [answer_states] = step.receiver.calls
    assert all(context != own_context(message, per_context) for context, message in answer_states)
    assert Counter(message for _, message in answer_states) == Counter(range(1, len(answer_states) + 1)), (
        "each is used once"
    )


def test_one_context_alone_has_nobody_elses_message_to_hear():
    with pytest.raises(ValueError, match="batch_size"):
        blank(1, 2).answer_states_shuffled  # noqa: B018 - as above


def test_null_is_heard_by_every_context_without_gradient():
    step = blank(2, 2)
    step.answer_states_null  # noqa: B018 - as above
    [answer_states] = step.receiver.calls
    assert answer_states == [(0, NULL), (0, NULL), (1, NULL), (1, NULL)]
    assert step.receiver.with_gradient == [False]


def test_the_teacher_is_told_the_senders_own_words_without_gradient():
    step = blank(3)
    step.text_logits  # noqa: B018 - as above
    [answer_states] = step.receiver.calls
    assert answer_states == [(0, 1), (1, 2), (2, 3)], "the words of message m are its number"
    assert step.receiver.with_gradient == [False]


def test_messages_are_heard_with_gradient_unless_reward_is_all():
    steps = [blank(2), blank(2, differentiable=False)]
    for step in steps:
        step.logits  # noqa: B018 - as above
    assert [step.receiver.with_gradient for step in steps] == [[True], [False]]
    steps[0].answer_states_shuffled  # noqa: B018 - as above
    assert steps[0].receiver.with_gradient == [True, True]


@pytest.mark.parametrize(
    ("asked", "passes"),
    [
        (["ce"], 1),
        (["swap_contrast"], 1),
        (["reinforce", "entropy"], 1),
        (["help"], 2),
        (["contrast"], 2),
        (["teacher_kl"], 2),
        (["info_nce"], 1),
        (["ce", "help", "contrast", "swap_contrast", "teacher_kl", "reinforce"], 4),
        (list(NAMES), 5),
    ],
)
def test_the_receiver_is_asked_once_for_each_thing_it_hears(asked, passes):
    """Right message, null, another context's, the words, and the crossed ones of info_nce."""
    weights = {name: float(name in asked) for name in (*NAMES, "reconstruction", "quantizer")}
    step = blank(3, 2, policy=make_policy([-1.0] * 6))
    evaluate_objectives(step, make_heads([]), ObjectiveWeights(**weights))
    assert len(step.receiver.calls) == passes


def test_crossed_logits_are_context_by_message():
    logits = torch.randn(3, 7, 5)
    step = make_step(logits, [0, 1, 0, 1, 0, 1], per_context=2)
    rows = torch.tensor([0, 4])
    crossed = step.all_pairs_logits(rows)
    for i, row in enumerate(rows.tolist()):
        for j, message in enumerate(rows.tolist()):
            assert torch.equal(crossed[i, j], logits[row // 2, message + 1])


@pytest.mark.parametrize("at_start", [False, True])
def test_wrong_messages_stand_where_the_right_ones_do(at_start, monkeypatch):
    step, places = blank(3, at_start=at_start), []
    answer_states = type(step.receiver).answer_states

    def noted(self, context, receiver_input):
        places.append(receiver_input.at_start)
        return answer_states(self, context, receiver_input)

    monkeypatch.setattr(type(step.receiver), "answer_states", noted)
    for _ in (
        step.answer_states,
        step.answer_states_shuffled,
        step.answer_states_null,
        step.all_pairs_logits(torch.arange(3)),
    ):
        pass
    assert places == [at_start] * 4


def test_gradient_reaches_shuffled_and_crossed_messages():
    step = blank(3)
    step.receiver.table.requires_grad_()
    (step.answer_states_shuffled.sum() + step.all_pairs_logits(torch.arange(3)).sum()).backward()
    assert step.receiver.table.grad[0, 3].all(), "context 0 under message 3"


def test_only_a_prefix_can_be_reconstructed():
    said = make_said(torch.zeros(2, 1, 3))
    words = MessageBatch(
        utterance=said.utterance,
        relay=ChannelOutput(TextInput(["a", "b"]), {}),
        pooled=said.pooled,
        referents=said.referents,
        tokens=said.tokens,
    )
    with pytest.raises(
        ValueError, match="this channel delivers a TextInput: set --reconstruction 0 and --align"
    ):
        words.prefix  # noqa: B018 - as above
    with pytest.raises(ValueError, match="info_preserve need latents, as channel `latent` has"):
        words.latents  # noqa: B018 - as above
