"""What a model would say in expectation: each word as the mean of all, by their probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from parley.agents import features
from parley.agents.features import expectation
from parley.agents.language_model import FrozenLM
from parley.agents.pair import Pair
from parley.agents.prompts import sender_prompt
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.channels.base import SenderFeatures
from parley.channels.cipher import CipherChannel
from parley.envs.world import World
from studies.pocket_model import PocketConfig, build_model

CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
SMALL = PocketConfig(vocab_size=400, width=32, mlp_width=48, num_layers=1, num_heads=4, max_length=256)


def prompts_of(lm: FrozenLM, world: World, number: int = 4) -> list[list[int]]:
    referents = world.referents("train")[:number]
    return [lm.encode(lm.render(sender_prompt(world.facts(referent)))) for referent in referents]


class Speaker:
    """A model whose log-odds are `times` as far apart: a million times, and every word is certain."""

    def __init__(self, model: Any, times: float) -> None:
        self.model, self.config, self.times = model, model.config, times
        self.generation_config = SimpleNamespace(eos_token_id=None)

    def get_input_embeddings(self) -> Any:
        return self.model.get_input_embeddings()

    def __call__(self, **inputs: Any) -> Any:
        return SimpleNamespace(logits=self.times * self.model(**inputs).logits)


class Reciter(Speaker):
    """Says these tokens, row by row, whatever it is asked; one of `ends` ends its turn."""

    def __init__(self, model: Any, tokens: list[list[int]], ends: int | list[int]) -> None:
        super().__init__(model, 1)
        self.generation_config.eos_token_id = ends
        self.said = iter(torch.tensor(tokens).T)

    def __call__(self, **inputs: Any) -> Any:
        logits = 1e6 * torch.nn.functional.one_hot(next(self.said), self.config.vocab_size)
        return SimpleNamespace(logits=logits[:, None].float())


def spoken_by(lm: FrozenLM, speaker: type[Speaker], *how: Any) -> FrozenLM:
    other = copy(lm)
    other.model = speaker(lm.model, *how)
    return other


def certain(lm: FrozenLM) -> FrozenLM:
    return spoken_by(lm, Speaker, 1e6)


@torch.no_grad()
def greedy(lm: FrozenLM, prompt: list[int], number: int) -> list[int]:
    ids = list(prompt)
    for _ in range(number):
        ids.append(int(lm.model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.fixture
def few_tokens(monkeypatch: pytest.MonkeyPatch) -> int:
    """A message has at most this many."""
    monkeypatch.setattr(features, "MAX_DESCRIPTION_TOKENS", 4)
    return 4


def test_who_is_certain_says_the_embeddings_of_its_greedy_words(
    any_lm: FrozenLM, small_world: World, few_tokens: int
) -> None:
    prompts, table = prompts_of(any_lm, small_world), torch.randn(400, 7)
    said = expectation(certain(any_lm), prompts, table)
    for prompt, row in zip(prompts, said, strict=True):
        words = greedy(any_lm, prompt, few_tokens)
        assert row.shape == (few_tokens, 7)
        torch.testing.assert_close(row, table[words], **CLOSE)


RECITED = [[5, 6, 9, 7], [5, 5, 5, 5], [9, 5, 6, 7], [8, 6, 5, 9]]


@pytest.mark.parametrize(
    ("ends", "lengths"),
    [(9, [2, 4, 0, 3]), ([9], [2, 4, 0, 3]), ([9, 8], [2, 4, 0, 0]), ([5, 9, 8], [0, 0, 0, 0])],
)
def test_it_ends_before_the_end_of_the_turn(
    lm: FrozenLM, small_world: World, few_tokens: int, ends: int | list[int], lengths: list[int]
) -> None:
    """Each row at its own and for good; who says nothing gives an empty row, also where nobody speaks."""
    prompts, table = prompts_of(lm, small_world), torch.randn(400, 7)
    said = expectation(spoken_by(lm, Reciter, RECITED, ends), prompts, table)
    for row, tokens, length in zip(said, RECITED, lengths, strict=True):
        assert row.shape == (length, 7)
        assert row.dtype == torch.float32
        torch.testing.assert_close(row, table[tokens[:length]], **CLOSE)


def test_without_an_end_it_says_as_many_as_there_may_be(
    lm: FrozenLM, small_world: World, few_tokens: int
) -> None:
    silent = spoken_by(lm, Reciter, RECITED, [])
    silent.model.generation_config.eos_token_id = None
    rows = expectation(silent, prompts_of(lm, small_world), torch.randn(400, 7))
    assert [len(row) for row in rows] == [few_tokens] * 4


@torch.no_grad()
def test_what_is_expected_is_a_mean_by_probability_and_goes_on_from_its_own(
    any_lm: FrozenLM, small_world: World, few_tokens: int
) -> None:
    """By full passes, without a cache: the mean over one table is said, the mean of its own is read."""
    prompts, table = prompts_of(any_lm, small_world), torch.randn(len(any_lm.embedding_table), 7)
    spoken = spoken_by(any_lm, Speaker, 1.0)
    said = expectation(spoken, prompts, table)
    for prompt, row in zip(prompts, said, strict=True):
        inputs = any_lm.embedding_table[torch.tensor([prompt])]
        for vector in row:
            likely = any_lm.model(inputs_embeds=inputs).logits[0, -1].softmax(-1)
            assert likely.max() < 0.9, "nothing is certain"
            torch.testing.assert_close(vector, likely @ table, rtol=1e-3, atol=1e-4)
            inputs = torch.cat([inputs, (likely @ any_lm.embedding_table)[None, None]], dim=1)
    alone = [expectation(spoken, [prompt], table)[0] for prompt in prompts]
    for row, other in zip(said, alone, strict=True):
        torch.testing.assert_close(row, other, **CLOSE)


@pytest.mark.parametrize("longer", [-3, 5])
def test_tables_may_be_padded_beyond_the_vocabulary_by_different_amounts(
    lm: FrozenLM, small_world: World, few_tokens: int, longer: int
) -> None:
    """As those of Qwen2.5 are: 151,936 rows in the small ones, 152,064 in the large, of 151,665 tokens."""
    prompts, rows = prompts_of(lm, small_world), len(lm.embedding_table)
    table = torch.randn(rows + longer, 7)
    said = expectation(certain(lm), prompts, table)
    for prompt, row in zip(prompts, said, strict=True):
        words = greedy(lm, prompt, few_tokens)
        assert max(words) < rows + longer
        torch.testing.assert_close(row, table[words], **CLOSE)


def test_a_sender_remembers_what_it_expects(
    lm: FrozenLM, small_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def noted(lm: FrozenLM, prompts: Sequence[list[int]], *how: Any) -> list[Tensor]:
        asked.append(len(prompts))
        return [torch.full((number + 1, 32), float(number)) for number in range(len(prompts))]

    monkeypatch.setattr("parley.agents.sender.expectation", noted)
    sender, referents = Sender(lm, small_world), small_world.referents("train")[:3]
    states, mask = sender.expect(referents[[0, 1, 0]], lm.embedding_table)
    assert asked == [2]
    assert mask.tolist() == [[True, False], [True, True], [True, False]]
    assert states[:, :, 0].tolist() == [[0, 0], [1, 1], [0, 0]]
    sender.expect(referents[:2], lm.embedding_table)
    assert asked == [2]


def test_expectations_are_asked_of_the_pair(lm: FrozenLM, small_world: World) -> None:
    sender, referents = Sender(lm, small_world), small_world.referents("train")[:2]
    for ask in (sender.read, sender.speak):
        with pytest.raises(ValueError, match="expected embeddings are the receiver's too: ask the pair, not"):
            ask(referents, SenderFeatures(what="expected"))


@pytest.mark.usefixtures("few_tokens")
def test_a_pair_speaks_in_the_receivers_embeddings(
    lm: FrozenLM, qwen2_untied_folder: Path, small_world: World
) -> None:
    other = FrozenLM(str(qwen2_untied_folder))
    pair = Pair(Sender(other, small_world), Receiver(lm), small_world)
    assert pair.one_vocabulary
    assert pair.interface.one_vocabulary
    channel = CipherChannel(CipherChannel.Config(), pair.interface)
    referents = small_world.referents("train")[:3]
    utterance = pair.speak(channel, referents)
    wanted = expectation(other, prompts_of(other, small_world, 3), lm.embedding_table)
    assert list(utterance.texts) == pair.sender.describe(referents)
    assert utterance.mask.sum(1).tolist() == [len(row) for row in wanted]
    for row, vectors in zip(utterance.states, wanted, strict=True):
        torch.testing.assert_close(row[: len(vectors)], vectors, **CLOSE)
    in_its_own = expectation(other, prompts_of(other, small_world, 3), other.embedding_table)
    assert not torch.allclose(wanted[0][:1], in_its_own[0][:1], rtol=0.1)


def test_two_vocabularies_have_no_expectation_in_common(
    lm: FrozenLM, other_folder: Path, small_world: World
) -> None:
    pair = Pair(Sender(lm, small_world), Receiver(FrozenLM(str(other_folder))), small_world)
    assert not pair.one_vocabulary
    assert not pair.interface.one_vocabulary
    channel = CipherChannel(CipherChannel.Config(), pair.interface)
    assert channel.incompatibility(pair.interface) == "it needs one vocabulary for sender and receiver"
    with pytest.raises(
        ValueError, match=r"expected embeddings need one vocabulary: those of '.*' and '.*' d"
    ):
        pair.speak(channel, small_world.referents("train")[:1])


@pytest.mark.usefixtures("few_tokens")
def test_a_padded_model_speaks_to_one_that_is_padded_more(
    lm: FrozenLM,
    small_world: World,
    tiny_tokenizer: PreTrainedTokenizerFast,
    save_model: Callable[..., Path],
) -> None:
    larger = build_model(tiny_tokenizer, SMALL, seed=6)
    larger.resize_token_embeddings(len(lm.embedding_table) + 8, mean_resizing=False)
    more = FrozenLM(str(save_model(larger)))
    assert len(more.embedding_table) == len(lm.embedding_table) + 8
    for speaking, listening in ((lm, more), (more, lm)):
        pair = Pair(Sender(speaking, small_world), Receiver(listening), small_world)
        channel = CipherChannel(CipherChannel.Config(), pair.interface)
        assert channel.incompatibility(pair.interface) is None
        utterance = pair.speak(channel, small_world.referents("train")[:2])
        assert utterance.states.shape[2] == listening.width
        assert utterance.states.isfinite().all()
