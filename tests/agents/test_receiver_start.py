"""A prefix before everything else: one full pass, in which every token can look at it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from parley.agents.language_model import FrozenLM
from parley.agents.prompts import LABELS, SLOT, cut_at_slot, receiver_prompt
from parley.agents.receiver import Receiver
from parley.channels.base import SoftPrompt, TextInput

# prompts of different length, so that a batch is padded on the left
ROWS = [
    ["tiny red cube", "very large blue ball", "tiny blue ring"],
    ["very large dark sea blue round cone", "tiny dark sea blue round cone", "very large red round cone"],
    ["tiny blue disc", "very large dark sea blue star", "tiny red round cone"],
]
TEXTS = ["tiny red cube", "very large dark sea blue round cone, indeed", ""]
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


def vectors_for(lm: FrozenLM) -> Tensor:
    torch.manual_seed(7)
    return torch.randn(3, 4, lm.width) * lm.embedding_norm() / lm.width**0.5


def by_hand(lm: FrozenLM, candidates: list[str], vectors: Tensor) -> Tensor:
    """The label tokens' logits after prefix, prompt and answer's beginning, without any padding."""
    before, after = cut_at_slot(lm.render(receiver_prompt(candidates)))
    ids = torch.tensor([lm.encode(before) + lm.encode(after)])
    inputs = torch.cat([vectors[None], lm.embedding_table[ids]], dim=1)
    labels = [lm.encode(label)[0] for label in LABELS[: len(candidates)]]
    with torch.no_grad():
        return lm.model(inputs_embeds=inputs).logits[0, -1, labels]


def test_a_prefix_at_the_start_is_a_full_pass_over_all_of_it(any_lm: FrozenLM) -> None:
    """In a batch of different lengths: the padding between prefix and prompt must not matter."""
    receiver, vectors = Receiver(any_lm), vectors_for(any_lm)
    context = receiver.read(ROWS, cached=False)
    assert len(context.mask.sum(1).unique()) == 3, "the rows differ in length"
    logits = receiver.choose(context, SoftPrompt(vectors, at_start=True))
    for row, candidates in enumerate(ROWS):
        torch.testing.assert_close(logits[row], by_hand(any_lm, candidates, vectors[row]), **CLOSE)


def test_it_does_not_matter_whether_the_prompt_had_been_read_before(any_lm: FrozenLM) -> None:
    """What was read without the prefix is not used."""
    receiver, prefix = Receiver(any_lm), SoftPrompt(vectors_for(any_lm), at_start=True)
    unread = receiver.choose(receiver.read(ROWS, cached=False), prefix)
    assert torch.equal(receiver.choose(receiver.read(ROWS), prefix), unread)
    assert torch.equal(receiver.choose_uncached(ROWS, prefix), unread)


def test_what_is_in_the_slot_needs_no_cache(any_lm: FrozenLM) -> None:
    receiver = Receiver(any_lm)
    cached, uncached = receiver.read(ROWS), receiver.read(ROWS, cached=False)
    for receiver_input in (
        TextInput(TEXTS),
        SoftPrompt(vectors_for(any_lm)),
        SoftPrompt(torch.zeros(3, 0, any_lm.width)),
    ):
        ours, theirs = receiver.choose(cached, receiver_input), receiver.choose(uncached, receiver_input)
        torch.testing.assert_close(ours, theirs, **CLOSE)


def test_an_uncached_context_keeps_the_tokens_alone(receiver: Receiver) -> None:
    cached, uncached = receiver.read(ROWS), receiver.read(ROWS, cached=False)
    assert uncached.layers == ()
    assert len(cached.layers) == receiver.lm.num_layers
    assert torch.equal(cached.ids, uncached.ids)
    assert torch.equal(cached.mask, uncached.mask)
    assert uncached.num_candidates == 3
    assert cached.num_candidates == 3


def test_every_vector_at_the_start_changes_the_logits(any_lm: FrozenLM) -> None:
    """Failure 3: the prefix was computed and never injected."""
    receiver, vectors = Receiver(any_lm), vectors_for(any_lm)
    context = receiver.read(ROWS, cached=False)
    before = receiver.choose(context, SoftPrompt(vectors, at_start=True))
    for place in range(4):
        other = vectors.clone()
        other[:, place] = -other[:, place]
        moved = (receiver.choose(context, SoftPrompt(other, at_start=True)) - before).abs()
        assert (moved.amax(-1) > 1e-4).all()


def test_the_start_is_another_place_than_the_slot(any_lm: FrozenLM) -> None:
    receiver, vectors = Receiver(any_lm), vectors_for(any_lm)
    context = receiver.read(ROWS)
    at_start = receiver.choose(context, SoftPrompt(vectors, at_start=True))
    in_slot = receiver.choose(context, SoftPrompt(vectors))
    assert ((at_start - in_slot).abs().amax(-1) > 1e-4).all()


def test_a_prefix_of_no_vectors_is_silence_wherever_it_stands(receiver: Receiver) -> None:
    context, nothing = receiver.read(ROWS), torch.zeros(3, 0, receiver.lm.width)
    at_start = receiver.choose(context, SoftPrompt(nothing, at_start=True))
    torch.testing.assert_close(at_start, receiver.choose(context, SoftPrompt(nothing)), **CLOSE)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("at_start", [True, False])
def test_gradient_reaches_every_vector_through_listening(
    receiver: Receiver, at_start: bool, cached: bool
) -> None:
    """Failure 11."""
    vectors = vectors_for(receiver.lm).requires_grad_()
    answer_states = receiver.answer_states(receiver.read(ROWS, cached), SoftPrompt(vectors, at_start))
    assert answer_states.shape == (3, receiver.lm.width)
    answer_states.logsumexp(-1).sum().backward()
    assert vectors.grad is not None
    assert (vectors.grad.abs().sum(-1) > 0).all()
    assert all(parameter.grad is None for parameter in receiver.lm.model.parameters())


@pytest.mark.parametrize("cached", [True, False])
def test_taken_contexts_are_played_as_the_ones_they_were_taken_from(receiver: Receiver, cached: bool) -> None:
    context, vectors = receiver.read(ROWS, cached), vectors_for(receiver.lm)
    whole = receiver.choose(context, SoftPrompt(vectors, not cached))
    rows = torch.tensor([2, 0, 2])
    taken = receiver.choose(context.take(rows), SoftPrompt(vectors[rows], not cached))
    torch.testing.assert_close(taken, whole[rows], **CLOSE)
    repeated = receiver.choose(
        context.repeat(2), SoftPrompt(vectors.repeat_interleave(2, dim=0), at_start=not cached)
    )
    torch.testing.assert_close(repeated, whole.repeat_interleave(2, dim=0), **CLOSE)


def test_choosing_is_listening_for_the_labels(any_lm: FrozenLM) -> None:
    receiver, prefix = Receiver(any_lm), SoftPrompt(vectors_for(any_lm))
    context = receiver.read(ROWS)
    answer_states = receiver.answer_states(context, prefix)
    chosen, everything = receiver.choose(context, prefix), receiver.readout.vocabulary_logits(answer_states)
    assert torch.equal(receiver.readout._read(answer_states, 3).logits, chosen)
    assert everything.shape == (3, any_lm.model.config.vocab_size)
    torch.testing.assert_close(everything[:, receiver.readout.label_ids[:3]], chosen, **CLOSE)
    assert receiver.readout.label_ids.tolist() == [any_lm.encode(label)[0] for label in LABELS]


def test_the_whole_vocabulary_is_what_the_model_itself_would_say(any_lm: FrozenLM) -> None:
    receiver = Receiver(any_lm)
    ids = torch.tensor([any_lm.encode(any_lm.render(receiver_prompt(ROWS[0]).replace(SLOT, " tiny red")))])
    with torch.no_grad():
        wanted = any_lm.model(ids).logits[:, -1]
    answer_states = receiver.answer_states(receiver.read(ROWS[:1]), TextInput(["tiny red"]))
    torch.testing.assert_close(receiver.readout.vocabulary_logits(answer_states), wanted, **CLOSE)


def test_too_long_a_prefix_at_the_start_is_refused(receiver: Receiver) -> None:
    with pytest.raises(
        ValueError, match=r"candidates, message and answer take \d+ tokens, more than the 256 of model"
    ):
        receiver.choose(
            receiver.read(ROWS[:1], cached=False), SoftPrompt(torch.zeros(1, 250, 32), at_start=True)
        )
