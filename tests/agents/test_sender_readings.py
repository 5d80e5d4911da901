"""Which of the sender's states are read: how deep, and over what it was told or what it says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from parley.agents import sender as sender_module
from parley.agents.language_model import FrozenLM
from parley.agents.prompts import sender_prompt
from parley.agents.sender import Sender
from parley.channels.base import SenderFeatures
from parley.envs.world import Referents, World

SAID = ["tiny", "very large dark sea blue round cone", "", "very large red"]
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender says the lines of SAID in turn, the third of which is none."""

    def say(self: Sender, referents: list[Referents]) -> list[str]:
        return (SAID * len(referents))[: len(referents)]

    monkeypatch.setattr(Sender, "_describe", say)


def prompt_of(lm: FrozenLM, world: World, referent: Referents) -> list[int]:
    return lm.encode(lm.render(sender_prompt(world.facts(referent))))


def states_of(lm: FrozenLM, ids: list[int], layer: int) -> Tensor:
    """The model's own hidden states (T, D) over one sequence alone."""
    with torch.no_grad():
        states: Tensor = lm.model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
    return states


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("depth", [0, 0.5, 1])
def test_states_over_the_message_are_the_models_own_at_these_positions(
    any_lm: FrozenLM, small_world: World, depth: float
) -> None:
    sender, referents = Sender(any_lm, small_world), small_world.referents("train")[:4]
    utterance = sender.speak(referents, SenderFeatures(depth, "message"))
    assert list(utterance.texts) == SAID
    for row, (referent, text) in enumerate(zip(referents, SAID, strict=True)):
        words = any_lm.encode_plain(text)
        ids = prompt_of(any_lm, small_world, referent) + words
        wanted = states_of(any_lm, ids, sender.layer(depth))[-max(1, len(words)) :]
        assert int(utterance.mask[row].sum()) == len(wanted)
        torch.testing.assert_close(utterance.states[row, : len(wanted)], wanted, **CLOSE)
        assert not utterance.states[row, len(wanted) :].any()


@pytest.mark.usefixtures("scripted")
def test_a_silent_sender_still_has_the_state_in_which_it_fell_silent(
    lm: FrozenLM, small_world: World
) -> None:
    silent = small_world.referents("train")[2:3]
    states, mask = Sender(lm, small_world).read(
        small_world.referents("train")[:3], SenderFeatures(1, "message")
    )
    assert mask[2].tolist() == [True] + [False] * (mask.shape[1] - 1)
    last = states_of(lm, prompt_of(lm, small_world, silent[0]), lm.num_layers)[-1]
    torch.testing.assert_close(states[2, 0], last, **CLOSE)


@pytest.mark.usefixtures("scripted")
def test_a_prompt_is_read_without_what_is_said_after_it(lm: FrozenLM, small_world: World) -> None:
    referents = small_world.referents("train")[:4]
    _, mask = Sender(lm, small_world).read(referents, SenderFeatures(0.5, "prompt"))
    assert mask.sum(1).tolist() == [len(prompt_of(lm, small_world, referent)) for referent in referents]


def test_the_middle_of_the_prompt_is_read_unless_it_is_said(lm: FrozenLM, small_world: World) -> None:
    sender, referents = Sender(lm, small_world), small_world.referents("train")[:3]
    plain = sender.speak(referents)
    asked = sender.speak(referents, SenderFeatures(0.5, "prompt"))
    assert torch.equal(plain.states, asked.states)
    assert torch.equal(sender.read(referents)[0], asked.states)
    assert not torch.equal(plain.states, sender.speak(referents, SenderFeatures(1)).states)


@pytest.mark.parametrize(
    ("depth", "layers"), [(0, (0, 0)), (0.5, (1, 12)), (0.99, (2, 23)), (1, (3, 24)), (0.25, (0, 6))]
)
def test_a_depth_is_a_share_of_the_layers(
    lm: FrozenLM, small_world: World, depth: float, layers: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the three layers of the tests' model, and of the 24 of Qwen2.5-0.5B."""
    sender = Sender(lm, small_world)
    assert sender.layer(depth) == layers[0]
    monkeypatch.setattr(FrozenLM, "num_layers", 24)
    assert sender.layer(depth) == layers[1]


def test_depth_0_is_the_embeddings_and_1_the_last_layer_after_its_norm(
    any_lm: FrozenLM, small_world: World
) -> None:
    sender, [referent] = Sender(any_lm, small_world), small_world.referents("train")[:1]
    ids = torch.tensor([prompt_of(any_lm, small_world, referent)])
    embedded, _ = sender.read(referent[None], SenderFeatures(0))
    assert torch.equal(embedded, any_lm.embedding_table[ids])
    with torch.no_grad():
        last = any_lm.model.model(ids).last_hidden_state
    torch.testing.assert_close(sender.read(referent[None], SenderFeatures(1))[0], last, **CLOSE)


@pytest.mark.parametrize("depth", [-0.01, 1.01, float("nan")])
def test_a_depth_out_of_range_is_refused(lm: FrozenLM, small_world: World, depth: float) -> None:
    sender, referents = Sender(lm, small_world), small_world.referents("train")[:1]
    for call in (sender.read, sender.speak):
        with pytest.raises(ValueError, match=f"depth must be from 0 to 1, got {depth}"):
            call(referents, SenderFeatures(depth))


@pytest.mark.usefixtures("scripted")
def test_each_reading_is_kept_apart(
    lm: FrozenLM, small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[tuple[int, str]] = []
    original = Sender._read

    def noted(self: Sender, referents: list[Referents], layer: int, of: str) -> list[Tensor]:
        passes.append((layer, of))
        return original(self, referents, layer, of)

    monkeypatch.setattr(Sender, "_read", noted)
    sender, referents = Sender(lm, small_world), small_world.referents("train")[:2]
    readings = [
        SenderFeatures(0.5, "prompt"),
        SenderFeatures(1, "prompt"),
        SenderFeatures(0.5, "message"),
        SenderFeatures(1, "message"),
    ]
    first = [sender.read(referents, features)[0] for features in readings]
    again = [sender.read(referents, features)[0] for features in readings]
    assert passes == [(1, "prompt"), (3, "prompt"), (1, "message"), (3, "message")]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    sender.read(referents, SenderFeatures(0.4, "prompt"))
    assert len(passes) == 4, "another depth within the same layer is the same reading"


def test_there_are_positions_for_the_longest_message_too(
    lm: FrozenLM, small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "MAX_DESCRIPTION_TOKENS", 1000)
    assert Sender(lm, small_world).num_positions == 1000
