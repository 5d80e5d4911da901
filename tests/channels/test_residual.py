"""`latent_rvq`: codes in stages, each for what the one before left over."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from parley.channels.base import Utterance
from parley.channels.residual import ResidualQuantizedChannel, ResidualQuantizedConfig, ResidualQuantizer
from parley.channels.testing import ENDS, check_channel, synthetic_utterance


@pytest.fixture
def utterance() -> Utterance:
    torch.manual_seed(5)
    return synthetic_utterance(ENDS)


def rvq(**settings: Any) -> ResidualQuantizedChannel:
    torch.manual_seed(0)
    return ResidualQuantizedChannel(ResidualQuantizedConfig(**settings), ENDS)


def quantizer(num_codebooks: int, size: int = 4, stages: int = 2, width: int = 6) -> ResidualQuantizer:
    torch.manual_seed(0)
    made = ResidualQuantizer(width, size, stages, num_codebooks)
    made.place_codes(made.bound(torch.randn(60, num_codebooks if num_codebooks > 1 else 3, width)))
    return made


def tables_of(made: ResidualQuantizer, num_slots: int) -> Tensor:
    """The codebook of each slot and stage (k, q, K, C)."""
    return made.codebook.codebooks.expand(num_slots, -1, -1, -1)


@pytest.mark.parametrize("num_codebooks", [1, 3])
def test_each_code_is_the_nearest_to_what_the_ones_before_left(num_codebooks: int) -> None:
    made = quantizer(num_codebooks, stages=3)
    latents = made.bound(torch.randn(50, 3, 6))
    codes, vectors = made.nearest(latents).reshape(50, 3, 3), made.look_up(made.nearest(latents))
    tables = tables_of(made, 3)
    for slot in range(3):
        left = latents[:, slot]
        for stage in range(3):
            distances = (left[:, None] - tables[slot, stage]).norm(dim=-1)
            assert torch.equal(codes[:, slot, stage], distances.argmin(-1))
            left = left - tables[slot, stage, codes[:, slot, stage]]
        torch.testing.assert_close(vectors[:, slot], latents[:, slot] - left)
    torch.testing.assert_close(made.eval()(latents).vectors, vectors)


def test_codebooks_are_each_slots_and_each_stages_own_unless_shared_by_the_slots() -> None:
    assert rvq(k=3, stages=2).quantizer.codebook.codebooks.shape == (3, 2, 8, 16)
    assert rvq(k=3, stages=2, shared_codebook=True).quantizer.codebook.codebooks.shape == (1, 2, 8, 16)
    assert len(rvq(k=3, stages=2).quantizer.codebook.codebooks.flatten(0, 2).unique(dim=0)) > 8 + 1


@pytest.mark.parametrize("num_codebooks", [1, 2])
def test_clusters_of_clusters_are_all_found(num_codebooks: int) -> None:
    """Placed on the latents alone, the second stage would find nothing that the first had not."""
    torch.manual_seed(3)
    coarse, fine = torch.eye(6)[:4], 0.2 * torch.eye(6)[2:]
    centres = (coarse[:, None] + fine).reshape(16, 6)
    points = centres.repeat(20, 1)[:, None].expand(-1, 2, -1)
    made = ResidualQuantizer(6, 4, 2, num_codebooks)
    made.place_codes(points + 0.001 * torch.randn(points.shape))
    codes = made.nearest(centres[:, None].expand(-1, 2, -1))
    assert len(codes[:, :2].unique(dim=0)) == 16
    error = made.look_up(codes) - centres[:, None]
    assert error.norm(dim=-1).max() < 0.01


def test_every_stage_leaves_less_over() -> None:
    torch.manual_seed(0)
    made = ResidualQuantizer(6, 4, 4, 3)
    latents = made.bound(torch.randn(200, 3, 6))
    made.place_codes(latents)
    staged = made.nearest(latents).reshape(200, 3, 4)
    left, sizes = latents, [1.0]
    for stage in range(4):
        left = left - made.codebook.codebooks[torch.arange(3), stage, staged[..., stage]]
        sizes.append(float(left.norm(dim=-1).mean()))
    assert all(after < 0.9 * before for before, after in pairwise(sizes))


def test_placement_repeats_with_torchs_seed() -> None:
    latents, tables = torch.randn(60, 2, 6), []
    for seed in (1, 1, 2):
        made = quantizer(2)
        torch.manual_seed(seed)
        made.place_codes(latents)
        tables.append(made.codebook.codebooks.clone())
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])


def test_utterances_that_are_all_alike_place_codes_without_a_warning(utterance: Utterance) -> None:
    channel = rvq().eval()
    same = utterance._replace(
        states=utterance.states[:1].expand(32, -1, -1), mask=utterance.mask[:1].expand(32, -1)
    )
    channel.start_quantizing(same)
    latents = channel.encode(same).latents
    torch.testing.assert_close(latents, channel._latents(same), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("num_codebooks", [1, 3])
def test_the_moving_averages_stand_where_the_codes_were_placed(num_codebooks: int) -> None:
    made = quantizer(num_codebooks)
    for layer in (layer for group in made.codebook.rvqs for layer in group.layers):
        book = layer._codebook
        assert torch.equal(book.embed, book.embed_avg)
        assert torch.equal(book.cluster_size, torch.ones_like(book.cluster_size))


def test_a_code_that_nobody_uses_is_placed_anew_after_seven_batches() -> None:
    """As in `latent_vq`: 0.9 ** 7 is the first below 0.5 uses a batch. It goes where its stage has work."""
    made = quantizer(1).train()
    said = made.codebook.codebooks[0, 0, :1].expand(9, 3, -1).clone()  # nothing is left for the second stage
    unused = torch.ones(2, 4, dtype=torch.bool)
    unused[torch.arange(2), made.nearest(said)[0, :2]] = False
    away = made.codebook.codebooks[0][unused].clone()
    for _ in range(6):
        made(said)
    torch.testing.assert_close(made.codebook.codebooks[0][unused], away)
    made(said)
    first, second = made.codebook.codebooks[0]
    torch.testing.assert_close(first[unused[0]], said[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(second[unused[1]], torch.zeros(3, 6), atol=1e-4, rtol=0)


@pytest.mark.parametrize("num_codebooks", [1, 3])
def test_the_loss_is_a_quarter_of_the_squared_distances_of_all_stages(num_codebooks: int) -> None:
    made = quantizer(num_codebooks)
    latents = made.bound(torch.randn(9, 3, 6))
    staged, tables = made.nearest(latents).reshape(9, 3, 2), tables_of(made, 3).clone()
    first = latents - tables[torch.arange(3), 0, staged[..., 0]]
    second = first - tables[torch.arange(3), 1, staged[..., 1]]
    wanted = 0.25 * (first.square().mean() + second.square().mean())
    torch.testing.assert_close(made.train()(latents).loss, wanted)


@pytest.mark.parametrize("num_codebooks", [1, 3])
def test_gradient_goes_straight_through_once_not_once_a_stage(num_codebooks: int) -> None:
    made = quantizer(num_codebooks)
    latents = made.bound(torch.randn(9, 3, 6)).requires_grad_()
    asked = torch.randn(9, 3, 6)
    (gradient,) = torch.autograd.grad((made.train()(latents).vectors * asked).sum(), latents)
    torch.testing.assert_close(gradient, asked)


def test_the_commitment_of_every_stage_draws_the_encoder() -> None:
    made = quantizer(1)
    latents = made.bound(torch.randn(9, 3, 6)).requires_grad_()
    staged, table = made.nearest(latents).reshape(9, 3, 2), made.codebook.codebooks[0].clone()
    (gradient,) = torch.autograd.grad(made.train()(latents).loss, latents)
    first = latents - table[0][staged[..., 0]]
    second = first - table[1][staged[..., 1]]
    torch.testing.assert_close(gradient, 0.25 * 2 * (first + second).detach() / latents.numel())


def test_bf16_latents_are_quantised_in_fp32() -> None:
    quantized = quantizer(3).train()(torch.randn(5, 3, 6, dtype=torch.bfloat16))
    assert (quantized.vectors.dtype, quantized.loss.dtype) == (torch.float32, torch.float32)


def test_no_message_moves_an_unplaced_codebook(utterance: Utterance) -> None:
    channel = rvq().eval()
    before = {name: tensor.clone() for name, tensor in channel.state_dict().items()}
    first = channel.send(utterance)
    channel.relay(utterance)
    assert all(torch.equal(tensor, before[name]) for name, tensor in channel.state_dict().items())
    assert len({code for message in first for code in message.tolist()}) > 4, "codes are apart from the start"


@pytest.mark.parametrize("shared", [False, True])
def test_only_relay_in_training_mode_moves_the_codebooks(utterance: Utterance, shared: bool) -> None:
    channel = rvq(shared_codebook=shared)
    channel.start_quantizing(utterance)
    before = channel.quantizer.codebook.codebooks.clone()
    channel.eval().relay(utterance)
    channel.train().codes(utterance)
    assert channel.training
    assert torch.equal(channel.quantizer.codebook.codebooks, before)
    channel.train().relay(utterance)
    moved = channel.quantizer.codebook.codebooks != before
    assert moved.flatten(2).any(-1).all(), "every stage of every slot"


@pytest.mark.parametrize("shared", [False, True])
def test_a_code_counts_for_its_own_slot_alone(shared: bool) -> None:
    """A message is read slot by slot, coarse to fine."""
    channel = rvq(k=3, stages=2, shared_codebook=shared).eval()
    plain = channel.receive([np.zeros(6, dtype=np.int64)]).vectors[0]
    for place in range(6):
        message = np.zeros(6, dtype=np.int64)
        message[place] = 5
        changed = (channel.receive([message]).vectors[0] - plain).norm(dim=-1) > 1e-4
        assert changed.tolist() == [slot == place // 2 for slot in range(3)]


def test_one_stage_is_one_code_a_slot(utterance: Utterance) -> None:
    channel = rvq(stages=1, codebook_size=64).eval()
    assert channel.message_bits(None) == 24
    assert channel.send(utterance)[0].shape == (4,)


@pytest.mark.parametrize(
    ("settings", "bits", "num_codes"),
    [({}, 24, 8), ({"k": 2, "stages": 3, "codebook_size": 4}, 12, 6), ({"shared_codebook": True}, 24, 8)],
)
def test_every_code_is_charged(settings: dict[str, Any], bits: float, num_codes: int) -> None:
    channel = rvq(**settings)
    assert channel.message_bits(None) == bits
    assert len(channel.message_space.nvec) == num_codes == channel.num_slots * channel.codes_per_slot
    assert bits == np.log2(channel.message_space.nvec.astype(float)).sum()


@pytest.mark.parametrize(
    "settings",
    [
        {"shared_codebook": True},
        {"k": 2, "stages": 3, "codebook_size": 5, "latent_width": 0, "decoder": "identity"},
        {"k": 1, "stages": 1},
    ],
)
def test_other_settings_keep_the_contract_too(settings: dict[str, Any], utterance: Utterance) -> None:
    channel = rvq(**settings)
    channel.start_quantizing(utterance)
    check_channel(channel)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codebook_size": 1}, "codebook_size must be from 2 to 65536, got 1"),
        ({"codebook_size": 65537}, "codebook_size must be from 2 to 65536, got 65537"),
        ({"stages": 0}, "stages must be from 1 to 16, got 0"),
        ({"stages": 17}, "stages must be from 1 to 16, got 17"),
        ({"k": 0}, "k must be from 1 to 256, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResidualQuantizedConfig(**settings)
