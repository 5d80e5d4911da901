"""The two latent channels: bits, gate, quantiser, training, precision."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from channels.base import Prefix, Utterance
from channels.latent import (
    ContinuousChannel,
    LatentChannel,
    LatentConfig,
    LatentVQConfig,
    VectorQuantizedChannel,
    perplexity,
)
from channels.testing import ENDS, synthetic_utterance


@pytest.fixture
def utterance() -> Utterance:
    torch.manual_seed(5)
    return synthetic_utterance(ENDS)


def vq(**settings: Any) -> VectorQuantizedChannel:
    torch.manual_seed(0)
    return VectorQuantizedChannel(LatentVQConfig(**settings), ENDS)


def both() -> list[LatentChannel]:
    torch.manual_seed(0)
    return [ContinuousChannel(LatentConfig(), ENDS), VectorQuantizedChannel(LatentVQConfig(), ENDS)]


def state(channel: LatentChannel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in channel.state_dict().items()}


def unchanged(channel: LatentChannel, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in channel.state_dict().items())


def test_all_messages_of_six_bits_give_64_prefixes_and_no_more() -> None:
    channel = vq(k=2, codebook_size=8).eval()
    every = [np.array(codes) for codes in product(range(8), repeat=2)]
    prefixes = {row.numpy().tobytes() for row in channel.receive(every).vectors.detach()}
    assert len(prefixes) == 64 == 2 ** channel.message_bits(every[0])


def test_bits_of_the_defaults() -> None:
    continuous, discrete = both()
    assert discrete.message_bits(None) == 24
    assert continuous.message_bits(None) == 4 * 16 * 32


def test_the_default_prefix_is_as_long_as_embeddings_are(utterance: Utterance) -> None:
    for channel in both():
        norms = channel.eval().relay(utterance).reception.vectors.norm(dim=-1)
        torch.testing.assert_close(norms, torch.full_like(norms, ENDS.embedding_norm))


def test_gate_0_is_null_exactly(utterance: Utterance) -> None:
    """Failure 9."""
    for channel in both():
        channel.eval()
        torch.nn.init.zeros_(channel.decoder.scale_gate)
        for reception in (channel.relay(utterance).reception, channel.receive(channel.send(utterance))):
            assert torch.equal(reception.vectors, channel.null_reception(len(utterance.texts)).vectors)


def test_the_gate_scales_the_prefix(utterance: Utterance) -> None:
    channel = both()[0].eval()
    whole = channel.relay(utterance).reception.vectors
    torch.nn.init.constant_(channel.decoder.scale_gate, 0.5)
    torch.testing.assert_close(channel.relay(utterance).reception.vectors, whole / 2)


def test_each_slot_reads_the_same_code_in_its_own_way() -> None:
    [prefix] = vq(k=3, codebook_size=4).eval().receive([np.array([2, 2, 2])]).vectors
    assert (prefix[0] - prefix[1]).norm() > 0.1
    assert (prefix[1] - prefix[2]).norm() > 0.1


def test_no_message_moves_an_unplaced_codebook(utterance: Utterance) -> None:
    """The library would place its codebook by the first message it sees, in eval mode too."""
    channel = vq().eval()
    before = state(channel)
    first = channel.send(utterance)
    channel.relay(utterance)
    assert unchanged(channel, before)
    assert len({code for message in first for code in message.tolist()}) > 4, "codes are apart from the start"
    norms = channel.quantizer.codebook.codebook.norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones_like(norms))


@pytest.mark.parametrize("quantizing", [False, True])
def test_control_passes_never_update_the_codebook(utterance: Utterance, quantizing: bool) -> None:
    """Failure 22: wrong messages moved the codebook's statistics."""
    channel = vq(codebook_size=8)
    if quantizing:
        channel.start_quantizing(utterance)
    channel.train()
    before = state(channel)
    channel.codes(utterance)
    channel.receive(channel.send(utterance))
    assert unchanged(channel, before)
    assert all(module.training for module in channel.modules())


def test_only_relay_in_training_mode_moves_the_codebook(utterance: Utterance) -> None:
    channel = vq(codebook_size=8)
    channel.start_quantizing(utterance)
    before = state(channel)
    channel.eval().relay(utterance)
    assert unchanged(channel, before)
    channel.train().relay(utterance)
    assert not unchanged(channel, before)


def test_k_means_places_the_codes_where_the_latents_are(utterance: Utterance) -> None:
    """Better than any codes picked from the latents, which is what reviving dead codes does."""
    channel = vq(codebook_size=8).eval()
    latents = channel._latents(utterance).detach().flatten(0, 1)

    def nearness(codebook: torch.Tensor) -> float:
        return float((latents @ codebook.T).amax(-1).mean())

    channel.start_quantizing(utterance)
    assert channel.quantizing
    assert not channel.training, "the mode is given back"
    picked = [nearness(latents[torch.randperm(len(latents))[:8]]) for _ in range(20)]
    assert nearness(channel.quantizer.codebook.codebook) > max(picked)


def test_warming_up_is_continuous_in_training_mode_alone(utterance: Utterance) -> None:
    channel = vq(codebook_size=4)
    prefixes = channel.train().relay(utterance)
    assert prefixes.losses == {}
    assert torch.equal(channel.encode(utterance).latents, channel._latents(utterance))
    channel.eval()
    codebook = channel.quantizer.codebook.codebook
    latents = channel.encode(utterance).latents
    assert all((codebook == row).all(-1).any() for row in latents.flatten(0, 1))


@pytest.mark.parametrize("quantizing", [False, True])
def test_gradient_reaches_every_parameter(utterance: Utterance, quantizing: bool) -> None:
    channel = vq(codebook_size=8)
    if quantizing:
        channel.start_quantizing(utterance)
    relay = channel.train().relay(utterance)
    torch.manual_seed(1)
    score = (relay.reception.vectors * torch.randn_like(relay.reception.vectors)).sum()
    score.backward()
    for name, parameter in channel.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_bf16_states_go_through_an_fp32_codec(utterance: Utterance) -> None:
    """Failure 7."""
    half = utterance._replace(states=utterance.states.bfloat16())
    for channel in both():
        relay = channel.train().relay(half)
        assert isinstance(relay.reception, Prefix)
        assert relay.reception.vectors.dtype == torch.float32
        relay.reception.vectors.sum().backward()
        message = channel.eval().send(half)[0]
        assert channel.message_space.contains(message)


def test_padding_states_do_not_matter(utterance: Utterance) -> None:
    loud = utterance._replace(states=utterance.states.masked_fill(~utterance.mask[..., None], 1e4))
    for channel in both():
        channel.eval()
        assert torch.equal(channel.relay(utterance).reception.vectors, channel.relay(loud).reception.vectors)


def test_the_order_of_tokens_matters(utterance: Utterance) -> None:
    whole = utterance._replace(mask=torch.ones_like(utterance.mask))
    turned = whole._replace(states=whole.states.flip(1))
    channel = both()[0].eval()
    ours, theirs = channel.relay(whole).reception.vectors, channel.relay(turned).reception.vectors
    assert (ours - theirs).detach().abs().max() > 1e-3


@pytest.mark.parametrize(
    ("codes", "size", "expected"),
    [
        ([0, 0, 0], 4, 1.0),
        ([0, 1, 2, 3], 4, 4.0),
        ([[0, 1], [1, 0]], 64, 2.0),
        # entropy of (1/2, 1/4, 1/4) is 1.5 bits: 2 ** 1.5
        ([0, 0, 1, 2], 8, 2**1.5),
        ([0, 0, 0, 1], 2, math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))),
    ],
)
def test_perplexity_goldens(codes: list[Any], size: int, expected: float) -> None:
    assert perplexity(torch.tensor(codes), size) == pytest.approx(expected, rel=1e-12)


def test_perplexity_of_nothing_is_undefined() -> None:
    with pytest.raises(ValueError, match="perplexity needs at least one code, got none"):
        perplexity(torch.zeros(0, 4, dtype=torch.long), 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "k must be from 1 to 256, got 0"),
        ({"k": 257}, "k must be from 1 to 256, got 257"),
        ({"latent_width": 0}, "latent_width must be from 1 to 4096, got 0"),
        ({"codec_heads": 0}, "codec_heads must be from 1 to 64, got 0"),
        ({"codec_width": 2}, "codec_width must be from 4 to 8192, got 2"),
        ({"codec_width": 130}, r"codec_width must be a multiple of codec_heads \(4\), got 130"),
        ({"codebook_size": 1}, "codebook_size must be from 2 to 65536, got 1"),
        ({"codebook_size": 65537}, "codebook_size must be from 2 to 65536, got 65537"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LatentVQConfig(**settings)
