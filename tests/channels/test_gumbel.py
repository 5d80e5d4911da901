"""`latent_gumbel`: codes drawn by chance while it learns, with the gradient of the relaxed choice."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from parley.channels.base import Utterance
from parley.channels.gumbel import GumbelChannel, GumbelConfig, GumbelQuantizer
from parley.channels.testing import ENDS, check_channel, synthetic_utterance


@pytest.fixture
def utterance() -> Utterance:
    torch.manual_seed(5)
    return synthetic_utterance(ENDS)


def gumbel(**settings: Any) -> GumbelChannel:
    torch.manual_seed(0)
    return GumbelChannel(GumbelConfig(**{"codebook_size": 8} | settings), ENDS)


def quantizer(size: int = 5, sharpness: float = 4.0, temperature: float = 1.0) -> GumbelQuantizer:
    torch.manual_seed(0)
    return GumbelQuantizer(6, size, 3, sharpness, temperature)


def test_the_likeliest_code_is_the_most_alike_of_the_slots_own() -> None:
    made = quantizer()
    latents = made.bound(torch.randn(50, 3, 6))
    by_hand = torch.einsum("bjc,jkc->bjk", latents, made.codebook).argmax(-1)
    assert torch.equal(made.nearest(latents), by_hand)
    vectors = made.look_up(by_hand)
    for slot in range(3):
        assert torch.equal(vectors[:, slot], made.codebook[slot, by_hand[:, slot]])
    seen = made.eval()(latents)
    assert torch.equal(seen.vectors, vectors)
    assert torch.equal(seen.codes, by_hand)


def test_codes_are_drawn_as_often_as_their_cosine_times_sharpness_says() -> None:
    made = quantizer(sharpness=3.0).train()
    latents = made.bound(torch.randn(1, 3, 6))
    wanted = (3 * torch.einsum("bjc,jkc->bjk", latents, made.codebook)).softmax(-1)[0]
    num = 20_000
    drawn = made(latents.expand(num, -1, -1)).codes
    shares = torch.stack([torch.bincount(slot, minlength=5) for slot in drawn.T]) / num
    assert (shares - wanted).abs().max() < 0.02, "5 standard errors are .018"
    assert wanted.max() < 0.9, "or hardly anything would have been left to chance"


def test_what_is_relayed_in_training_is_the_drawn_codes_vectors() -> None:
    made = quantizer().train()
    quantized = made(made.bound(torch.randn(9, 3, 6)))
    torch.testing.assert_close(quantized.vectors, made.look_up(quantized.codes))
    assert quantized.loss == 0


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_gradient_is_that_of_the_relaxed_choice(temperature: float) -> None:
    """Softmax of log-odds and Gumbel noise over the temperature (Jang et al., 2017, equation 2)."""
    made = quantizer(temperature=temperature).train()
    latents, asked = made.bound(torch.randn(9, 3, 6)).requires_grad_(), torch.randn(9, 3, 6)
    torch.manual_seed(7)
    (gradient,) = torch.autograd.grad((made(latents).vectors * asked).sum(), latents)
    torch.manual_seed(7)
    noise = -torch.empty(9, 3, 5).exponential_().log()
    log_odds = 4 * torch.einsum("bjc,jkc->bjk", latents, made.codebook)
    relaxed = torch.einsum("bjk,jkc->bjc", ((log_odds + noise) / temperature).softmax(-1), made.codebook)
    (wanted,) = torch.autograd.grad((relaxed * asked).sum(), latents)
    torch.testing.assert_close(gradient, wanted)


def test_the_temperature_does_not_change_which_codes_are_drawn() -> None:
    drawn = []
    for temperature in (0.1, 10.0):
        made = quantizer(temperature=temperature).train()
        latents = made.bound(torch.randn(50, 3, 6))
        drawn.append(made(latents).codes)
    assert torch.equal(*drawn)


def test_chance_plays_in_training_alone(utterance: Utterance) -> None:
    channel = gumbel(sharpness=1.0)
    channel.start_quantizing(utterance)
    first, second = (channel.train().relay(utterance).latents for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(channel.codes(utterance), channel.codes(utterance)), "what is sent is decided"
    first, second = (channel.eval().relay(utterance).latents for _ in range(2))
    assert torch.equal(first, second)


def test_codes_are_placed_where_each_slots_latents_are_and_stay_there(utterance: Utterance) -> None:
    poles = torch.eye(6)[:3]
    made = quantizer()
    made.place_codes(poles + 0.05 * torch.randn(40, 3, 6))
    assert (torch.einsum("jkc,jc->jk", made.codebook, poles) > 0.9).all()
    norms = made.codebook.norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones_like(norms))
    channel = gumbel()
    channel.start_quantizing(utterance)
    before = channel.quantizer.codebook.clone()
    channel.train().relay(utterance)
    assert torch.equal(channel.quantizer.codebook, before)


def test_warming_up_is_continuous_in_training_mode_alone(utterance: Utterance) -> None:
    channel = gumbel()
    assert torch.equal(channel.train().relay(utterance).latents, channel._latents(utterance))
    latents = channel.eval().encode(utterance).latents
    assert torch.equal(latents, channel.quantizer.look_up(channel.codes(utterance)))


def test_bf16_latents_are_quantised_in_fp32() -> None:
    quantized = quantizer().train()(torch.randn(5, 3, 6, dtype=torch.bfloat16))
    assert (quantized.vectors.dtype, quantized.loss.dtype) == (torch.float32, torch.float32)


@pytest.mark.parametrize(
    "settings",
    [{"k": 2, "latent_width": 0, "decoder": "identity"}, {"k": 1, "codebook_size": 2, "temperature": 0.2}],
)
def test_other_settings_keep_the_contract_too(settings: dict[str, Any], utterance: Utterance) -> None:
    channel = gumbel(**settings)
    channel.start_quantizing(utterance)
    check_channel(channel)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codebook_size": 1}, "codebook_size must be from 2 to 65536, got 1"),
        ({"codebook_size": 65537}, "codebook_size must be from 2 to 65536, got 65537"),
        ({"sharpness": 0.0}, r"sharpness must be from 0\.1 to 1000, got 0\.0"),
        ({"sharpness": 1001}, r"sharpness must be from 0\.1 to 1000, got 1001"),
        ({"temperature": 0.0}, r"temperature must be from 0\.01 to 100, got 0\.0"),
        ({"temperature": 101}, r"temperature must be from 0\.01 to 100, got 101"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GumbelConfig(**settings)
