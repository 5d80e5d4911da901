"""What all learned channels have in common, whoever registers them: bits, gate, training, precision."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from parley.channels.base import SoftPrompt, Utterance
from parley.channels.codec import CodecConfig
from parley.channels.latent import (
    ContinuousChannel,
    LatentChannel,
    VectorQuantizedChannel,
    VectorQuantizedConfig,
)
from parley.channels.registry import channel_class, channel_names
from parley.channels.testing import ENDS, synthetic_utterance

LEARNED = [name for name in channel_names() if channel_class(name).__module__.startswith("parley.channels.")]
LEARNED = [name for name in LEARNED if issubclass(channel_class(name), LatentChannel)]
BITS = {
    "latent": 4 * 16 * 32,
    **dict.fromkeys(("latent_vq", "latent_fsq", "latent_rvq", "latent_gumbel", "symbols"), 24),
}
WARMED_UP = ("latent_vq", "latent_fsq", "latent_rvq", "latent_gumbel")
FEW_CODES: dict[str, dict[str, Any]] = {  # fewer than there are utterances
    "latent_vq": {"codebook_size": 8},
    "latent_gumbel": {"codebook_size": 8},
}


@pytest.fixture
def utterance() -> Utterance:
    torch.manual_seed(5)
    return synthetic_utterance(ENDS)


def made(name: str, **settings: Any) -> LatentChannel:
    torch.manual_seed(0)
    kind = channel_class(name)
    channel = kind(kind.Config(**settings), ENDS)
    assert isinstance(channel, LatentChannel)
    return channel


def vq(**settings: Any) -> VectorQuantizedChannel:
    torch.manual_seed(0)
    return VectorQuantizedChannel(VectorQuantizedConfig(**settings), ENDS)


def state(channel: LatentChannel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in channel.state_dict().items()}


def unchanged(channel: LatentChannel, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in channel.state_dict().items())


def test_all_messages_of_six_bits_give_64_prefixes_and_no_more() -> None:
    channel = vq(k=2, codebook_size=8).eval()
    every = [np.array(codes) for codes in product(range(8), repeat=2)]
    prefixes = {row.numpy().tobytes() for row in channel.receive(every).vectors.detach()}
    assert len(prefixes) == 64 == 2 ** channel.message_bits(every[0])


@pytest.mark.parametrize("name", BITS)
def test_bits_of_the_defaults(name: str) -> None:
    assert made(name).message_bits(None) == BITS[name]


@pytest.mark.parametrize("name", LEARNED)
def test_the_default_prefix_is_as_long_as_embeddings_are(name: str, utterance: Utterance) -> None:
    norms = made(name).eval().relay(utterance).receiver_input.vectors.norm(dim=-1)
    torch.testing.assert_close(norms, torch.full_like(norms, ENDS.embedding_norm))


@pytest.mark.parametrize("name", LEARNED)
def test_gate_0_is_null_exactly(name: str, utterance: Utterance) -> None:
    """Failure 9."""
    channel = made(name).eval()
    torch.nn.init.zeros_(channel.decoder.scale_gate)
    for receiver_input in (channel.relay(utterance).receiver_input, channel.receive(channel.send(utterance))):
        assert torch.equal(receiver_input.vectors, channel.null_input(len(utterance.texts)).vectors)


@pytest.mark.parametrize("name", LEARNED)
def test_the_gate_scales_the_prefix(name: str, utterance: Utterance) -> None:
    channel = made(name).eval()
    whole = channel.relay(utterance).receiver_input.vectors
    torch.nn.init.constant_(channel.decoder.scale_gate, 0.5)
    torch.testing.assert_close(channel.relay(utterance).receiver_input.vectors, whole / 2)


@pytest.mark.parametrize("name", LEARNED)
def test_the_gate_begins_where_it_is_told(name: str) -> None:
    assert made(name).decoder.scale_gate.item() == 1
    assert made(name, initial_gate=0.25).decoder.scale_gate.item() == 0.25


@pytest.mark.parametrize("at_start", [False, True])
@pytest.mark.parametrize("name", LEARNED)
def test_every_reception_stands_where_the_channel_says(
    name: str, at_start: bool, utterance: Utterance
) -> None:
    """The content-free prefix too: elsewhere it would be another experiment."""
    channel = made(name, at_start=at_start)
    receiver_inputs = [
        channel.train().relay(utterance).receiver_input,
        channel.eval().relay(utterance).receiver_input,
        channel.receive(channel.send(utterance)),
        channel.null_input(3),
    ]
    assert channel.at_start is at_start
    assert [receiver_input.at_start for receiver_input in receiver_inputs] == [at_start] * 4


def test_each_slot_reads_the_same_code_in_its_own_way() -> None:
    [prefix] = vq(k=3, codebook_size=4, shared_codebook=True).eval().receive([np.array([2, 2, 2])]).vectors
    assert (prefix[0] - prefix[1]).norm() > 0.1
    assert (prefix[1] - prefix[2]).norm() > 0.1


@pytest.mark.parametrize("name", LEARNED)
def test_what_the_decoder_sees_is_handed_on(name: str, utterance: Utterance) -> None:
    """Objectives that look at the latents look at what crosses."""
    channel = made(name).eval()
    relay = channel.relay(utterance)
    assert relay.latents is not None
    assert relay.latents.shape == (32, channel.num_slots, channel.latent_width)
    assert torch.equal(channel.decode(relay.latents).vectors, relay.receiver_input.vectors)


@pytest.mark.parametrize("quantizing", [False, True])
@pytest.mark.parametrize("name", LEARNED)
def test_control_passes_never_update_the_codec(name: str, quantizing: bool, utterance: Utterance) -> None:
    """Failure 22: wrong messages moved the codebook's statistics."""
    channel = made(name, **FEW_CODES.get(name, {}))
    if quantizing:
        channel.start_quantizing(utterance)
    channel.train()
    before = state(channel)
    channel.receive(channel.send(utterance))
    assert unchanged(channel, before)
    assert all(module.training for module in channel.modules())


@pytest.mark.parametrize("name", LEARNED)
def test_a_discrete_channel_is_ready_once_it_quantises_and_the_others_always(
    name: str, utterance: Utterance
) -> None:
    channel = made(name, **FEW_CODES.get(name, {}))
    assert channel.ready is (name not in WARMED_UP)
    channel.start_quantizing(utterance)
    assert channel.ready is True


@pytest.mark.parametrize("quantizing", [False, True])
@pytest.mark.parametrize("name", LEARNED)
def test_gradient_reaches_every_parameter(name: str, quantizing: bool, utterance: Utterance) -> None:
    channel = made(name, **FEW_CODES.get(name, {}))
    if quantizing:
        channel.start_quantizing(utterance)
    relay = channel.train().relay(utterance)
    torch.manual_seed(1)
    score = (relay.receiver_input.vectors * torch.randn_like(relay.receiver_input.vectors)).sum()
    score.backward()
    for parameter_name, parameter in channel.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize("name", LEARNED)
def test_bf16_states_go_through_an_fp32_codec(name: str, utterance: Utterance) -> None:
    """Failure 7."""
    half = utterance._replace(states=utterance.states.bfloat16())
    channel = made(name)
    relay = channel.train().relay(half)
    assert isinstance(relay.receiver_input, SoftPrompt)
    assert relay.receiver_input.vectors.dtype == torch.float32
    relay.receiver_input.vectors.sum().backward()
    message = channel.eval().send(half)[0]
    assert channel.message_space.contains(message)


@pytest.mark.parametrize("encoder", ["perceiver", "pooled"])
@pytest.mark.parametrize("name", LEARNED)
def test_padding_states_do_not_matter(name: str, encoder: str, utterance: Utterance) -> None:
    loud = utterance._replace(states=utterance.states.masked_fill(~utterance.mask[..., None], 1e4))
    channel = made(name, encoder=encoder).eval()
    assert torch.equal(
        channel.relay(utterance).receiver_input.vectors, channel.relay(loud).receiver_input.vectors
    )


def test_the_order_of_tokens_matters(utterance: Utterance) -> None:
    whole = utterance._replace(mask=torch.ones_like(utterance.mask))
    turned = whole._replace(states=whole.states.flip(1))
    channel = made("latent").eval()
    ours, theirs = channel.relay(whole).receiver_input.vectors, channel.relay(turned).receiver_input.vectors
    assert (ours - theirs).detach().abs().max() > 1e-3


def test_a_channel_is_on_the_device_of_its_parameters() -> None:
    channel = ContinuousChannel(CodecConfig(), ENDS)
    assert channel.device == torch.device("cpu")
    assert channel.to("meta").device == torch.device("meta")
    assert channel.null_input(2).vectors.device == torch.device("meta")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "k must be from 1 to 256, got 0"),
        ({"k": 257}, "k must be from 1 to 256, got 257"),
        ({"latent_width": -1}, "latent_width must be from 0 to 8192, got -1"),
        ({"latent_width": 8193}, "latent_width must be from 0 to 8192, got 8193"),
        ({"codec_heads": 0}, "codec_heads must be from 1 to 64, got 0"),
        ({"codec_width": 2}, "codec_width must be from 4 to 8192, got 2"),
        ({"codec_width": 130}, r"codec_width must be a multiple of codec_heads \(4\), got 130"),
        ({"depth": -0.1}, r"depth must be from 0 to 1, got -0\.1"),
        ({"depth": 1.1}, r"depth must be from 0 to 1, got 1\.1"),
        ({"initial_gate": -0.5}, r"initial_gate must be from 0 to 100, got -0\.5"),
        ({"codebook_size": 1}, "codebook_size must be from 2 to 65536, got 1"),
        ({"codebook_size": 65537}, "codebook_size must be from 2 to 65536, got 65537"),
    ],
)
@pytest.mark.parametrize("name", ["latent_vq", "symbols"])
def test_settings_out_of_range_are_refused(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        channel_class(name).Config(**settings)
