"""`latent_fsq`: a fixed grid, what it costs, and what it refuses."""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from parley.channels.base import Utterance
from parley.channels.latent import ScalarQuantizedChannel, ScalarQuantizedConfig
from parley.channels.quantizers import ScalarQuantizer
from parley.channels.testing import ENDS, synthetic_utterance

LEVELS = [(8, 8), (2,), (3, 5, 4), (8, 5, 5, 5)]


@pytest.fixture
def utterance() -> Utterance:
    torch.manual_seed(5)
    return synthetic_utterance(ENDS)


def fsq(**settings: Any) -> ScalarQuantizedChannel:
    torch.manual_seed(0)
    return ScalarQuantizedChannel(ScalarQuantizedConfig(**settings), ENDS)


def points(levels: tuple[int, ...]) -> Tensor:
    """The grid (K, C), from -1 to 1 in even steps; code i is i_0 + i_1 * L_0 + i_2 * L_0 * L_1 ..."""
    codes = np.arange(np.prod(levels))
    places = np.stack(np.unravel_index(codes, levels, order="F"), axis=-1)
    return torch.from_numpy(2 * places / (np.array(levels) - 1) - 1).float()


@pytest.mark.parametrize(("levels", "bits"), [((8, 8), 24.0), ((2,), 4.0), ((8, 5, 5, 5), 4 * log2(1000))])
def test_a_message_costs_k_times_the_log_of_the_product(levels: tuple[int, ...], bits: float) -> None:
    channel = fsq(levels=levels)
    assert channel.message_bits(None) == pytest.approx(bits, rel=1e-12)
    assert channel.message_space.nvec.tolist() == [np.prod(levels)] * 4
    assert channel.latent_width == len(levels), "whatever latent_width says"


@pytest.mark.parametrize("levels", LEVELS)
def test_codes_stand_for_the_points_of_the_grid(levels: tuple[int, ...]) -> None:
    made, grid = ScalarQuantizer(levels), points(levels)
    assert made.codebook_size == len(grid)
    torch.testing.assert_close(made.look_up(torch.arange(len(grid))[:, None])[:, 0], grid)


@settings(deadline=None, max_examples=40)
@given(levels=st.sampled_from(LEVELS), seed=st.integers(0, 999), loudness=st.floats(0.1, 10))
def test_what_is_quantised_is_what_its_code_stands_for(
    levels: tuple[int, ...], seed: int, loudness: float
) -> None:
    made = ScalarQuantizer(levels)
    generator = torch.Generator().manual_seed(seed)
    latents = made.bound(loudness * torch.randn(9, 3, len(levels), generator=generator))
    vectors, codes, loss = made(latents)
    torch.testing.assert_close(vectors, made.look_up(codes))
    assert torch.equal(made.nearest(latents), codes)
    assert loss == 0


def test_every_code_that_is_paid_for_can_be_sent() -> None:
    made = ScalarQuantizer((8, 8))
    wanted = points((8, 8))[:, None] * 0.999
    codes = made.nearest(made.bound(torch.atanh(wanted)))
    assert len(codes.unique()) == 64


@pytest.mark.parametrize("levels", [(8, 8), (3, 5, 4), (8, 5, 5, 5)])
def test_no_number_is_moved_farther_than_half_a_step(levels: tuple[int, ...]) -> None:
    """Or quantising would change what the decoder has learned to read while it was continuous."""
    made = ScalarQuantizer(levels)
    bound = made.bound(torch.randn(200, 1, len(levels)) * 2)
    moved = (made(bound).vectors - bound).abs()
    assert (moved <= 1 / (torch.tensor(levels) - 1) + 1e-5).all()


def test_bound_is_tanh() -> None:
    latents = torch.randn(5, 2, 2) * 3
    assert torch.equal(ScalarQuantizer((8, 8)).bound(latents), torch.tanh(latents))


def test_gradient_flows_as_if_nothing_had_been_rounded() -> None:
    latents = torch.linspace(-0.5, 0.5, 20).reshape(5, 2, 2).requires_grad_()
    ScalarQuantizer((8, 8))(latents).vectors.sum().backward()
    assert latents.grad is not None
    assert (latents.grad > 0.5).all()


def test_relay_is_receive_after_send(utterance: Utterance) -> None:
    channel = fsq(levels=(5, 3)).eval()
    relay = channel.relay(utterance)
    answer_states = channel.receive(channel.send(utterance))
    assert torch.equal(relay.receiver_input.vectors, answer_states.vectors)
    assert relay.losses == {}


def test_warming_up_is_continuous_then_latents_are_points_of_the_grid(utterance: Utterance) -> None:
    channel = fsq(levels=(5, 3)).train()
    squashed = torch.tanh(channel.encoder(utterance.states, utterance.mask))
    warm = channel.relay(utterance)
    assert warm.latents is not None
    assert torch.equal(warm.latents, squashed)
    assert warm.losses == {}
    channel.start_quantizing(utterance)
    relay = channel.relay(utterance)
    assert relay.latents is not None
    torch.testing.assert_close(relay.latents, points((5, 3))[channel.codes(utterance)])
    assert {name: loss.item() for name, loss in relay.losses.items()} == {"quantizer": 0.0}


def test_a_grid_stays_where_it_is(utterance: Utterance) -> None:
    channel = fsq()
    before = channel.quantizer.look_up(torch.arange(64)[:, None])
    channel.start_quantizing(utterance)
    channel.train().relay(utterance)
    assert torch.equal(channel.quantizer.look_up(torch.arange(64)[:, None]), before)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((), "number of levels must be from 1 to 64, got 0"),
        ((2,) * 65, "number of levels must be from 1 to 64, got 65"),
        ((8, 1), "levels must be from 2 to 65536, got 1"),
        ((65537,), "levels must be from 2 to 65536, got 65537"),
        ((256, 512), "product of levels must be from 2 to 65536, got 131072"),
    ],
)
def test_levels_out_of_range_are_refused(levels: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScalarQuantizedConfig(levels=levels)


def test_the_codecs_own_settings_are_checked_too() -> None:
    with pytest.raises(ValueError, match="k must be from 1 to 256, got 0"):
        ScalarQuantizedConfig(k=0)
