"""The sender: words and states, each once a referent, whatever else is in the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from parley.agents import features, sender_cache
from parley.agents import sender as sender_module
from parley.agents.language_model import FrozenLM
from parley.agents.prompts import sender_prompt
from parley.agents.sender import Sender
from parley.channels.base import SenderFeatures
from parley.envs.world import World


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Notes how many referents each pass of the model covers."""
    passes: list[tuple[str, int]] = []
    for name in ("_describe", "_read"):
        original = getattr(Sender, name)

        def noted(self: Sender, referents: list[np.ndarray], name=name, original=original, **features):  # type: ignore[no-untyped-def]
            passes.append((name, len(referents)))
            return original(self, referents, **features)

        monkeypatch.setattr(Sender, name, noted)
    return passes


def test_states_are_the_models_own_over_the_prompt(any_lm: FrozenLM, small_world: World) -> None:
    referents, sender = small_world.referents("train")[:6], Sender(any_lm, small_world)
    for depth, layer in ((0, 0), (0.5, 1), (1, 3)):
        states, mask = sender.read(referents, SenderFeatures(depth))
        for row, referent in enumerate(referents):
            ids = any_lm.encode(any_lm.render(sender_prompt(small_world.facts(referent))))
            with torch.no_grad():
                wanted = any_lm.model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
            assert mask[row].tolist() == [True] * len(ids) + [False] * (mask.shape[1] - len(ids))
            torch.testing.assert_close(states[row, : len(ids)], wanted, rtol=1e-4, atol=1e-5)
            assert not states[row, len(ids) :].any()


def test_the_prompts_differ_in_length(lm: FrozenLM, small_world: World) -> None:
    _, mask = Sender(lm, small_world).read(small_world.referents("train"))
    assert len(mask.sum(1).unique()) > 1, "or the tests of padding would prove nothing"


def test_a_batch_says_what_each_would_say_alone(
    any_lm: FrozenLM, small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "MAX_DESCRIPTION_TOKENS", 6)
    every = Sender(any_lm, small_world).prompts(list(small_world.referents("train")))
    lengths = [len(prompt) for prompt in every]
    places = [int(np.argmin(lengths)), int(np.argmax(lengths)), 1]
    assert lengths[places[0]] < lengths[places[1]], "so that one is padded"
    referents = small_world.referents("train")[places]
    together = Sender(any_lm, small_world).speak(referents)
    for row, referent in enumerate(referents):
        alone = Sender(any_lm, small_world).speak(referent[None])
        assert list(alone.texts) == [together.texts[row]]
        length = int(alone.mask.sum())
        torch.testing.assert_close(together.states[row, :length], alone.states[0], rtol=1e-4, atol=1e-5)


def test_words_are_greedy(lm: FrozenLM, small_world: World) -> None:
    referents = small_world.referents("test")[:3]
    said = Sender(lm, small_world).speak(referents).texts
    for text, referent in zip(said, referents, strict=True):
        ids = lm.encode(lm.render(sender_prompt(small_world.facts(referent))))
        start = len(ids)
        for _ in range(sender_module.MAX_DESCRIPTION_TOKENS):
            with torch.no_grad():
                ids.append(int(lm.model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == lm.tokenizer.eos_token_id:
                break
        wanted = lm.tokenizer.decode(ids[start:], skip_special_tokens=True).strip().split("\n")[0]
        assert text == wanted


def test_each_referent_is_described_and_read_once(
    lm: FrozenLM, small_world: World, counted: list[tuple[str, int]]
) -> None:
    sender = Sender(lm, small_world)
    referents = small_world.referents("train")
    first = sender.speak(referents[[0, 1, 0]])
    again = sender.speak(referents[[0, 1, 0]])
    assert len(first.texts) == 3
    assert counted == [("_read", 2)], "words are decoded when they are looked at"
    assert list(first.texts) == list(again.texts) == sender.describe(referents[[0, 1, 0]])
    assert first.texts[1:] == list(again.texts)[1:]
    assert counted == [("_read", 2), ("_describe", 2)]
    assert torch.equal(first.states, again.states)
    assert torch.equal(first.states[0], first.states[2])
    sender.read(referents[:4])
    assert counted[2:] == [("_read", 2)]


def test_many_referents_are_read_in_parts(
    lm: FrozenLM, small_world: World, counted: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_cache, "ROWS_AT_ONCE", 4)
    referents = small_world.referents("train")[:10]
    states, _ = Sender(lm, small_world).read(referents)
    assert counted == [("_read", 4), ("_read", 4), ("_read", 2)]
    monkeypatch.setattr(sender_cache, "ROWS_AT_ONCE", 256)
    whole, _ = Sender(lm, small_world).read(referents)
    torch.testing.assert_close(states, whole, rtol=1e-4, atol=1e-5)


def test_no_referent_has_a_longer_prompt_than_positions(lm: FrozenLM, small_world: World) -> None:
    sender = Sender(lm, small_world)
    lengths = [
        len(lm.encode(lm.render(sender_prompt(small_world.facts(referent)))))
        for split in ("train", "validation", "test")
        for referent in small_world.referents(split)
    ]
    assert sender.num_positions == max(lengths) > sender_module.MAX_DESCRIPTION_TOKENS


def test_states_are_float32_and_hold_no_gradient(qwen2_folder: Path, small_world: World) -> None:
    lm = FrozenLM(str(qwen2_folder), dtype=torch.bfloat16)
    utterance = Sender(lm, small_world).speak(small_world.referents("test")[:2])
    assert utterance.states.dtype == torch.float32
    assert not utterance.states.requires_grad
