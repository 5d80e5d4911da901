"""Solved examples are read once: what is read behind them is what full passes over whole prompts read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from parley.agents import features
from parley.agents import sender as sender_module
from parley.agents.examples import Examples, draw_examples
from parley.agents.features import MAX_DESCRIPTION_TOKENS, cache_rows, expectation, layer_states
from parley.agents.language_model import FrozenLM
from parley.agents.pair import Pair
from parley.agents.player import SenderSettings
from parley.agents.prompts import Turn, sender_prompt
from parley.agents.sender import Sender
from parley.channels.base import SenderFeatures
from parley.envs.game import DEFAULT_GAME, EpisodeConfig, find_game
from parley.envs.world import Referents, World

CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}
SHOTS = 2


@pytest.fixture(scope="module")
def examples(small_world: World) -> Examples:
    return draw_examples(find_game(DEFAULT_GAME, small_world, EpisodeConfig(split="train")), 0)


@pytest.fixture(params=["qwen2_gqa_folder", "qwen3_folder"])
def sender(
    request: pytest.FixtureRequest,
    small_world: World,
    examples: Examples,
    monkeypatch: pytest.MonkeyPatch,
) -> Sender:
    monkeypatch.setattr(features, "MAX_DESCRIPTION_TOKENS", 4)
    lm = FrozenLM(str(request.getfixturevalue(request.param)))
    return Sender(lm, small_world, SenderSettings(shots=SHOTS), examples)


def whole_prompts(sender: Sender, examples: Examples, referents: Referents) -> list[list[int]]:
    turns = [Turn(sender_prompt(spoken.facts), spoken.message) for spoken in examples.spoken[:SHOTS]]
    lm, world = sender.lm, sender.world
    return [lm.encode(lm.render(sender_prompt(world.facts(row)), turns)) for row in referents]


def last_turn(sender: Sender, referent: Referents) -> int:
    """Tokens of the last user's turn and of what follows it."""
    lm, content = sender.lm, sender_prompt(sender.world.facts(referent))
    rendered = lm.render(content)
    return len(lm.encode(rendered[rendered.index(content) :]))


@torch.no_grad()
def test_it_says_what_it_says_to_the_whole_prompt(pocket_pair: Pair, few_objects: World) -> None:
    """The pocket, as a random model says the same of everything."""
    game = find_game(DEFAULT_GAME, few_objects, EpisodeConfig(split="train"))
    examples, lm = draw_examples(game, 0), pocket_pair.sender.lm
    sender = Sender(lm, few_objects, SenderSettings(shots=SHOTS), examples)
    referents, wanted = few_objects.referents("train")[:6], []
    for prompt in whole_prompts(sender, examples, referents):
        ids = list(prompt)
        while len(ids) < len(prompt) + MAX_DESCRIPTION_TOKENS and ids[-1] != lm.tokenizer.eos_token_id:
            ids.append(int(lm.model(torch.tensor([ids])).logits[0, -1].argmax()))
        text = lm.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)
        wanted.append(text.strip().split("\n")[0])
    assert sender.describe(referents) == wanted
    assert len(set(wanted)) > 1
    assert wanted != pocket_pair.sender.describe(referents), "the examples change what is said"


@pytest.mark.parametrize("what", ["states", "cache"])
@pytest.mark.parametrize("of", ["prompt", "message"])
@torch.no_grad()
def test_it_reads_what_a_full_pass_reads(
    sender: Sender, examples: Examples, small_world: World, of: Any, what: Any
) -> None:
    referents, lm = small_world.referents("train")[:5], sender.lm
    for depth in (0.0, 0.5, 1.0) if what == "states" else (0.5,):
        got, mask = sender.read(referents, SenderFeatures(depth, of, what))
        texts = sender.describe(referents)
        for row, prompt in enumerate(whole_prompts(sender, examples, referents)):
            words = lm.encode_plain(texts[row]) if of == "message" else []
            ids = torch.tensor([prompt + words])
            read = (lm, ids, torch.ones_like(ids, dtype=torch.bool))
            states = cache_rows(*read) if what == "cache" else layer_states(*read, sender.layer(depth))
            kept = max(1, len(words)) if of == "message" else last_turn(sender, referents[row])
            assert int(mask[row].sum()) == kept
            torch.testing.assert_close(got[row, :kept], states[0, -kept:], **CLOSE)


@torch.no_grad()
def test_it_expects_what_it_expects_behind_the_whole_prompt(
    sender: Sender, examples: Examples, small_world: World
) -> None:
    referents, table = small_world.referents("train")[:4], sender.lm.embedding_table
    got, mask = sender.expect(referents, table)
    for row, prompt in enumerate(whole_prompts(sender, examples, referents)):
        [wanted] = expectation(sender.lm, [prompt], table)
        assert int(mask[row].sum()) == len(wanted) > 0
        torch.testing.assert_close(got[row, : len(wanted)], wanted, **CLOSE)


def test_examples_are_read_once_and_take_no_positions(
    lm: FrozenLM, small_world: World, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = sender_module.read_preamble

    def noted(lm: FrozenLM, tokens: list[int]) -> Any:
        read.append(len(tokens))
        return original(lm, tokens)

    monkeypatch.setattr(sender_module, "read_preamble", noted)
    shown = Sender(lm, small_world, SenderSettings(shots=SHOTS), examples)
    referents = small_world.referents("train")
    for reading in (SenderFeatures(), SenderFeatures(1), SenderFeatures(what="cache")):
        shown.read(referents, reading)
    whole, own = whole_prompts(shown, examples, referents)[0], last_turn(shown, referents[0])
    assert read == [len(whole) - own]
    longest = max(last_turn(shown, referent) for referent in small_world.at(np.arange(small_world.size)))
    assert shown.num_positions == max(longest, MAX_DESCRIPTION_TOKENS) < len(whole)


def test_a_sender_without_examples_has_no_preamble(lm: FrozenLM, small_world: World) -> None:
    ids, layers = Sender(lm, small_world).preamble
    assert ids.shape == (1, 0)
    assert layers == ()


def test_more_examples_than_the_context_holds_are_refused(
    lm: FrozenLM, small_world: World, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lm.model.config, "max_position_embeddings", 100)
    Sender(lm, small_world)
    with pytest.raises(
        ValueError, match=r"shots must be fewer than 4: .* take \d+ tokens, more than the 100 of model"
    ):
        Sender(lm, small_world, SenderSettings(shots=4), examples)


def test_exactness_is_the_share_of_exact_descriptions(
    lm: FrozenLM, small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    referents = small_world.referents("train")[:4]
    exact = [small_world.describe(referent) for referent in referents]
    said = [f" {exact[0]}\n", exact[1].upper(), exact[2], f"{exact[3]}."]
    monkeypatch.setattr(Sender, "_describe", lambda self, rows: said[: len(rows)])
    assert Sender(lm, small_world).exactness(referents) == 0.5
    with pytest.raises(ValueError, match="at least one referent, got none"):
        Sender(lm, small_world).exactness(referents[:0])
