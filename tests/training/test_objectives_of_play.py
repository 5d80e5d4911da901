"""The terms that need the receiver, against numbers written out by hand.

Answers are given as probabilities: `odds[c][m]` is what the receiver says in context c under
message m, and message 0 is the content-free prefix.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_cases import Stage, make_step, value_of

HALF, EVEN = math.log(2), [0.5, 0.5]
random_answers = st.integers(0, 2**31).map(lambda seed: torch.Generator().manual_seed(seed))


def answered(odds, targets, **settings):
    return make_step(torch.tensor(odds).log(), targets, **settings)


# ce: mean of -log p(target)


def test_ce_is_the_mean_surprisal_of_the_targets():
    step = answered([[EVEN, [0.5, 0.5], EVEN], [EVEN, EVEN, [0.75, 0.25]]], [0, 1])
    assert value_of("ce", step).item() == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-6)


def test_ce_at_chance_is_log_n():
    assert value_of("ce", make_step(torch.zeros(2, 3, 5), [4, 0])).item() == pytest.approx(
        math.log(5), rel=1e-6
    )


def test_ce_among_the_vocabulary_counts_what_is_no_label():
    """Labels are tokens 3 and 1; half of the probability is on tokens that label nothing."""
    odds = [[[0.25] * 4, [0.3, 0.1, 0.2, 0.4]]]
    among_labels = answered(odds, [0], label_ids=[3, 1])
    among_all = answered(odds, [0], label_ids=[3, 1], among="vocabulary")
    assert value_of("ce", among_labels).item() == pytest.approx(-math.log(0.4 / 0.5), rel=1e-6)
    assert value_of("ce", among_all).item() == pytest.approx(-math.log(0.4), rel=1e-6)


# help: relu(CE - CE under null + 0.2)


@pytest.mark.parametrize(
    ("right", "null", "expected"),
    [
        (0.5, 0.5, 0.2),  # no better than nothing: the whole margin is owed
        (0.25, 0.5, HALF + 0.2),  # worse than nothing
        (0.5 * math.exp(0.15), 0.5, 0.05),  # 0.15 nats better: the rest of the margin
        (0.5 * math.exp(0.3), 0.5, 0.0),  # 0.2 nats are enough
    ],
)
def test_help_is_owed_up_to_a_margin_of_a_fifth_of_a_nat(right, null, expected):
    step = answered([[[null, 1 - null], [right, 1 - right]]], [0])
    assert value_of("help", step).item() == pytest.approx(expected, abs=1e-6)


def test_help_compares_means_over_the_batch():
    """As the failed experiment did: a row that is better than nothing pays for one that is worse."""
    step = answered([[EVEN, [0.99, 0.01], EVEN], [EVEN, EVEN, [0.01, 0.99]]], [0, 0])
    mean = (math.log(1 / 0.99) + math.log(100)) / 2
    assert value_of("help", step).item() == pytest.approx(mean - HALF + 0.2, rel=1e-5)


# contrast: relu(1 - (CE under another context's message - CE))


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        (0.5, 0.5, 1.0),  # the wrong message is as good
        (0.5, 0.5 * math.exp(-0.05), 0.95),  # what the failed experiment ended at
        (0.5, 0.5 * math.exp(-1.5), 0.0),  # a nat is enough
        (0.4, 0.8, 1 + HALF),  # the wrong message is better
    ],
)
def test_contrast_is_owed_up_to_a_margin_of_one_nat(right, wrong, expected):
    odds = [
        [EVEN, [right, 1 - right], [wrong, 1 - wrong]],
        [EVEN, [wrong, 1 - wrong], [right, 1 - right]],
    ]
    assert value_of("contrast", answered(odds, [0, 0])).item() == pytest.approx(expected, abs=1e-5)


def test_ce_help_and_contrast_look_where_they_are_told():
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 3, 6), [1, 0]
    settings = {"label_ids": [4, 2]}
    for name in ("ce", "help", "contrast"):
        ours, theirs = (
            value_of(name, make_step(logits, targets, among=among, **settings))
            for among in ("choices", "vocabulary")
        )
        assert abs(ours - theirs) > 1e-3


# swap_contrast: mean of relu(1 - (log p(target | right message) - log p(target | other message)))


def test_swap_contrast_by_hand():
    """Message 1 is about candidate 0, message 2 about candidate 1, of one context."""
    step = answered([[EVEN, [0.8, 0.2], [0.5, 0.5]]], [0, 1], per_context=2)
    first = 1 - math.log(0.8 / 0.5)  # target 0: under message 1, against under message 2
    second = 1 - math.log(0.5 / 0.2)  # target 1: under message 2, against under message 1
    assert value_of("swap_contrast", step).item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_swap_contrast_of_messages_that_are_understood_is_nothing():
    step = answered([[EVEN, [0.9, 0.1], [0.1, 0.9]]], [0, 1], per_context=2)
    assert value_of("swap_contrast", step).item() == 0.0


@settings(max_examples=40)
@given(random_answers, st.integers(1, 3), st.integers(2, 4))
def test_swap_contrast_is_the_plain_double_loop(generator, num_contexts, per_context):
    num_rows, num_candidates = num_contexts * per_context, 5
    logits = torch.randn(num_contexts, num_rows + 1, num_candidates, generator=generator)
    targets = [
        place
        for _ in range(num_contexts)
        for place in torch.randperm(num_candidates, generator=generator)[:per_context].tolist()
    ]
    losses = []
    for row, target in enumerate(targets):
        context = row // per_context
        log_p = logits[context].log_softmax(-1)
        others = set(range(context * per_context, (context + 1) * per_context)) - {row}
        gaps = [float(log_p[row + 1, target] - log_p[other + 1, target]) for other in others]
        losses += [max(0.0, 1 - gap) for gap in gaps]
    step = make_step(logits, targets, per_context=per_context)
    assert value_of("swap_contrast", step).item() == pytest.approx(
        sum(losses) / len(losses), rel=1e-4, abs=1e-6
    )


def test_swap_contrast_needs_other_messages_of_the_same_context():
    with pytest.raises(ValueError, match="swap_contrast needs messages_per_context of at least 2, got 1"):
        value_of("swap_contrast", answered([[EVEN, EVEN]], [0]))


# info_nce: -log p(which message belongs to a context), by log p(target)


def test_info_nce_by_hand():
    """Scores are log p(target): in context 0 of .6 and .2, in context 1 of .3 and .3."""
    odds = [[EVEN, [0.6, 0.4], [0.2, 0.8]], [EVEN, [0.7, 0.3], [0.7, 0.3]]]
    step = answered(odds, [0, 1])
    assert value_of("info_nce", step).item() == pytest.approx(
        (-math.log(0.6 / 0.8) + math.log(2)) / 2, rel=1e-5
    )


def test_info_nce_scores_by_probabilities_not_by_how_loud_an_answer_is():
    torch.manual_seed(0)
    logits, louder = torch.randn(3, 4, 5), torch.randn(3, 4, 1)
    one, other = (
        value_of("info_nce", make_step(answers, [0, 1, 2])) for answers in (logits, logits + louder)
    )
    assert one.item() == pytest.approx(other.item(), rel=1e-5)


@pytest.mark.parametrize(("rows", "bound"), [(3, 3), (8, 8), (11, 8)])
def test_info_nce_of_messages_that_say_nothing_is_the_log_of_eight_at_most(rows, bound):
    step = make_step(torch.zeros(rows, rows + 1, 4), [0] * rows)
    assert value_of("info_nce", step).item() == pytest.approx(math.log(bound), rel=1e-5)


def test_info_nce_of_messages_that_say_all_is_nothing():
    logits = torch.zeros(9, 10, 2)
    logits[:, :, 0] = -30.0
    for context in range(9):
        logits[context, context + 1, 0] = 30.0
    assert value_of("info_nce", make_step(logits, [0] * 9)).item() == pytest.approx(0.0, abs=1e-4)


@settings(max_examples=40)
@given(random_answers)
def test_the_bound_on_information_never_passes_log_eight(generator):
    step = make_step(3 * torch.randn(9, 10, 4, generator=generator), [0, 1, 2, 3, 0, 1, 2, 3, 0])
    assert value_of("info_nce", step).item() >= 0, "log 8 less the loss is the bound"


def test_info_nce_takes_the_first_message_of_each_of_eight_contexts():
    stage = Stage(torch.zeros(10, 21, 4), [0, 1] * 10, per_context=2)
    stage.answers("all_pairs")
    assert stage.receiver.calls[1] == [
        (context, 2 * message + 1) for context in range(8) for message in range(8)
    ]


def test_info_nce_looks_at_as_many_contexts_as_it_is_told():
    step = make_step(torch.zeros(10, 11, 4), [0] * 10, num_pairs=10)
    for rows in (3, 10):
        assert value_of("info_nce", step, rows=rows).item() == pytest.approx(math.log(rows), rel=1e-5)


def test_info_nce_scores_each_context_by_its_own_target():
    odds = [[EVEN, [0.9, 0.1], [0.1, 0.9]], [EVEN, [0.9, 0.1], [0.1, 0.9]]]
    told_apart, mixed_up = answered(odds, [0, 1]), answered(odds, [1, 0])
    assert value_of("info_nce", told_apart) < math.log(2) < value_of("info_nce", mixed_up)


# teacher_kl: KL(told the words || given the prefix)


def test_teacher_kl_by_hand():
    """The texts of these steps are their messages' numbers, so the teacher hears message 2 here."""
    step = answered([[EVEN, [0.75, 0.25], [0.5, 0.5]]], [0], texts=["2"])
    wanted = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert value_of("teacher_kl", step).item() == pytest.approx(wanted, rel=1e-5)


def test_teacher_kl_is_nothing_where_prefix_and_words_are_answered_alike():
    assert value_of("teacher_kl", make_step(torch.randn(3, 4, 5), [0, 1, 2])).item() == pytest.approx(
        0, abs=1e-6
    )


def test_teacher_kl_is_the_mean_over_rows():
    odds = [[EVEN, [0.75, 0.25], EVEN], [EVEN, EVEN, EVEN]]
    step = answered(odds, [0, 0], texts=["2", "2"])
    wanted = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert value_of("teacher_kl", step).item() == pytest.approx(wanted / 2, rel=1e-5)
