"""A text message is data: whatever it says, it neither leaves the slot nor ends the turn."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile_messages import ADDED_TOKENS, CONTROL_TOKENS, NUM_MESSAGES, SPECIAL_TOKENS, hostile_messages
from tokenizers import AddedToken
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from parley.agents.language_model import FrozenLM
from parley.agents.prompts import LABELS, cut_at_slot, receiver_prompt
from parley.agents.receiver import Receiver
from parley.channels.base import ModelInterface, TextInput, Utterance
from parley.channels.text import TextChannel
from parley.envs.batched import BatchedEnv
from parley.envs.game import EpisodeConfig
from parley.envs.referential import ReferentialEpisode, ReferentialGame
from parley.envs.rules import RECEIVER, SENDER
from parley.envs.world import World
from studies.pocket_model import CHATML_TEMPLATE, PocketConfig, train_tokenizer

CANDIDATES = ["tiny red cube", "blue ball"]
MESSAGES = hostile_messages()
AT_ONCE = 100
TEMPLATE = CHATML_TEMPLATE + "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"


@pytest.fixture(scope="module")
def receiver(save_model: Callable[..., Path]) -> Receiver:
    """A small Qwen3 with the control tokens and the template's end that Qwen3 has."""
    corpus = [" ".join(LABELS), receiver_prompt(CANDIDATES)] * 3
    tokenizer = train_tokenizer(corpus, PocketConfig(vocab_size=360, max_length=2048))
    tokenizer.add_special_tokens({"extra_special_tokens": list(SPECIAL_TOKENS)})
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ADDED_TOKENS])
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, max_position_embeddings=2048,
        initializer_range=0.1, tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return Receiver(FrozenLM(str(save_model(Qwen3ForCausalLM(config), tokenizer))))


@pytest.fixture(scope="module")
def control(receiver: Receiver) -> set[int]:
    """The ids of every control token."""
    ids = receiver.lm.tokenizer.convert_tokens_to_ids(list(CONTROL_TOKENS))
    assert len(set(ids)) == len(CONTROL_TOKENS)
    return set(ids)


def batches() -> Iterator[list[str]]:
    """All messages, those of like length together, so that little is padded."""
    ordered = sorted(MESSAGES, key=len)
    return (ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE))


@contextmanager
def overheard(lm: FrozenLM) -> Iterator[list[list[int]]]:
    """What a model reads next, row by row, as token ids: rows of the embedding table, found again."""
    table, rows = lm.embedding_table, []  # type: ignore[var-annotated]
    first, order = table[:, 0].contiguous().sort()  # the first number of a row is enough to find it

    def note(module: Any, args: Any, kwargs: dict[str, Tensor]) -> None:
        vectors = kwargs["inputs_embeds"]
        mask = kwargs["attention_mask"]
        if mask.dim() == 4:  # what counts is what the row's last position may look at
            mask = mask[:, 0, -1] == 0
        mask = mask.bool()[:, -vectors.shape[1] :]
        found = order[torch.searchsorted(first, vectors[..., 0].contiguous())]
        assert torch.equal(table[found], vectors), "nothing but token embeddings was read"
        rows[:] = [row[kept].tolist() for row, kept in zip(found, mask, strict=True)]

    hook = lm.model.model.register_forward_pre_hook(note, with_kwargs=True)
    yield rows
    hook.remove()


def test_there_are_a_thousand_different_messages_the_same_ones_every_time() -> None:
    assert len(set(MESSAGES)) == len(MESSAGES) == NUM_MESSAGES
    assert hostile_messages() == MESSAGES
    assert sum(any(token in text for token in CONTROL_TOKENS) for text in MESSAGES) > 500


def test_no_message_brings_a_control_token_and_none_loses_a_character(
    receiver: Receiver, control: set[int]
) -> None:
    assert all(control & set(receiver.lm.encode(text)) for text in MESSAGES if "<|im_end|>" in text), "armed"
    for text, ids in zip(MESSAGES, receiver.message_tokens(MESSAGES), strict=True):
        assert not control & set(ids), repr(text)
        said = unicodedata.normalize("NFC", f" {text}" if text else "")  # as Qwen's tokenizers do
        assert receiver.lm.tokenizer.decode(ids) == said


def test_no_message_moves_what_stands_around_it(receiver: Receiver, control: set[int]) -> None:
    """The model reads the empty message's prompt with the message in it, in one pass or from the cache."""
    lm = receiver.lm
    rendered = cut_at_slot(lm.render(receiver_prompt(CANDIDATES)))
    before, after = lm.encode(rendered.before), lm.encode(rendered.after)
    turns = [token for token in before + after if token in control]
    assert [lm.tokenizer.decode([token]) for token in turns] == [
        "<|im_start|>", "<|im_end|>", "<|im_start|>", "<think>", "</think>",
    ]  # fmt: skip
    context = receiver.read([CANDIDATES])
    with overheard(lm) as rows:
        receiver.choose_uncached([CANDIDATES], TextInput([""]))
        assert rows == [before + after]
        for texts in batches():
            said = receiver.message_tokens(texts)
            full = receiver.choose_uncached([CANDIDATES] * len(texts), TextInput(texts))
            assert rows == [before + own + after for own in said]
            assert all([token for token in row if token in control] == turns for row in rows)
            cached = receiver.choose(context.repeat(len(texts)), TextInput(texts))
            assert rows == [own + after for own in said]
            torch.testing.assert_close(cached, full, rtol=1e-4, atol=1e-5)


def test_no_message_leaves_the_slot_through_the_text_channel(
    receiver: Receiver, control: set[int], small_world: World
) -> None:
    """From what a sender says, over the environment, to the tokens in the slot."""
    interface = ModelInterface(state_width=16, num_positions=1, embedding_width=16, embedding_norm=1.0)
    channel = TextChannel(TextChannel.Config(), interface)
    states, mask = torch.zeros(NUM_MESSAGES, 1, 16), torch.ones(NUM_MESSAGES, 1, dtype=torch.bool)
    sent = channel.send(Utterance(MESSAGES, states, mask))
    assert all(message in channel.message_space for message in sent)
    game = ReferentialGame(small_world, EpisodeConfig(num_candidates=3, split="test"))
    env = BatchedEnv(game, channel.message_space)
    referents = small_world.referents("test")[:3]
    for start in range(0, NUM_MESSAGES, AT_ONCE):
        messages = sent[start : start + AT_ONCE]
        env.reset(options={"episodes": [ReferentialEpisode(referents, 0)] * AT_ONCE})
        seen = env.step({SENDER: messages}).observations[RECEIVER]
        observed = seen["message"]
        assert observed == messages
        assert (seen["candidates"] == referents).all(), "they stay as they were"
        answer_states = channel.receive(observed)
        assert isinstance(answer_states, TextInput)
        assert not any(control & set(ids) for ids in receiver.message_tokens(answer_states.texts))


def test_added_tokens_are_part_of_the_test(receiver: Receiver) -> None:
    """Those that are not special are control tokens to a prompt all the same."""
    tokenizer: PreTrainedTokenizerFast = receiver.lm.tokenizer
    assert "<think>" not in tokenizer.all_special_tokens
    assert len(receiver.lm.encode("<think>")) == 1
    assert set(CONTROL_TOKENS) == set(tokenizer.get_added_vocab())
