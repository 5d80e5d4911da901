"""A state that is patched into a layer, and vectors of which not all count."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from parley.agents.injection import patched
from parley.agents.language_model import FrozenLM
from parley.agents.prompts import LABELS, SLOT, receiver_prompt
from parley.agents.receiver import Receiver
from parley.channels.base import ActivationPatch, SoftPrompt, TextInput
from parley.channels.receiver_input import PatchMode

# prompts and messages of different length, so that a batch is padded
ROWS = [
    ["tiny red cube", "very large blue ball", "tiny blue ring"],
    ["very large dark sea blue round cone", "tiny dark sea blue round cone", "very large red round cone"],
    ["tiny blue disc", "very large dark sea blue star", "tiny red round cone"],
]
TEXTS = ["tiny red cube", "very large dark sea blue round cone, indeed", ""]
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


def by_hand(lm: FrozenLM, candidates: list[str], graft: ActivationPatch) -> Tensor:
    """The labels' logits, layer by layer over the rendered chat without a message, with the state put in."""
    ids = torch.tensor([lm.encode(lm.render(receiver_prompt(candidates).replace(SLOT, "")))])
    backbone = lm.model.model
    states = lm.embedding_table[ids]
    turning = backbone.rotary_emb(states, torch.arange(ids.shape[1])[None])
    place = max(1, int(graft.depth * len(backbone.layers)))
    for number, layer in enumerate(backbone.layers, start=1):
        states = layer(states, position_embeddings=turning)
        if number == place:
            was, sent = states[0, -1], graft.states[0]
            states[0, -1] = {"replace": sent, "add": was + sent, "mean": 0.5 * was + 0.5 * sent}[graft.mode]
    logits: Tensor = lm.model.lm_head(backbone.norm(states))[0, -1]
    return logits[[lm.encode(label)[0] for label in LABELS[: len(candidates)]]]


@pytest.mark.parametrize("mode", get_args(PatchMode))
@torch.no_grad()
def test_a_state_is_grafted_after_its_layer(any_lm: FrozenLM, mode: PatchMode) -> None:
    """Depth 0 to 1 of three layers: the results of layers 1, 1, 2 and 3; in a padded batch."""
    receiver = Receiver(any_lm)
    cached, uncached = receiver.read(ROWS), receiver.read(ROWS, cached=False)
    torch.manual_seed(1)
    states, answer_states = torch.randn(3, any_lm.width) * any_lm.embedding_norm() / any_lm.width**0.5, {}
    for depth in (0.0, 0.5, 0.7, 1.0):
        graft = ActivationPatch(states, depth, mode)
        answer_states[depth] = receiver.choose(cached, graft)
        for row in (0, 1) if depth else ():
            wanted = by_hand(any_lm, ROWS[row], graft.take(torch.tensor([row])))
            torch.testing.assert_close(answer_states[depth][row], wanted, **CLOSE)
    torch.testing.assert_close(receiver.choose(uncached, graft), answer_states[1.0], **CLOSE)
    torch.testing.assert_close(receiver.choose_uncached(ROWS, graft), answer_states[1.0], **CLOSE)
    assert torch.equal(answer_states[0.0], answer_states[0.5]), "both are the first layer's"
    assert ((answer_states[0.5] - answer_states[0.7]).abs().amax(-1) > 1e-4).all()
    assert ((answer_states[0.7] - answer_states[1.0]).abs().amax(-1) > 1e-4).all()


def test_adding_nothing_changes_nothing(receiver: Receiver) -> None:
    context = receiver.read(ROWS)
    silence = receiver.choose(context, SoftPrompt(torch.zeros(3, 0, 32)))
    assert torch.equal(receiver.choose(context, ActivationPatch(torch.zeros(3, 32), 0.5, "add")), silence)
    assert not torch.equal(
        receiver.choose(context, ActivationPatch(torch.zeros(3, 32), 0.5, "replace")), silence
    )


def test_gradient_reaches_a_grafted_state(receiver: Receiver) -> None:
    states = torch.randn(3, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    receiver.choose(receiver.read(ROWS), ActivationPatch(states, 0.5, "add")).logsumexp(-1).sum().backward()
    assert states.grad is not None
    assert (states.grad.abs().sum(-1) > 0).all()


def hooks_in(lm: FrozenLM) -> int:
    """All forward hooks; transformers leaves some of its own where a model was asked for hidden states."""
    return sum(len(module._forward_hooks) for module in lm.model.modules())


def test_nothing_stays_behind_in_the_model(receiver: Receiver) -> None:
    context, graft = receiver.read(ROWS), ActivationPatch(torch.ones(3, 32), 0.5, "add")
    before, hooks = receiver.choose(context, TextInput(TEXTS)), hooks_in(receiver.lm)
    receiver.choose(context, graft)
    receiver.choose_uncached(ROWS, graft)
    assert hooks_in(receiver.lm) == hooks
    with patched(receiver.lm.model.model, graft):
        assert hooks_in(receiver.lm) == hooks + 1
    with pytest.raises(RuntimeError, match="2"):  # of two states for three receivers
        receiver.choose_uncached(ROWS, ActivationPatch(torch.ones(2, 32), 0.5, "add"))
    assert hooks_in(receiver.lm) == hooks
    assert torch.equal(receiver.choose(context, TextInput(TEXTS)), before)


def test_a_state_of_another_width_is_refused(receiver: Receiver) -> None:
    graft, hooks = ActivationPatch(torch.zeros(3, 31), 0.5, "replace"), hooks_in(receiver.lm)
    for hear in (receiver.choose, receiver.answer_states):
        with pytest.raises(ValueError, match="a patched state must be 32 wide, got 31"):
            hear(receiver.read(ROWS), graft)
    with pytest.raises(ValueError, match="a patched state must be 32 wide, got 31"):
        receiver.choose_uncached(ROWS, graft)
    assert hooks_in(receiver.lm) == hooks


def test_masked_vectors_in_the_slot_take_no_position(any_lm: FrozenLM) -> None:
    """A prefix of different lengths: whatever stands where a message has ended changes nothing."""
    receiver = Receiver(any_lm)
    context = receiver.read(ROWS)
    torch.manual_seed(2)
    vectors = torch.randn(3, 4, any_lm.width) * any_lm.embedding_norm() / any_lm.width**0.5
    mask = torch.arange(4) < torch.tensor([4, 2, 0])[:, None]
    for at_start in (False, True):
        answer_states = receiver.choose(context, SoftPrompt(vectors, at_start, mask))
        for row, length in enumerate((4, 2, 0)):
            cut = SoftPrompt(vectors[row : row + 1, :length], at_start)
            alone = receiver.choose(receiver.read([ROWS[row]]), cut)
            torch.testing.assert_close(answer_states[row], alone[0], **CLOSE)
        noisy = torch.where(mask[..., None], vectors, 100.0)
        torch.testing.assert_close(
            receiver.choose(context, SoftPrompt(noisy, at_start, mask)), answer_states, **CLOSE
        )
