"""What the text channel lets through, what it cuts, and what it charges; and silence."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parley.channels.base import SoftPrompt, TextInput, Utterance
from parley.channels.testing import ENDS
from parley.channels.text import CHARSET, SilenceChannel, TextChannel, TextConfig


def say(*texts: str) -> Utterance:
    return Utterance(texts, torch.zeros(len(texts), 1, ENDS.state_width), torch.ones(len(texts), 1).bool())


@given(st.lists(st.text(max_size=40), min_size=1, max_size=4), st.integers(1, 20))
def test_any_text_fits_the_space_and_the_bits_charged(texts: list[str], max_length: int) -> None:
    channel = TextChannel(TextConfig(max_length=max_length), ENDS)
    messages = channel.send(say(*texts))
    received = channel.receive(messages)
    assert isinstance(received, TextInput)
    for text, message, answer_states in zip(texts, messages, received.texts, strict=True):
        assert channel.message_space.contains(message)
        assert answer_states == message
        assert len(message) == min(len(text), max_length), "cut, and cut no shorter than need be"
        assert len(answer_states.encode()) * 8 + 8 == channel.message_bits(message)
        assert all(c == t if t in CHARSET else c == "?" for c, t in zip(message, text, strict=False))


def test_too_long_a_text_is_cut_before_it_crosses() -> None:
    """Failure 16: a budget that is applied to a copy lets the whole message through."""
    channel = TextChannel(TextConfig(max_length=16), ENDS)
    [message] = channel.send(say("small red metal cube, and a secret"))
    assert message == "small red metal "
    assert channel.receive([message]) == TextInput(["small red metal "])
    assert channel.message_bits(message) == 8 * 17


def test_what_is_not_ascii_becomes_a_question_mark() -> None:
    channel = TextChannel(TextConfig(), ENDS)
    assert channel.send(say("café 日本\t\n")) == ["caf? ???\n"]


@pytest.mark.parametrize("value", [0, -1, 65537])
def test_max_length_has_bounds(value: int) -> None:
    with pytest.raises(ValueError, match=f"max_length must be from 1 to 65536, got {value}"):
        TextConfig(max_length=value)


def test_silence_is_an_empty_slot_at_no_cost() -> None:
    channel = SilenceChannel(SilenceChannel.Config(), ENDS)
    messages = channel.send(say("red", "green"))
    assert messages == [0, 0]
    receiver_input = channel.receive(messages)
    assert isinstance(receiver_input, SoftPrompt)
    assert receiver_input.vectors.shape == (2, 0, ENDS.embedding_width)
    assert channel.null_input(2).vectors.shape == (2, 0, ENDS.embedding_width)
    assert channel.message_bits(0) == 0
    assert channel.role == "baseline"
