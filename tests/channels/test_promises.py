"""Every promise of the contract is checked, and what cannot be checked is said."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete, Graph

from parley.channels.base import Channel, ChannelConfig, ModelInterface, SoftPrompt, Utterance
from parley.channels.codec import CodecConfig
from parley.channels.latent import ContinuousChannel, VectorQuantizedChannel
from parley.channels.promises import PROMISES
from parley.channels.registry import channel_class
from parley.channels.testing import ENDS, ContractError, check_channel
from parley.channels.text import TextChannel


class Watches(ContinuousChannel):
    sees_scene = True


class Peeks(TextChannel):
    """It does not say that it looks at the scene, so there is none."""

    def send(self, utterance: Utterance) -> list[str]:
        assert utterance.scene is not None
        return [str(place) for place in utterance.scene.targets.tolist()]


class Erases(ContinuousChannel):
    def send(self, utterance: Utterance) -> list[Any]:
        utterance.states.zero_()
        return super().send(utterance)


class ErasesInTraining(ContinuousChannel):
    def relay(self, utterance: Utterance) -> Any:
        output = super().relay(utterance)
        if self.training:
            utterance.states[0, 0, 0] += 1
        return output


class ErasesMessages(VectorQuantizedChannel):
    def receive(self, messages: Sequence[Any]) -> SoftPrompt:
        for message in messages:
            message[0] = 0
        return super().receive(messages)


class Explodes(ContinuousChannel):
    def receive(self, messages: Sequence[Any]) -> SoftPrompt:
        return SoftPrompt(super().receive(messages).vectors / 0.0)


class Whole(ContinuousChannel):
    def receive(self, messages: Sequence[Any]) -> SoftPrompt:
        return SoftPrompt(super().receive(messages).vectors.long())


class TooFew(ContinuousChannel):
    def receive(self, messages: Sequence[Any]) -> SoftPrompt:
        return super().receive(messages[1:])


class Raises(TextChannel):
    def receive(self, messages: Sequence[Any]) -> Any:
        raise RuntimeError("out of cheese")


class Quits(TextChannel):
    def message_bits(self, message: str) -> float:
        raise SystemExit(0)


class CannotBeMade(TextChannel):
    def __init__(self, config: Any, interface: ModelInterface) -> None:
        raise KeyError("cheese")


class Moody(TextChannel):
    number = itertools.count()

    def message_bits(self, message: str) -> float:
        return super().message_bits(message) + next(self.number)


class Bargain(VectorQuantizedChannel):
    """Too cheap by four bits, which Kraft's sum over a few hundred messages does not show."""

    def message_bits(self, message: Any) -> float:
        return 20.0


class Strange(ContinuousChannel):
    def __init__(self, config: CodecConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.message_space = Graph(node_space=Discrete(2), edge_space=None)  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("broken", "promise", "lesson"),
    [
        (Watches, "sees_no_scene", "sees_scene is true and role is judged; only a reference may know"),
        (Peeks, "one_message_each", "AssertionError: "),
        (Erases, "inputs_untouched", "changed an utterance in place"),
        (ErasesInTraining, "inputs_untouched", "changed an utterance in place"),
        (ErasesMessages, "inputs_untouched", "receive changed a message in place"),
        (Explodes, "finite", "receive made what no receiver can read: vectors must be finite"),
        (Whole, "finite", "vectors must be a tensor of 3 dimensions"),
        (TooFew, "one_receiver_input_each", "receive made 31 receiver inputs of 32 messages; make one each"),
        (Raises, "inputs_untouched", "RuntimeError: out of cheese"),
        (Quits, "bits_are_honest", "SystemExit: 0"),
        (CannotBeMade, "can_be_made", "KeyError: 'cheese'"),
        (Moody, "bits_are_honest", "the same message costs"),
        (Bargain, "bits_are_honest", "none costs more than 20 bits, and it takes 24 to name one"),
        (Strange, "messages_in_space", "does not contain"),
    ],
)
def test_a_broken_promise_has_a_name(broken: type[Channel], promise: str, lesson: str) -> None:
    with pytest.raises(ContractError, match=lesson) as caught:
        check_channel(broken)
    assert caught.value.promise == promise


def test_the_place_of_what_was_raised_is_kept() -> None:
    with pytest.raises(ContractError) as caught:
        check_channel(Raises)
    assert isinstance(caught.value.__cause__, RuntimeError)


class Tied(ContinuousChannel):
    """Two names for the same weights."""

    def __init__(self, config: CodecConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.again = self.decoder


def test_tied_weights_are_saved() -> None:
    assert "saving_is_exact" in check_channel(Tied).checked


def test_a_reference_may_be_told_the_scene() -> None:
    assert "sees_no_scene" in check_channel("index").checked


class LooksInTraining(ContinuousChannel):
    """It asks the receiver while it is trained, as nobody who checks it alone can answer."""

    def relay(self, utterance: Utterance) -> Any:
        if self.training:
            _ = self.interface.models.receiver  # type: ignore[union-attr, attr-defined]
        return super().relay(utterance)


def test_what_needs_models_is_not_checked_without_them() -> None:
    report = check_channel(LooksInTraining)
    wanted = "this channel runs the models themselves: make it with the `interface` of a Pair"
    assert report.unchecked == {"inputs_untouched": wanted, "gradient_reaches_parameters": wanted}
    assert report.checked == ("can_be_made", *(name for name in PROMISES if name not in report.unchecked))


@pytest.mark.parametrize("name", ["kv", "lora_encoder", "oracle_prefix"])
def test_of_a_channel_that_cannot_be_made_without_models_nothing_is_checked(name: str) -> None:
    report = check_channel(name)
    assert report.checked == ()
    assert list(report.unchecked) == ["can_be_made", *PROMISES]


def test_tokens_of_a_receiver_are_checked_with_one(model_interface: ModelInterface) -> None:
    kind = channel_class("text_budget")
    tokens = kind(kind.Config(unit="tokens"), model_interface)  # type: ignore[call-arg]
    assert not check_channel(tokens).unchecked


class Composed(Channel):
    """A message of two parts."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        from gymnasium.spaces import MultiBinary, Tuple

        super().__init__(config, interface)
        self.message_space = Tuple([Discrete(2), MultiBinary(3)])

    def send(self, utterance: Utterance) -> list[Any]:
        return [(len(text) % 2, np.array([1, 0, len(text) // 2 % 2], np.int8)) for text in utterance.texts]

    def receive(self, messages: Sequence[Any]) -> SoftPrompt:
        numbers = torch.tensor([[float(code), *map(float, bits)] for code, bits in messages])
        return SoftPrompt(numbers[:, :, None].expand(-1, -1, ENDS.embedding_width))

    def message_bits(self, message: Any) -> float:
        return 4.0


def test_a_message_of_parts_keeps_the_contract() -> None:
    assert not check_channel(Composed).unchecked


class Padded(TextChannel):
    """As many vectors as there are words, and padding where others have more."""

    def receive(self, messages: Sequence[str]) -> Any:
        lengths = torch.tensor([len(message.split()) for message in messages])
        vectors = torch.ones(len(messages), int(lengths.max()), self.interface.embedding_width)
        return SoftPrompt(vectors, mask=torch.arange(vectors.shape[1]) < lengths[:, None])


class ByFrequency(TextChannel):
    """A prefix code: two bits for an e, more for every other character, and a letter more for the end."""

    def message_bits(self, message: str) -> float:
        return sum(2.0 if letter == "e" else 7.5 for letter in message) + 9


def test_padding_for_others_is_nothing_to_a_receiver() -> None:
    assert "rows_are_independent" in check_channel(Padded).checked


def test_text_may_be_as_cheap_as_a_code_makes_it() -> None:
    assert "bits_are_honest" in check_channel(ByFrequency).checked
