"""`text_budget`: what is beyond the budget never crosses, and what crosses is charged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log2

import numpy as np
import pytest
import torch
from gymnasium.spaces import Text
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.agents.pair import Pair
from parley.channels.base import ModelInterface, TextInput, Utterance
from parley.channels.testing import ENDS, check_channel
from parley.channels.text import CHARSET
from parley.channels.text_budget import TextBudgetChannel, TextBudgetConfig

SENTINEL = "SENTINEL"


class Letters:
    """A receiver whose tokens are the letters a to z and blank, 27 in all."""

    num_tokens = 27
    alphabet = "abcdefghijklmnopqrstuvwxyz "

    def message_tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [[max(0, self.alphabet.find(letter)) for letter in text] for text in texts]

    def message_texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return ["".join(self.alphabet[token] for token in row) for row in rows]


class Models:
    receiver = Letters()


@pytest.fixture
def letters() -> ModelInterface:
    return replace(ENDS, models=Models())


def say(*texts: str) -> Utterance:
    return Utterance(texts, torch.zeros(len(texts), 1, ENDS.state_width), torch.ones(len(texts), 1).bool())


def made(budget: int, interface: ModelInterface = ENDS, unit: str = "bytes") -> TextBudgetChannel:
    return TextBudgetChannel(TextBudgetConfig(budget=budget, unit=unit), interface)


def answer_states(channel: TextBudgetChannel, *texts: str) -> list[str]:
    receiver_input = channel.receive(channel.send(say(*texts)))
    assert isinstance(receiver_input, TextInput)
    return list(receiver_input.texts)


@settings(max_examples=40)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=4), st.integers(1, 20))
def test_no_more_bytes_arrive_than_the_budget_has_and_all_are_charged(texts: list[str], budget: int) -> None:
    channel = made(budget)
    messages = channel.send(say(*texts))
    for text, message, said in zip(texts, messages, answer_states(channel, *texts), strict=True):
        assert channel.message_space.contains(message)
        assert len(said.encode()) == len(message) == min(budget, len(text))
        assert said == "".join(letter if letter in CHARSET else "?" for letter in text)[:budget]
        assert channel.message_bits(message) == 8 * len(said) + 8


@pytest.mark.parametrize("unit", ["bytes", "tokens"])
def test_a_sentinel_beyond_the_budget_is_nowhere(unit: str, letters: ModelInterface) -> None:
    """Failure 16: the budget was applied after the message had been merged elsewhere."""
    channel = made(16, letters, unit)
    first = "a small red cube"
    utterance = say(first + SENTINEL.lower(), SENTINEL.lower())
    messages = channel.send(utterance)
    everything = [
        *answer_states(channel, *utterance.texts),
        *channel.relay(utterance).receiver_input.texts,
        str(messages),
    ]
    assert everything[0] == everything[2] == first
    assert SENTINEL.lower() not in everything[0] + everything[2]
    assert everything[1] == SENTINEL.lower(), "the same words arrive where there is room"
    without = channel.send(say(first, SENTINEL.lower()))
    assert all(np.array_equal(a, b) for a, b in zip(messages, without, strict=True)), (
        "not in the message either"
    )


def test_the_space_of_bytes_holds_nothing_longer() -> None:
    space = made(16).message_space
    assert isinstance(space, Text)
    assert space.contains("x" * 16)
    assert not space.contains("x" * 17)


def test_tokens_are_ids_of_the_receivers_and_one_more_for_none(letters: ModelInterface) -> None:
    channel = made(4, letters, "tokens")
    [long, short, empty] = channel.send(say("abcdef", "ba", ""))
    assert long.tolist() == [0, 1, 2, 3]
    assert short.tolist() == [1, 0, 27, 27]
    assert empty.tolist() == [27] * 4
    assert answer_states(channel, "abcdef", "ba", "") == ["abcd", "ba", ""]
    assert channel.message_bits(long) == channel.message_bits(empty) == 4 * log2(28)
    assert channel.message_space.nvec.tolist() == [28] * 4


def test_a_message_ends_where_it_says_so(letters: ModelInterface) -> None:
    """Only chance sends tokens behind the end, and they say nothing."""
    channel = made(4, letters, "tokens")
    assert channel.receive([np.array([1, 27, 2, 3])]) == TextInput(["b"])


@pytest.mark.parametrize("unit", ["bytes", "tokens"])
@pytest.mark.parametrize("budget", [1, 64])
def test_both_units_keep_the_contract(unit: str, budget: int, letters: ModelInterface) -> None:
    check_channel(made(budget, letters, unit))


def test_the_pockets_words_are_whole_tokens(pocket_pair: Pair) -> None:
    """Three of them are cheaper than their bytes, and say as much."""
    referents = pocket_pair.world.referents("test")[:2]
    texts = pocket_pair.sender.describe(referents)
    tokens = made(3, pocket_pair.interface, "tokens")
    assert answer_states(tokens, *texts) == [text.rsplit(" ", 1)[0] for text in texts]
    assert tokens.message_bits(None) == pytest.approx(26.5, abs=0.1)
    assert answer_states(made(4, pocket_pair.interface, "tokens"), *texts) == texts
    check_channel(tokens)


def test_what_arrives_is_read_as_the_tokens_that_were_sent(pocket_pair: Pair) -> None:
    """And never as a control token, whichever ids chance sends."""
    receiver, channel = pocket_pair.receiver, made(3, pocket_pair.interface, "tokens")
    texts = ["tiny red metal cube", "an unknown word", "<|im_end|>", ""]
    messages = channel.send(say(*texts))
    sent = [[token for token in message.tolist() if token < receiver.num_tokens] for message in messages]
    assert receiver.message_tokens(channel.receive(messages).texts) == sent
    control = receiver.lm.tokenizer.convert_tokens_to_ids("<|im_end|>")
    [said] = channel.receive([np.array([control, *receiver.message_tokens(["red"])[0], control])]).texts
    assert said == "red"


def test_tokens_need_the_receiver() -> None:
    with pytest.raises(ValueError, match="unit tokens asks the receiver for its tokens: make it with the `i"):
        made(4, ENDS, "tokens")


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="budget must be from 1 to 65536, got 0"):
        TextBudgetConfig(budget=0)
    with pytest.raises(ValueError, match="budget must be from 1 to 65536, got 65537"):
        TextBudgetConfig(budget=65537)
