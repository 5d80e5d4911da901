"""Encoders and decoders one by one: what each reads, and what it makes of a latent."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from parley.channels.base import SenderFeatures, Utterance, last_state
from parley.channels.codec import (
    CodecConfig,
    IdentityDecoder,
    PerceiverEncoder,
    PooledEncoder,
    PrefixDecoder,
    cross_attend,
)
from parley.channels.latent import ContinuousChannel, VectorQuantizedChannel, VectorQuantizedConfig
from parley.channels.testing import ENDS, check_channel, synthetic_utterance

ORIGINAL: dict[str, Any] = {"latent_width": 0, "encoder": "pooled", "decoder": "identity"}


@pytest.fixture
def utterance() -> Utterance:
    torch.manual_seed(5)
    return synthetic_utterance(ENDS)


def made(**settings: Any) -> ContinuousChannel:
    torch.manual_seed(0)
    return ContinuousChannel(CodecConfig(**settings), ENDS).eval()


def prefix_of(channel: ContinuousChannel, utterance: Utterance) -> Tensor:
    return channel.relay(utterance).receiver_input.vectors.detach()


def test_the_defaults_are_the_repaired_codec() -> None:
    channel = made()
    assert isinstance(channel.encoder, PerceiverEncoder)
    assert isinstance(channel.decoder, PrefixDecoder)
    assert channel.features == SenderFeatures(0.5, "prompt")
    assert channel.num_slots == 4
    assert (channel.latent_width, channel.at_start) == (16, False)


def test_a_channel_asks_for_the_states_it_is_told_to_read() -> None:
    assert made(depth=0.25, reads="message").features == SenderFeatures(0.25, "message")


@pytest.mark.parametrize(
    ("encoder", "decoder", "switched"),
    list(product(["perceiver", "pooled"], ["mlp", "identity"], [False, True])),
)
def test_every_codec_keeps_the_contract(
    encoder: Any, decoder: Any, switched: bool, utterance: Utterance
) -> None:
    channel = made(
        latent_width=0, encoder=encoder, decoder=decoder, at_start=switched, standardize=not switched
    )
    channel.calibrate(utterance, torch.randn(9, ENDS.embedding_width))
    check_channel(channel)


# encoders


def test_the_last_state_is_that_of_the_last_token_that_counts() -> None:
    states = torch.arange(24.0).reshape(3, 4, 2)
    mask = torch.tensor([[True, True, False, False], [True] * 4, [True, False, False, False]])
    assert last_state(states, mask).tolist() == [[2.0, 3.0], [14.0, 15.0], [16.0, 17.0]]


def test_padding_on_the_left_is_passed_over_too() -> None:
    states = torch.arange(8.0).reshape(1, 4, 2)
    assert last_state(states, torch.tensor([[False, True, True, False]])).tolist() == [[4.0, 5.0]]


@pytest.mark.parametrize("encoder", ["pooled", "perceiver"])
def test_pooled_reads_the_last_token_only_and_the_perceiver_all(encoder: Any, utterance: Utterance) -> None:
    channel = made(encoder=encoder)
    before = prefix_of(channel, utterance)
    lengths = utterance.mask.sum(1)
    rows = torch.arange(len(lengths))
    early = utterance.states.clone()
    early[rows[lengths > 1], 0] += 1.0
    late = utterance.states.clone()
    late[rows, lengths - 1] += 1.0
    answer_states = [
        (prefix_of(channel, utterance._replace(states=s)) != before).any((1, 2)) for s in (early, late)
    ]
    assert answer_states[1].all()
    assert (
        answer_states[0].tolist() == (lengths > 1).tolist()
        if encoder == "perceiver"
        else not answer_states[0].any()
    )


def test_pooled_is_one_hidden_layer_over_the_standardised_last_state(utterance: Utterance) -> None:
    encoder = PooledEncoder(ENDS, CodecConfig(k=3, codec_width=8), 5)
    encoder.standardize.calibrate(utterance.states, utterance.mask)
    first, _, second = encoder.mix
    assert (first.in_features, first.out_features, second.out_features) == (ENDS.state_width, 8, 15)
    last = last_state(encoder.standardize(utterance.states), utterance.mask)
    hidden = torch.nn.functional.gelu(last @ first.weight.T + first.bias)
    wanted = (hidden @ second.weight.T + second.bias).reshape(32, 3, 5)
    torch.testing.assert_close(encoder(utterance.states, utterance.mask), wanted)


@pytest.mark.parametrize("encoder", ["perceiver", "pooled"])
@pytest.mark.parametrize("standardize", [True, False])
def test_states_are_standardised_if_and_only_if_it_is_asked_for(
    encoder: Any, standardize: bool, utterance: Utterance
) -> None:
    """Shifted and stretched states say the same to a codec that knows their statistics."""
    odd = utterance._replace(states=7 * utterance.states + 100)
    answer_states = []
    for spoken in (utterance, odd):
        channel = made(encoder=encoder, standardize=standardize)
        channel.calibrate(spoken, torch.randn(9, ENDS.embedding_width))
        assert channel.encoder.standardize.mean.any() == standardize
        answer_states.append(prefix_of(channel, spoken))
    assert torch.allclose(*answer_states, atol=1e-2) == standardize


# decoders


def test_the_learned_decoder_gives_vectors_of_the_embeddings_length_times_the_gate() -> None:
    decoder = PrefixDecoder(ENDS, CodecConfig(initial_gate=0.5), 7)
    norms = decoder(100 * torch.randn(6, 4, 7)).norm(dim=-1)
    torch.testing.assert_close(norms, torch.full_like(norms, 0.5 * ENDS.embedding_norm))


def test_identity_is_a_layer_norm_times_the_mean_norm_over_the_root_of_the_width() -> None:
    """Prior art, section 1: prefix = LayerNorm(latent) * (mean token-embedding norm)/sqrt(d) * gate."""
    width = ENDS.embedding_width
    decoder = IdentityDecoder(ENDS, CodecConfig(initial_gate=0.5), width)
    latents = torch.randn(6, 4, width) * 3 + 1
    centred = latents - latents.mean(-1, keepdim=True)
    normed = centred / (latents.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(decoder(latents), normed * (1.5 / width**0.5) * 0.5)
    torch.nn.init.constant_(decoder.norm.bias, 2.0)
    shifted = (normed + 2) * (1.5 / width**0.5) * 0.5
    torch.testing.assert_close(decoder(latents), shifted)


def test_identity_needs_latents_as_wide_as_embeddings() -> None:
    with pytest.raises(ValueError, match="decoder 'identity' needs latent_width 20") as caught:
        made(decoder="identity")
    assert str(caught.value) == (
        "decoder 'identity' needs latent_width 20 (the receiver's embeddings; 0 takes it by itself), got 16"
    )
    with pytest.raises(ValueError, match="got 16"):
        VectorQuantizedChannel(VectorQuantizedConfig(decoder="identity"), ENDS)


def test_latent_width_0_is_the_receivers_embeddings() -> None:
    assert made(latent_width=0).message_space.shape == (4, ENDS.embedding_width)
    assert made(latent_width=3).message_space.shape == (4, 3)
    channel = VectorQuantizedChannel(VectorQuantizedConfig(latent_width=0), ENDS)
    assert channel.quantizer.codebook.codebook.shape[-1] == ENDS.embedding_width


def test_null_is_no_decoded_latent(utterance: Utterance) -> None:
    """Failure 6: LayerNorm's bias makes something of nothing."""
    channel = made(**ORIGINAL)
    torch.nn.init.constant_(channel.decoder.norm.bias, 1.0)
    assert channel.decoder(torch.zeros(1, 4, ENDS.embedding_width)).any()
    assert not channel.null_input(1).vectors.any()


@pytest.mark.parametrize(("heads", "slots"), [(1, 3), (4, 1), (4, 5)])
def test_cross_attention_is_what_the_module_computes(heads: int, slots: int) -> None:
    """Of few shared queries, in value and in every gradient; no token that is padding counts."""
    torch.manual_seed(0)
    attention = torch.nn.MultiheadAttention(16, heads, batch_first=True)
    torch.nn.init.normal_(attention.in_proj_bias)
    keys, values = (torch.randn(6, 7, 16, requires_grad=True) for _ in range(2))
    queries = torch.randn(slots, 16, requires_grad=True)
    mask = torch.arange(7) < torch.tensor([7, 1, 3, 7, 2, 5])[:, None]
    ours = cross_attend(attention, queries, keys, values, mask)
    asked = queries.expand(6, -1, -1)
    theirs, _ = attention(asked, keys, values, key_padding_mask=~mask, need_weights=False)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    learned = [queries, keys, values, *attention.parameters()]
    weights = torch.randn_like(theirs)
    found = torch.autograd.grad((ours * weights).sum(), learned)
    for gradient, wanted in zip(found, torch.autograd.grad((theirs * weights).sum(), learned), strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5)
