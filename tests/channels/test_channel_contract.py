"""Every registered channel keeps the contract, and a channel that breaks it is told how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from parley.channels.base import (
    Channel,
    ChannelConfig,
    ChannelOutput,
    ModelInterface,
    SoftPrompt,
    TextInput,
    Utterance,
)
from parley.channels.codec import CodecConfig
from parley.channels.latent import ContinuousChannel, VectorQuantizedChannel, VectorQuantizedConfig
from parley.channels.promises import PROMISES
from parley.channels.receiver_input import tensors_of
from parley.channels.registry import channel_class, channel_names
from parley.channels.testing import ENDS, ContractError, check_channel, synthetic_utterance
from parley.channels.text import TextChannel

FEWER_STEPS = {"oracle_prefix": {"steps": 2}}  # of gradient for each message, of which there are hundreds


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", channel_names())
def test_every_registered_channel_keeps_the_contract(
    name: str, seed: int, model_interface: ModelInterface
) -> None:
    kind = channel_class(name)
    quick = name in FEWER_STEPS
    channel = kind(kind.Config(**FEWER_STEPS[name]), model_interface) if quick else name
    report = check_channel(channel, seed, model_interface)
    assert not report.unchecked
    assert report.checked == ("can_be_made", *PROMISES)


def test_a_quantised_channel_keeps_it_too() -> None:
    torch.manual_seed(0)
    channel = VectorQuantizedChannel(VectorQuantizedConfig(k=3, codebook_size=8), ENDS)
    utterance = synthetic_utterance(ENDS)
    channel.calibrate(utterance, torch.randn(9, ENDS.embedding_width))
    channel.start_quantizing(utterance)
    weights = {name: tensor.clone() for name, tensor in channel.state_dict().items()}
    check_channel(channel)
    assert channel.training, "the channel itself is left alone"
    assert all(torch.equal(tensor, weights[name]) for name, tensor in channel.state_dict().items())


def test_torchs_generator_stays_as_it_is() -> None:
    before = torch.get_rng_state()
    check_channel("latent_vq")
    assert torch.equal(before, torch.get_rng_state())


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"unknown channel 'latnet', did you mean 'latent'\? The channels are: "
    ):
        check_channel("latnet")


class TooFew(TextChannel):
    def send(self, utterance: Utterance) -> list[str]:
        return super().send(utterance)[1:]


class OutsideItsSpace(TextChannel):
    def send(self, utterance: Utterance) -> list[str]:
        return [f"{text} ☂" for text in utterance.texts]


class TooCheap(VectorQuantizedChannel):
    def message_bits(self, message: Any) -> float:
        return 2.0


class CheapText(TextChannel):
    def message_bits(self, message: str) -> float:
        return 4.0 * len(message)


class NegativeBits(TextChannel):
    def message_bits(self, message: str) -> float:
        return -1.0


class Murmur(TextChannel):
    """A receiver gets the words of the others too."""

    def receive(self, messages: Sequence[str]) -> TextInput:
        return TextInput([max(messages, key=len)] * len(messages))

    def message_bits(self, message: str) -> float:
        return 8.0 * 300


class PrivatePath(ContinuousChannel):
    """Training sees what the box would have cut."""

    def relay(self, utterance: Utterance) -> ChannelOutput:
        return ChannelOutput(SoftPrompt(self.decoder(2 * self.encode(utterance).latents)), {})


class Restless(ContinuousChannel):
    def send(self, utterance: Utterance) -> list[np.ndarray]:
        noise = 1e-3 * np.random.default_rng().random()
        return [(m + noise).clip(-1, 1).astype("f4") for m in super().send(utterance)]

    def relay(self, utterance: Utterance) -> ChannelOutput:
        return ChannelOutput(self.receive(super().send(utterance)), {})


class NoisyReception(ContinuousChannel):
    calls = 0

    def receive(self, messages: Sequence[Any]) -> SoftPrompt:
        type(self).calls += 1
        return SoftPrompt(super().receive(messages).vectors + type(self).calls)


class DecodedNull(ContinuousChannel):
    def null_input(self, batch: int) -> SoftPrompt:
        return SoftPrompt(self.decoder(torch.zeros(batch, self.num_slots, 16)))


class WrongNull(ContinuousChannel):
    def null_input(self, batch: int) -> SoftPrompt:
        return SoftPrompt(torch.zeros(batch, 1, self.interface.embedding_width))


class Learner(VectorQuantizedChannel):
    """A message that is sent in training mode moves the codebook."""

    def __init__(self, config: VectorQuantizedConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.quantizing.fill_(True)

    def send(self, utterance: Utterance) -> list[np.ndarray]:
        _, codes, _ = self.quantizer(self._latents(utterance))
        return list(codes.numpy())


class ModeLost(ContinuousChannel):
    def send(self, utterance: Utterance) -> list[np.ndarray]:
        self.encoder.eval()
        return super().send(utterance)


class Detached(ContinuousChannel):
    def relay(self, utterance: Utterance) -> ChannelOutput:
        return ChannelOutput(self.receive(self.send(utterance)), {})


class Cut(ContinuousChannel):
    @torch.no_grad()
    def relay(self, utterance: Utterance) -> ChannelOutput:
        return super().relay(utterance)


class Idle(ContinuousChannel):
    def __init__(self, config: CodecConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.spare = torch.nn.Parameter(torch.ones(2))


class Untrainable(ContinuousChannel):
    trainable = False


class Forgetful(ContinuousChannel):
    def __init__(self, config: CodecConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.bias = torch.rand(interface.embedding_width)

    def receive(self, messages: Sequence[Any]) -> SoftPrompt:
        return SoftPrompt(super().receive(messages).vectors + self.bias)

    def relay(self, utterance: Utterance) -> ChannelOutput:
        return ChannelOutput(SoftPrompt(super().relay(utterance).receiver_input.vectors + self.bias), {})


class TrainedText(TextChannel):
    trainable = True

    def __init__(self, config: Any, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.weight = torch.nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(
    ("broken", "lesson"),
    [
        (TooFew, "send made 31 messages of 32 utterances"),
        (OutsideItsSpace, "what the space cannot hold cannot cross"),
        (TooCheap, "some for 2 bits; no code is that short"),
        (CheapText, "of messages drawn uniformly none costs more than 1024 bits, and it takes 1685"),
        (NegativeBits, "a message costs -1.0 bits; bits are finite and not negative"),
        (Murmur, "receive mixes messages of a batch"),
        (PrivatePath, "training must have no private path"),
        (Restless, "send makes two messages of one utterance in eval mode"),
        (NoisyReception, "receive makes two receiver inputs of one message in eval mode"),
        (DecodedNull, "null_input is not zero"),
        (WrongNull, r"null_input has shape \(3, 1, 20\); it must have \(3, 4, 20\)"),
        (Learner, "send or receive changed quantizer.* in training mode"),
        (ModeLost, "put back the mode of every module"),
        (Detached, "no finite gradient reaches encoder"),
        (Cut, "relay has no gradient in training mode"),
        (Idle, "no finite gradient reaches spare"),
        (Untrainable, "trainable is False, but there are"),
        (Forgetful, "behaves otherwise once saved and loaded"),
        (TrainedText, "relays text, which has no gradient"),
    ],
)
def test_a_broken_promise_is_named(broken: type[Channel], lesson: str) -> None:
    with pytest.raises(ContractError, match=lesson):
        check_channel(broken)


class Coin(Channel):
    """The least channel there can be: one bit, whether the words are many."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)
        self.message_space = Discrete(2)

    def send(self, utterance: Utterance) -> list[int]:
        return [int(len(text) > 18) for text in utterance.texts]

    def receive(self, messages: Sequence[int]) -> SoftPrompt:
        width = self.interface.embedding_width
        return SoftPrompt(torch.tensor(messages).float()[:, None, None].expand(-1, self.num_slots, width))

    def message_bits(self, message: int) -> float:
        return 1.0


def test_a_channel_of_ones_own_keeps_it() -> None:
    check_channel(Coin)


class HalfCoin(Coin):
    def message_bits(self, message: int) -> float:
        return 0.5


def test_two_messages_cannot_cost_half_a_bit() -> None:
    with pytest.raises(ContractError, match=r"for 0\.5 bits"):
        check_channel(HalfCoin)


@pytest.mark.parametrize("name", channel_names())
def test_null_is_zero_bit_for_bit_also_after_a_training_step(
    name: str, model_interface: ModelInterface
) -> None:
    torch.manual_seed(0)
    kind = channel_class(name)
    channel = kind(kind.Config(), model_interface)
    if kind.trainable:
        optimizer = torch.optim.SGD(channel.parameters(), lr=0.5)
        for _ in range(3):
            relay = channel.train().relay(synthetic_utterance(model_interface, width=channel.state_width))
            parts = [
                part.square().mean() for part in tensors_of(relay.receiver_input) if part.dtype != torch.bool
            ]
            optimizer.zero_grad()
            sum([*parts, *relay.losses.values()]).backward()
            optimizer.step()
    null = channel.null_input(5)
    for part in tensors_of(null):
        assert part.numpy().tobytes() == bytes(4 * part.numel()), "true zeros, not minus zero"
        assert len(part) == 5
    if isinstance(null, SoftPrompt):
        assert null.vectors.shape == (5, channel.num_slots, model_interface.embedding_width)


def test_box_messages_lie_in_their_box() -> None:
    """Saturated latents touch the wall and do not cross it."""
    torch.manual_seed(0)
    channel = ContinuousChannel(CodecConfig(), ENDS).eval()
    loud = synthetic_utterance(ENDS)
    torch.nn.init.normal_(channel.encoder.mix[-1].weight, std=50)
    assert max(abs(message).max() for message in channel.send(loud)) == 1
    assert isinstance(channel.message_space, Box)
    assert all(channel.message_space.contains(message) for message in channel.send(loud))
