"""The readout `likelihood`: a tree of candidates behind each message is scored as row after row would be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from likelihood_cases import (
    CALIBRATED,
    EXAMPLES,
    ROWS,
    TEXTS,
    entries_of,
    plain_score,
    prefix,
    receiver_inputs,
    receiver_of,
)

from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.readouts import likelihood
from parley.agents.receiver import Receiver
from parley.channels.base import SoftPrompt, TextInput

CLOSE: dict[str, Any] = {"rtol": 0, "atol": 1e-4}
EACH = [row for row in ROWS for _ in range(3)]  # a context for every message


@pytest.fixture(scope="module")
def reader(lm: FrozenLM) -> Receiver:
    return receiver_of(lm)


@pytest.fixture(scope="module", params=["qwen2_untied_folder", "qwen2_gqa_folder", "qwen3_folder"])
def scored(request: pytest.FixtureRequest) -> Receiver:
    """Every architecture in turn."""
    return receiver_of(FrozenLM(str(request.getfixturevalue(request.param))))


def test_the_candidates_are_ragged(reader: Receiver) -> None:
    lengths = {len(reader.lm.encode_plain(text)) for row in ROWS for text in row}
    assert {1, 2, 7} <= lengths
    assert len(reader.read(ROWS).mask.sum(1).unique()) == 2, "and the contexts too"


def test_scores_are_sums_of_log_probabilities_less_the_mean_under_what_says_nothing(scored: Receiver) -> None:
    answers = scored.answer(scored.read(ROWS), TextInput(TEXTS))
    for row, (options, message) in enumerate(zip(EACH, TEXTS, strict=True)):
        for place, text in enumerate(options):
            score = plain_score(scored, options, message, text)
            neutral = [plain_score(scored, options, other, text) for other in EXAMPLES.neutral]
            torch.testing.assert_close(answers.read[row, place], score, **CLOSE)
            torch.testing.assert_close(answers.logits[row, place], score - sum(neutral) / 2, **CLOSE)
    uncalibrated = receiver_of(scored.lm, replace(CALIBRATED, calibration="none"))
    torch.testing.assert_close(uncalibrated.choose(uncalibrated.read(ROWS), TextInput(TEXTS)), answers.read)


def test_a_tree_in_the_cache_is_full_passes(scored: Receiver) -> None:
    plain = receiver_of(scored.lm, replace(CALIBRATED, calibration="none"))  # fewer full passes
    context, anew = plain.read(ROWS), plain.read(ROWS, cached=False)
    for name, receiver_input in receiver_inputs(scored.lm).items():
        whole = plain.choose_uncached(EACH, receiver_input)
        assert (whole[1:3] - whole[:1]).abs().max() > 1e-3 or name == "silence", "it is heard"
        for read in (context, anew):
            torch.testing.assert_close(plain.choose(read, receiver_input), whole, **CLOSE, msg=name)


def test_what_words_leave_in_the_cache_is_the_words(scored: Receiver) -> None:
    """Entries of the cache have no full pass to be held against."""
    context = scored.read(ROWS)
    wanted = scored.choose(context, TextInput(TEXTS))
    torch.testing.assert_close(scored.choose(context, entries_of(scored, TEXTS)), wanted, **CLOSE)


@pytest.mark.parametrize("at_start", [False, True])
def test_gradient_is_that_of_full_passes(reader: Receiver, at_start: bool) -> None:
    gradients = []
    for cached in (True, False):
        given = prefix(reader.lm, at_start)
        vectors = given.vectors.requires_grad_()
        context = reader.read(ROWS)
        scores = reader.choose(context, given) if cached else reader.choose_uncached(EACH, given)
        scores.log_softmax(-1)[:, 1].sum().backward()
        gradients.append(vectors.grad)
    assert (gradients[0].abs().sum(-1) > 0).equal(given.mask), "to each vector that counts"
    torch.testing.assert_close(*gradients, **CLOSE)
    assert all(parameter.grad is None for parameter in reader.lm.model.parameters())


def test_a_batch_is_its_rows(reader: Receiver) -> None:
    given, context = prefix(reader.lm), reader.read(ROWS)
    for row in range(6):
        one = torch.tensor([row])
        alone = reader.choose(reader.read([EACH[row]]), given.take(one))
        torch.testing.assert_close(reader.choose(context, given)[one], alone, **CLOSE)


def test_no_message_moves_another(reader: Receiver) -> None:
    context, given = reader.read(ROWS), prefix(reader.lm)
    before = reader.choose(context, given)
    moved = given._replace(vectors=given.vectors + (torch.arange(6) == 1)[:, None, None])
    after = reader.choose(context, moved)
    assert torch.equal(before[[0, 2, 3, 4, 5]], after[[0, 2, 3, 4, 5]])
    assert not torch.allclose(before[1], after[1])
    vectors = given.vectors.requires_grad_()
    reader.choose(context, given)[4].logsumexp(-1).backward()
    assert vectors.grad is not None
    assert (vectors.grad.abs().sum((1, 2)) > 0).tolist() == [False] * 4 + [True, False]


def test_no_candidate_moves_another(reader: Receiver) -> None:
    """One of them is said in other words, and listed as before."""
    context = reader.read(ROWS)
    assert context.choices is not None
    ids = context.choices.ids.clone()
    ids[:, 1, :2] += 1
    other = context._replace(choices=context.choices._replace(ids=ids))
    before, after = (reader.choose(each, TextInput(TEXTS)) for each in (context, other))
    torch.testing.assert_close(before[:, [0, 2]], after[:, [0, 2]], **CLOSE)
    assert ((before[:, 1] - after[:, 1]).abs() > 1e-2).all()


def test_calibration_knows_neither_message_nor_condition(reader: Receiver) -> None:
    context = reader.read(ROWS)
    assert context.choices is not None
    baseline = context.choices.baseline.clone()
    for name, receiver_input in receiver_inputs(reader.lm).items():
        answers = reader.answer(context, receiver_input)
        subtracted = answers.read - answers.logits
        torch.testing.assert_close(subtracted, baseline.repeat_interleave(3, dim=0), **CLOSE, msg=name)
    torch.testing.assert_close(reader.read(ROWS[1:]).choices.baseline, baseline[1:], **CLOSE)
    torch.testing.assert_close(context.take(torch.tensor([1, 0])).choices.baseline, baseline[[1, 0]])


def test_nothing_is_run_twice(lm: FrozenLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of positions, the model runs the example once, each context once, then slots, tails and trees alone."""
    receiver, seen, run = receiver_of(lm), [], lm.model.model.forward

    def noted(*args: Any, **given: Any) -> Any:
        tokens = given["input_ids"] if given.get("inputs_embeds") is None else given["inputs_embeds"]
        seen.append(tokens.shape[0] * tokens.shape[1])
        return run(*args, **given)

    monkeypatch.setattr(lm.model.model, "forward", noted)
    context = receiver.read(ROWS)
    own, tail = context.mask.shape[1] - len(receiver.shown), len(receiver.tail)
    told = max(map(len, receiver.message_tokens(EXAMPLES.neutral)))
    branches = 3 * (7 - 1)  # the first token is read off the tail
    assert seen == [len(receiver.shown), 2 * own, 2 * 2 * (told + tail), 2 * 2 * branches]
    seen.clear()
    receiver.choose(context, prefix(lm))
    assert seen == [6 * (3 + tail), 6 * branches]
    seen.clear()
    receiver.read(ROWS)
    assert seen[0] == 2 * own, "the example was read before"


def test_nll_among_all_that_could_be_said_is_minus_the_score(reader: Receiver) -> None:
    answers, choices = reader.answer(reader.read(ROWS), TextInput(TEXTS)), torch.tensor([0, 1, 2, 2, 1, 0])
    rows = torch.arange(6)
    assert torch.equal(reader.nll(answers, choices, "vocabulary"), -answers.read[rows, choices])
    among = -answers.logits.log_softmax(-1)[rows, choices]
    torch.testing.assert_close(reader.nll(answers, choices, "choices"), among)
    assert not torch.allclose(answers.logits, answers.read, atol=0.1), "and only one of them is calibrated"


def test_how_many_rows_are_held_at_once_changes_nothing(
    reader: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for rows in (likelihood.ROWS_AT_ONCE, 3):
        monkeypatch.setattr(likelihood, "ROWS_AT_ONCE", rows)
        given = prefix(reader.lm)
        vectors = given.vectors.requires_grad_()
        scores = reader.choose(reader.read(ROWS), given)
        scores.log_softmax(-1)[:, 0].sum().backward()
        results.append((scores.detach(), vectors.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


def test_candidates_of_one_token_have_no_tree(reader: Receiver) -> None:
    options, told = ["A", "B", "z"], TextInput(["B"])
    scores = reader.answer(reader.read([options]), told).read[0]
    wanted = [plain_score(reader, options, "B", text) for text in options]
    torch.testing.assert_close(scores, torch.stack(wanted), **CLOSE)


def test_scores_are_float32_whatever_the_model_is(qwen2_folder: Any) -> None:
    receiver = receiver_of(FrozenLM(str(qwen2_folder), dtype=torch.bfloat16))
    answers = receiver.answer(receiver.read(ROWS), prefix(receiver.lm))
    assert (answers.logits.dtype, answers.logits.shape) == (torch.float32, (6, 3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["red", "star", "red"],
            "candidates must differ in their tokens to be told apart by likelihood, got 'red' and 'red'",
        ),
        (["caf\u00e9", "red", "cafe\u0301"], "got 'caf\u00e9' and 'cafe\u0301'"),
        (["red", "", "star"], "a candidate's text must have at least one token to be scored, got ''"),
    ],
)
def test_candidates_that_tokenise_alike_or_to_nothing_are_refused(
    reader: Receiver, options: list[str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        reader.read([ROWS[0], options])


def test_a_likelihood_must_be_finite(reader: Receiver) -> None:
    vectors = torch.zeros(2, 3, reader.lm.width)
    vectors[1] = torch.nan
    with pytest.raises(ModelError, match="gives candidate 1 a log-likelihood of nan; it must be finite"):
        reader.choose(reader.read(ROWS), SoftPrompt(vectors))
    with pytest.raises(ModelError, match="gives candidate 3 a log-likelihood of -inf; it must be finite"):
        likelihood.finite(torch.tensor([[0.0, -1.0, -torch.inf]]), reader.lm)


def test_every_wording_keeps_the_slot_and_its_candidates(lm: FrozenLM) -> None:
    for wording in likelihood.LikelihoodReadout.wordings:
        receiver = receiver_of(lm, replace(CALIBRATED, wording=wording))
        told = TextInput(TEXTS)
        whole = receiver.choose_uncached(EACH, told)
        torch.testing.assert_close(receiver.choose(receiver.read(ROWS), told), whole, **CLOSE, msg=wording)
