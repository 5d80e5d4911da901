"""The contract of what is no plain prefix: text of few messages, patched states, entries of the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from gymnasium.spaces import Discrete, MultiDiscrete

from parley.channels.activation import ActivationChannel, ActivationConfig
from parley.channels.base import (
    ActivationPatch,
    CacheEntries,
    Channel,
    ChannelConfig,
    ModelInterface,
    SoftPrompt,
    TextInput,
    Utterance,
)
from parley.channels.receiver_input import num_positions, tensors_of, zeros_like_input
from parley.channels.testing import ENDS, ContractError, check_channel, synthetic_utterance

SAME_WIDTH = replace(ENDS, embedding_width=ENDS.state_width)
SENTENCES = ("the object is very small", "the object is rather large", "the object is red", "it is neither")


class Phrasebook(Channel):
    """Two bits name one of four sentences: text, though it is not spelled out on the wire."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.message_space: Any = Discrete(4)

    def send(self, utterance: Utterance) -> list[Any]:
        return [len(text) % 4 for text in utterance.texts]

    def receive(self, messages: Sequence[Any]) -> TextInput:
        return TextInput([SENTENCES[int(message)] for message in messages])

    def message_bits(self, message: Any) -> float:
        return 2.0


class TwoSlots(Phrasebook):
    """The same in two slots of two codes each."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.message_space = MultiDiscrete([2, 2])

    def send(self, utterance: Utterance) -> list[Any]:
        return [self.message_space.sample() * 0 + len(text) % 2 for text in utterance.texts]

    def receive(self, messages: Sequence[Any]) -> TextInput:
        return TextInput([SENTENCES[2 * int(first) + int(second)] for first, second in messages])


@pytest.mark.parametrize("kind", [Phrasebook, TwoSlots])
def test_text_of_a_finite_space_is_worth_no_more_than_naming_a_message(kind: type[Channel]) -> None:
    check_channel(kind)


@pytest.mark.parametrize("kind", [Phrasebook, TwoSlots])
def test_and_no_less(kind: type[Channel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "message_bits", lambda self, message: 1.9)
    with pytest.raises(ContractError, match=r"4 different messages crossed, some for 1\.9 bits; no code is"):
        check_channel(kind)


class TextNull(Phrasebook):
    def null_input(self, batch: int) -> TextInput:
        return TextInput([""] * batch)


class OneNull(ActivationChannel):
    def null_input(self, batch: int) -> ActivationPatch:
        return self._graft(torch.zeros(1, self.interface.state_width))


class Restart(ActivationChannel):
    """A state that is not nothing, for the null condition."""

    def null_input(self, batch: int) -> ActivationPatch:
        return self._graft(torch.full((batch, self.interface.state_width), 0.1))


class Lift(Channel):
    """Says nothing but in which layer it says it."""

    bits = 2.0

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.message_space = Discrete(4)

    def send(self, utterance: Utterance) -> list[Any]:
        return [len(text) % 4 for text in utterance.texts]

    def receive(self, messages: Sequence[Any]) -> ActivationPatch:
        return ActivationPatch(torch.zeros(len(messages), 24), int(messages[0]) / 4, "add")

    def null_input(self, batch: int) -> ActivationPatch:
        return ActivationPatch(torch.zeros(batch, 24), 0.0, "add")

    def message_bits(self, message: Any) -> float:
        return self.bits


class FreeLift(Lift):
    bits = 0.5


class Mood(Lift):
    """Says nothing but how it is put there."""

    def receive(self, messages: Sequence[Any]) -> ActivationPatch:
        mode: Any = ("add", "mean", "replace", "add")[int(messages[0])]
        return ActivationPatch(torch.zeros(len(messages), 24), 0.5, mode)


class Front(Lift):
    """Says nothing but whether it stands in the slot or before everything."""

    def receive(self, messages: Sequence[Any]) -> Any:
        return SoftPrompt(torch.zeros(len(messages), 4, 20), int(messages[0]) > 1)


class FreeLength(Lift):
    """Says nothing but how long it is."""

    bits = 0.5

    def receive(self, messages: Sequence[Any]) -> Any:
        lengths = torch.tensor([int(message) for message in messages])
        return SoftPrompt(torch.zeros(len(messages), 4, 20), mask=torch.arange(4) < lengths[:, None])


@pytest.mark.parametrize(
    ("broken", "lesson"),
    [
        (TextNull, "null_input is text; return zeros, as vectors, a state or cache entries"),
        (OneNull, "null_input is for 1 receivers; it must be for the 3 asked for"),
        (Restart, "null_input is not zero; return zeros, never what a decoder makes of them"),
        (Lift, "receive mixes messages of a batch"),
        (Mood, "receive mixes messages of a batch"),
        (Front, "receive mixes messages of a batch"),
        (FreeLift, r"2 different messages crossed, some for 0\.5 bits; no code is that short"),
        (FreeLength, r"2 different messages crossed, some for 0\.5 bits; no code is that short"),
    ],
)
def test_a_broken_promise_is_named(broken: type[Channel], lesson: str) -> None:
    with pytest.raises(ContractError, match=lesson):
        check_channel(broken, interface=SAME_WIDTH if issubclass(broken, ActivationChannel) else ENDS)


def test_a_grafted_state_that_is_paid_for_keeps_the_contract() -> None:
    check_channel(ActivationChannel, interface=SAME_WIDTH)
    check_channel(ActivationChannel(ActivationConfig(mode="mean", receiver_depth=1.0), SAME_WIDTH))


def test_utterances_have_the_width_that_is_asked_for_and_a_scene() -> None:
    utterance = synthetic_utterance(ENDS, batch=6, width=7)
    assert utterance.states.shape == (6, 12, 7)
    assert synthetic_utterance(ENDS).states.shape == (32, 12, 24)
    assert utterance.scene is not None
    assert [len(candidates) for candidates in utterance.scene.candidates] == [5] * 6
    assert utterance.scene.targets.shape == (6,)


def memory(batch: int, slots: int, mask: Any = None) -> CacheEntries:
    keys = torch.arange(batch * 2 * 3 * slots * 4).reshape(batch, 2, 3, slots, 4).float()
    return CacheEntries(keys, -keys, mask)


MASK = torch.tensor([[True, True, False], [False, False, False]])


@pytest.mark.parametrize(
    ("receiver_input", "positions"),
    [
        (SoftPrompt(torch.ones(2, 3, 5)), [3, 3]),
        (SoftPrompt(torch.ones(2, 3, 5), mask=MASK), [2, 0]),
        (SoftPrompt(torch.ones(2, 0, 5)), [0, 0]),
        (memory(2, 3), [3, 3]),
        (memory(2, 3, MASK), [2, 0]),
        (ActivationPatch(torch.ones(2, 5), 0.5, "add"), [0, 0]),
    ],
)
def test_what_a_reception_takes_and_depends_on(receiver_input: Any, positions: list[int]) -> None:
    assert num_positions(receiver_input).tolist() == positions
    parts = tensors_of(receiver_input)
    assert sum(part.dtype == torch.bool for part in parts) == (
        getattr(receiver_input, "mask", None) is not None
    )
    swapped = receiver_input.take(torch.tensor([1, 0, 1]))
    assert type(swapped) is type(receiver_input)
    assert num_positions(swapped).tolist() == [positions[1], positions[0], positions[1]]
    for part, other in zip(parts, tensors_of(swapped), strict=True):
        assert torch.equal(other, part[[1, 0, 1]])


def test_words_are_taken_by_number() -> None:
    assert TextInput(["a", "b", "c"]).take(torch.tensor([2, 0, 2])) == TextInput(["c", "a", "c"])


@pytest.mark.parametrize(
    "receiver_input",
    [
        SoftPrompt(-torch.ones(2, 3, 5), True, MASK),
        ActivationPatch(torch.ones(2, 5).half(), 0.5, "add"),
        memory(2, 3, MASK),
    ],
    ids=lambda found: type(found).__name__,
)
def test_nothing_is_zeros_of_the_same_kind_in_the_same_place(receiver_input: Any) -> None:
    nothing = zeros_like_input(receiver_input)
    assert type(nothing) is type(receiver_input)
    for part, zeros in zip(receiver_input, nothing, strict=True):
        if isinstance(part, torch.Tensor) and part.is_floating_point():
            assert zeros.shape == part.shape
            assert zeros.dtype == part.dtype
            assert not zeros.view(torch.uint8).any(), "true zeros, not minus zero"
        else:
            assert zeros is part


def test_text_has_no_zeros() -> None:
    with pytest.raises(ValueError, match="receiver_input must be vectors, a state or cache entries"):
        zeros_like_input(TextInput(["a"]))
