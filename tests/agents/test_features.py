"""What is read off a frozen model: states of a layer, and its cache before it was rotated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from parley.agents.features import cache_rows, layer_states, positions_of
from parley.agents.injection import rotate
from parley.agents.language_model import FrozenLM
from parley.agents.prompts import sender_prompt
from parley.agents.sender import Sender
from parley.channels.base import SenderFeatures
from parley.envs.world import Referents, World

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
SAID = ["tiny", "very large dark sea blue round cone", "", "very large red"]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender says the lines of SAID in turn, the third of which is none."""

    def say(self: Sender, referents: list[Referents]) -> list[str]:
        return (SAID * len(referents))[: len(referents)]

    monkeypatch.setattr(Sender, "_describe", say)


def prompts_of(lm: FrozenLM, world: World, number: int = 4) -> list[list[int]]:
    referents = world.referents("train")[:number]
    return [lm.encode(lm.render(sender_prompt(world.facts(referent)))) for referent in referents]


def cut(cache: Tensor, lm: FrozenLM) -> Tensor:
    """Rows (T, F) as keys and values: (2, L, H, T, W)."""
    heads, width = lm.model.config.num_key_value_heads, lm.model.model.layers[0].self_attn.head_dim
    return cache.reshape(len(cache), 2, lm.num_layers, heads, width).permute(1, 2, 3, 0, 4)


@torch.no_grad()
def test_cache_rows_are_the_cache_before_it_was_rotated(any_lm: FrozenLM, small_world: World) -> None:
    """In the order (2, layers, heads, head width), whatever else is in the batch."""
    prompts = prompts_of(any_lm, small_world)
    assert len({len(row) for row in prompts}) > 1, "the rows differ in length"
    rows = cache_rows(any_lm, *any_lm.left_pad(prompts))
    for row, prompt in zip(rows, prompts, strict=True):
        cache = DynamicCache(config=any_lm.model.config)
        any_lm.model.model(input_ids=torch.tensor([prompt]), past_key_values=cache, use_cache=True)
        keys, values = cut(row[-len(prompt) :], any_lm)
        places = torch.arange(len(prompt))[None]
        assert (keys - cache.layers[0].keys[0]).abs().max() > 0.01, "the cache is rotated"
        for number, layer in enumerate(cache.layers):
            torch.testing.assert_close(values[number], layer.values[0], **CLOSE)
            turned = rotate(any_lm.model.model, keys[number][None], places)
            torch.testing.assert_close(turned, layer.keys, **CLOSE)


@torch.no_grad()
def test_keys_are_what_the_projection_made(qwen3_folder: Path, small_world: World) -> None:
    """Noted where the model makes them, after the norm that Qwen3 has there."""
    lm, noted = FrozenLM(str(qwen3_folder)), []
    hooks = [
        layer.self_attn.k_norm.register_forward_hook(lambda module, inputs, made: noted.append(made))
        for layer in lm.model.model.layers
    ]
    prompts = prompts_of(lm, small_world)
    rows = cache_rows(lm, *lm.left_pad(prompts))
    assert len(hooks) == len(noted) == 3
    for row, prompt in enumerate(prompts):
        keys, _ = cut(rows[row, -len(prompt) :], lm)
        for number, made in enumerate(noted):
            torch.testing.assert_close(keys[number], made[row, -len(prompt) :].transpose(0, 1), **CLOSE)


@torch.no_grad()
def test_states_of_a_padded_batch_are_those_of_its_rows(any_lm: FrozenLM, small_world: World) -> None:
    prompts = prompts_of(any_lm, small_world)
    ids, mask = any_lm.left_pad(prompts)
    for layer in (0, 2, 3):
        states = layer_states(any_lm, ids, mask, layer)
        for row, prompt in enumerate(prompts):
            alone = any_lm.model(torch.tensor([prompt]), output_hidden_states=True).hidden_states[layer][0]
            torch.testing.assert_close(states[row, -len(prompt) :], alone, **CLOSE)


def test_positions_count_what_counts() -> None:
    mask = torch.tensor([[False, False, True, True], [True, True, True, True]])
    assert positions_of(mask).tolist() == [[0, 0, 0, 1], [0, 1, 2, 3]]


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("of", ["message", "prompt"])
@torch.no_grad()
def test_a_sender_hands_over_the_cache_of_what_it_says(any_lm: FrozenLM, small_world: World, of: Any) -> None:
    sender, referents = Sender(any_lm, small_world), small_world.referents("train")[:4]
    rows, mask = sender.read(referents, SenderFeatures(of=of, what="cache"))
    again, _ = sender.read(referents[[1, 0]], SenderFeatures(of=of, what="cache"))
    for number, (prompt, text) in enumerate(zip(prompts_of(any_lm, small_world), SAID, strict=True)):
        words = any_lm.encode_plain(text)
        whole = prompt + words if of == "message" else prompt
        wanted = cache_rows(any_lm, torch.tensor([whole]), torch.ones(1, len(whole), dtype=torch.bool))[0]
        if of == "message":
            wanted = wanted[-max(1, len(words)) :]
        assert mask[number].tolist() == [True] * len(wanted) + [False] * (mask.shape[1] - len(wanted))
        torch.testing.assert_close(rows[number, : len(wanted)], wanted, **CLOSE)
        assert not rows[number, len(wanted) :].any()
    length = int(mask[1].sum())
    assert torch.equal(again[0, :length], rows[1, :length]), "it is kept by referent"
