"""Entries put into the receiver's cache, as if it had read what left them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from parley.agents.injection import extend, rotate
from parley.agents.language_model import FrozenLM
from parley.agents.prompts import SLOT, receiver_prompt
from parley.agents.receiver import Receiver
from parley.channels.base import ActivationPatch, CacheEntries, SoftPrompt, TextInput
from studies.pocket_model import PocketConfig, build_model

# prompts and messages of different length, so that a batch is padded
ROWS = [
    ["tiny red cube", "very large blue ball", "tiny blue ring"],
    ["very large dark sea blue round cone", "tiny dark sea blue round cone", "very large red round cone"],
    ["tiny blue disc", "very large dark sea blue star", "tiny red round cone"],
]
TEXTS = ["tiny red cube", "very large dark sea blue round cone, indeed", ""]
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
TINY = PocketConfig(vocab_size=400, width=32, mlp_width=48, num_layers=3, num_heads=4, max_length=256)
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}


@pytest.fixture(scope="module")
def yarn_lm(
    save_model: Callable[..., Path], tiny_tokenizer: PreTrainedTokenizerFast, tmp_path_factory: Any
) -> FrozenLM:
    """A model whose rotation also stretches what it turns."""
    config = build_model(tiny_tokenizer, TINY, seed=5).config
    config.rope_parameters = YARN
    torch.manual_seed(5)
    return FrozenLM(str(save_model(type(build_model(tiny_tokenizer, TINY, seed=5))(config))))


@contextmanager
def projections_noted(lm: FrozenLM) -> Iterator[dict[str, list[Tensor]]]:
    """What each layer makes of a single sequence: its keys before any rotation, and its values, (T, H, W)."""
    noted: dict[str, list[Tensor]] = {"keys": [], "values": []}
    hooks = []
    for layer in lm.model.model.layers:
        attention = layer.self_attn

        def note(
            module: Any, arguments: Any, made: Tensor, into: str, width: int = attention.head_dim
        ) -> None:
            noted[into].append(made.reshape(made.shape[1], -1, width))

        last_of_keys = getattr(attention, "k_norm", attention.k_proj)  # Qwen3 norms its keys
        for module, into in ((last_of_keys, "keys"), (attention.v_proj, "values")):
            hooks.append(module.register_forward_hook(lambda *seen, into=into, note=note: note(*seen, into)))
    yield noted
    for hook in hooks:
        hook.remove()


def memory_of(lm: FrozenLM, receiver: Receiver, texts: list[str], longer: int = 0) -> CacheEntries:
    """What reading each text in the slot leaves in every layer, read alone and noted at the projections.

    Entries stand at the beginning; `longer` more than the longest text has are padding, of noise.
    """
    tokens = receiver.message_tokens(texts)
    slots = max(map(len, tokens)) + longer
    mask = torch.arange(slots) < torch.tensor([len(row) for row in tokens])[:, None]
    parts: dict[str, list[Tensor]] = {"keys": [], "values": []}
    torch.manual_seed(3)
    for candidates, row in zip(ROWS, tokens, strict=True):
        before = lm.encode(lm.render(receiver_prompt(candidates)).split(SLOT)[0])
        with projections_noted(lm) as noted, torch.no_grad():
            lm.model(torch.tensor([before + row]))
        for name, layers in noted.items():
            whole = torch.stack([made[len(before) :] for made in layers]).transpose(1, 2)  # (L, H, t, W)
            noise = 100 * torch.randn(*whole.shape[:2], slots - len(row), whole.shape[3])
            parts[name].append(torch.cat([whole, noise], dim=2))
    return CacheEntries(torch.stack(parts["keys"]), torch.stack(parts["values"]), mask)


def check_memory_is_text(lm: FrozenLM) -> None:
    receiver = Receiver(lm)
    context = receiver.read(ROWS)
    assert len(context.mask.sum(1).unique()) > 1, "the contexts differ in length"
    wanted = receiver.choose(context, TextInput(TEXTS))
    silence = receiver.choose(context, SoftPrompt(torch.zeros(3, 0, lm.width)))
    assert ((wanted - silence).abs().amax(-1) > 1e-3).tolist() == [True, True, False], "the words are heard"
    for longer in (0, 3):
        answer_states = receiver.choose(context, memory_of(lm, receiver, TEXTS, longer))
        torch.testing.assert_close(answer_states, wanted, **CLOSE)


def test_a_memory_of_what_words_leave_in_the_cache_is_the_words(any_lm: FrozenLM) -> None:
    """Its keys are un-rotated, its rows of different length, and what is masked is noise of size 100."""
    check_memory_is_text(any_lm)


def test_so_it_is_where_the_rotation_stretches(yarn_lm: FrozenLM) -> None:
    assert yarn_lm.model.model.rotary_emb.attention_scaling > 1.1
    check_memory_is_text(yarn_lm)


def test_a_memory_says_the_same_in_a_batch_and_alone(any_lm: FrozenLM) -> None:
    receiver = Receiver(any_lm)
    memory = memory_of(any_lm, receiver, TEXTS)
    together = receiver.choose(receiver.read(ROWS), memory)
    for row, candidates in enumerate(ROWS):
        alone = receiver.choose(receiver.read([candidates]), memory.take(torch.tensor([row])))
        torch.testing.assert_close(alone[0], together[row], **CLOSE)


def test_gradient_reaches_keys_and_values_of_every_layer(any_lm: FrozenLM) -> None:
    receiver = Receiver(any_lm)
    memory = memory_of(any_lm, receiver, TEXTS)
    keys, values = memory.keys.requires_grad_(), memory.values.requires_grad_()
    receiver.choose(receiver.read(ROWS), memory).logsumexp(-1).sum().backward()
    assert memory.mask is not None
    for part in (keys, values):
        assert part.grad is not None
        reached = part.grad.abs().sum((2, 4)) > 0  # (B, L, k)
        assert torch.equal(reached, memory.mask[:, None].expand_as(reached)), "what counts, and nothing else"
    assert all(parameter.grad is None for parameter in any_lm.model.parameters())


def test_without_a_mask_all_entries_count(receiver: Receiver) -> None:
    context, memory = receiver.read(ROWS), memory_of(receiver.lm, receiver, ["tiny red cube"] * 3)
    assert memory.mask is not None
    assert memory.mask.all()
    answer_states = receiver.choose(context, memory._replace(mask=None))
    assert torch.equal(answer_states, receiver.choose(context, memory))


def test_a_memory_of_no_positions_is_silence(receiver: Receiver) -> None:
    context, nothing = receiver.read(ROWS), torch.zeros(3, 3, 4, 0, 8)
    silence = receiver.choose(context, SoftPrompt(torch.zeros(3, 0, 32)))
    torch.testing.assert_close(receiver.choose(context, CacheEntries(nothing, nothing)), silence, **CLOSE)


def test_the_context_is_as_it_was_after_something_was_remembered(receiver: Receiver) -> None:
    context = receiver.read(ROWS)
    before = receiver.choose(context, TextInput(TEXTS))
    receiver.choose(context, memory_of(receiver.lm, receiver, TEXTS))
    assert torch.equal(receiver.choose(context, TextInput(TEXTS)), before)


@pytest.mark.parametrize(
    ("shape", "got"),
    [
        ((3, 2, 4, 5, 8), r"\(3, 2, 4, 8\)"),
        ((3, 3, 2, 5, 8), r"\(3, 3, 2, 8\)"),
        ((3, 3, 4, 5, 7), r"\(3, 3, 4, 7\)"),
    ],
)
def test_a_memory_of_another_shape_is_refused(receiver: Receiver, shape: tuple[int, ...], got: str) -> None:
    wanted = r"memory must be of shape \(B, layers, heads, head width\) \(3, 3, 4, 8\), got "
    with pytest.raises(ValueError, match=wanted + got):
        receiver.choose(receiver.read(ROWS), CacheEntries(torch.zeros(shape), torch.zeros(shape)))


def test_too_long_a_memory_is_refused(receiver: Receiver) -> None:
    entries = torch.zeros(3, 3, 4, 250, 8)
    with pytest.raises(
        ValueError, match=r"candidates, message and answer take \d+ tokens, more than the 256"
    ):
        receiver.choose(receiver.read(ROWS), CacheEntries(entries, entries))


def test_a_memory_needs_a_cache(receiver: Receiver) -> None:
    memory = memory_of(receiver.lm, receiver, TEXTS)
    for refuse in (
        lambda: receiver.fill(memory),
        lambda: receiver.choose_uncached(ROWS, memory),
        lambda: receiver.choose(receiver.read(ROWS, cached=False), memory),
    ):
        with pytest.raises(ValueError, match="the slot holds words or vectors, got a CacheEntries"):
            refuse()
    with pytest.raises(ValueError, match="the slot holds words or vectors, got a ActivationPatch"):
        receiver.fill(ActivationPatch(torch.zeros(3, 32), 0.5, "add"))


def test_a_rotation_is_undone(any_lm: FrozenLM, yarn_lm: FrozenLM) -> None:
    torch.manual_seed(0)
    positions = torch.tensor([[0, 1, 2, 3, 4], [7, 8, 200, 201, 255]])
    for lm in (any_lm, yarn_lm):
        keys = torch.randn(2, 4, 5, lm.model.model.layers[0].self_attn.head_dim)
        turned = rotate(lm.model.model, keys, positions)
        scale = lm.model.model.rotary_emb.attention_scaling
        torch.testing.assert_close(turned.norm(dim=-1), scale * keys.norm(dim=-1), **CLOSE)
        torch.testing.assert_close(turned[0, :, 0], scale * keys[0, :, 0], msg="position 0 turns nothing")
        assert not torch.allclose(turned[0, :, 1:], scale * keys[0, :, 1:], rtol=0.1)
        torch.testing.assert_close(rotate(lm.model.model, turned, positions, back=True), keys, **CLOSE)


def test_entries_stand_behind_the_cache_and_are_turned_to_where_they_stand(receiver: Receiver) -> None:
    """Position p is the p-th that counts: neither padding nor masked entries take one."""
    context, backbone = receiver.read(ROWS), receiver.lm.model.model
    torch.manual_seed(0)
    memory = CacheEntries(torch.randn(3, 3, 4, 4, 8), torch.randn(3, 3, 4, 4, 8))
    mask = torch.tensor([[True, True, True, True], [True, False, True, False], [False, False, True, True]])
    longer, kept = extend(backbone, context.layers, context.mask, memory._replace(mask=mask))
    assert torch.equal(kept, mask)
    read = context.mask.shape[1]
    for number, ((keys, values), (old_keys, old_values)) in enumerate(
        zip(longer, context.layers, strict=True)
    ):
        assert torch.equal(keys[:, :, :read], old_keys)
        assert torch.equal(values[:, :, :read], old_values)
        assert torch.equal(values[:, :, read:], memory.values[:, number])
        for row in range(3):
            places = int(context.mask[row].sum()) + torch.arange(int(mask[row].sum()))
            counted = memory.keys[row : row + 1, number][:, :, mask[row]]
            wanted = rotate(backbone, counted, places[None])
            torch.testing.assert_close(keys[row : row + 1, :, read:][:, :, mask[row]], wanted, **CLOSE)
