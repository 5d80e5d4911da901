"""The learned codebooks of `latent_vq`: one a slot, placed by k-means, moved by training alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from parley.channels.base import Utterance
from parley.channels.latent import VectorQuantizedChannel, VectorQuantizedConfig
from parley.channels.quantizers import VectorQuantizer
from parley.channels.testing import ENDS, synthetic_utterance


@pytest.fixture
def utterance() -> Utterance:
    torch.manual_seed(5)
    return synthetic_utterance(ENDS)


def vq(**settings: Any) -> VectorQuantizedChannel:
    torch.manual_seed(0)
    return VectorQuantizedChannel(VectorQuantizedConfig(**settings), ENDS)


def directions(num: int, width: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(num, width), dim=-1)


def quantizer(num_codebooks: int, size: int = 4, width: int = 6) -> VectorQuantizer:
    torch.manual_seed(0)
    return VectorQuantizer(width, size, num_codebooks)


def table_of(made: VectorQuantizer, num_slots: int) -> Tensor:
    """The codebook of each slot (k, K, C)."""
    return made.codebook.codebook.expand(num_slots, -1, -1)


@pytest.mark.parametrize("num_codebooks", [1, 3])
def test_codes_are_the_most_alike_of_the_slots_own_codebook(num_codebooks: int) -> None:
    made = quantizer(num_codebooks)
    latents = torch.randn(50, 3, 6)
    table = table_of(made, 3)
    by_hand = torch.einsum("bjc,jkc->bjk", latents, table).argmax(-1)
    assert torch.equal(made.nearest(latents), by_hand)
    vectors = made.look_up(by_hand)
    for slot in range(3):
        assert torch.equal(vectors[:, slot], table[slot, by_hand[:, slot]])
    assert torch.equal(made.eval()(latents).vectors, vectors)


def test_each_slot_has_a_codebook_of_its_own_unless_one_is_shared() -> None:
    assert vq(k=3, codebook_size=8).quantizer.codebook.codebook.shape == (3, 8, 16)
    assert vq(k=3, codebook_size=8, shared_codebook=True).quantizer.codebook.codebook.shape == (8, 16)
    assert vq(k=1, codebook_size=8).quantizer.codebook.codebook.shape == (8, 16)


def test_a_slots_codes_are_placed_where_its_own_latents_are() -> None:
    poles = torch.eye(6)[:3]  # slot j speaks around axis j alone
    latents = poles + 0.05 * torch.randn(40, 3, 6)
    apart, shared = quantizer(3), quantizer(1)
    apart.place_codes(latents)
    shared.place_codes(latents)
    near = torch.einsum("jkc,jc->jk", table_of(apart, 3), poles)
    assert (near > 0.9).all(), "no code is spent on what another slot says"
    named = (shared.codebook.codebook @ poles.T).amax(0)
    assert (named > 0.9).all(), "a shared codebook serves all slots"


@pytest.mark.parametrize("seed", range(4))
def test_thirty_tight_clusters_are_all_found_with_hardly_more_codes(seed: int) -> None:
    """Codes that begin as points drawn by chance miss some, and never find them again."""
    torch.manual_seed(seed)
    centres = directions(30, 16)
    points = centres.repeat(40, 1) + 0.01 * torch.randn(1200, 16)
    made = VectorQuantizer(16, 32)
    made.place_codes(points[:, None])
    nearest = (made.codebook.codebook @ centres.T).amax(0)
    assert (nearest > 0.99).all()
    drawn = torch.randperm(1200)[:32] % 30
    assert len(drawn.unique()) < 25, "or any start would have done"


def test_placement_repeats_with_torchs_seed() -> None:
    latents = torch.randn(60, 2, 6)
    tables = []
    for seed in (1, 1, 2):
        made = quantizer(2)
        torch.manual_seed(seed)
        made.place_codes(latents)
        tables.append(made.codebook.codebook.clone())
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])


def test_placed_codes_are_of_length_1() -> None:
    made = quantizer(2)
    made.place_codes(5 * torch.randn(60, 2, 6))
    norms = made.codebook.codebook.norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones_like(norms))


def test_fewer_utterances_than_codes_place_them_without_a_warning() -> None:
    made = quantizer(2, size=16)
    made.place_codes(torch.randn(5, 2, 6))
    norms = made.codebook.codebook.norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones_like(norms))


@pytest.mark.parametrize("num_codebooks", [1, 2])
def test_the_moving_averages_stand_where_the_codes_were_placed(num_codebooks: int) -> None:
    """Were they left behind, the first batch would throw the codes back to where they began."""
    made = quantizer(num_codebooks)
    made.place_codes(torch.randn(60, 2, 6))
    before = made.codebook.codebook.clone()
    made.train()(table_of(made, 2).transpose(0, 1).clone())  # each code is said once, exactly
    torch.testing.assert_close(made.codebook.codebook, before)


def test_a_code_that_nobody_uses_is_placed_anew_after_seven_batches() -> None:
    """Its moving average begins at one use a batch, decays by 0.9, and 0.9 ** 7 is the first below 0.5."""
    made = quantizer(1)
    made.place_codes(torch.randn(60, 1, 6))
    said = made.codebook.codebook[:1].clone()
    away = made.codebook.codebook[1:].clone()
    for _ in range(6):
        made.train()(said.expand(9, -1)[:, None])
    torch.testing.assert_close(made.codebook.codebook[1:], away)
    made.train()(said.expand(9, -1)[:, None])
    torch.testing.assert_close(made.codebook.codebook, said.expand(4, -1))


@pytest.mark.parametrize("num_codebooks", [1, 3])
def test_the_loss_is_a_quarter_of_the_squared_distance_to_the_code(num_codebooks: int) -> None:
    made = quantizer(num_codebooks)
    made.place_codes(torch.randn(60, 3, 6))
    latents = made.bound(torch.randn(9, 3, 6))
    wanted = 0.25 * (made.eval()(latents).vectors - latents).square().mean()
    torch.testing.assert_close(made.train()(latents).loss, wanted)


def test_bf16_latents_are_quantised_in_fp32() -> None:
    made = quantizer(3)
    quantized = made.train()(torch.randn(5, 3, 6, dtype=torch.bfloat16))
    assert (quantized.vectors.dtype, quantized.loss.dtype) == (torch.float32, torch.float32)


def test_no_message_moves_an_unplaced_codebook(utterance: Utterance) -> None:
    """The library would place its codebook by the first message it sees, in eval mode too."""
    channel = vq().eval()
    before = {name: tensor.clone() for name, tensor in channel.state_dict().items()}
    first = channel.send(utterance)
    channel.relay(utterance)
    assert all(torch.equal(tensor, before[name]) for name, tensor in channel.state_dict().items())
    assert len({code for message in first for code in message.tolist()}) > 4, "codes are apart from the start"
    norms = channel.quantizer.codebook.codebook.norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones_like(norms))


@pytest.mark.parametrize("shared", [False, True])
def test_only_relay_in_training_mode_moves_the_codebook(utterance: Utterance, shared: bool) -> None:
    channel = vq(codebook_size=8, shared_codebook=shared)
    channel.start_quantizing(utterance)
    before = channel.quantizer.codebook.codebook.clone()
    channel.eval().relay(utterance)
    channel.train().codes(utterance)
    assert torch.equal(channel.quantizer.codebook.codebook, before)
    channel.train().relay(utterance)
    assert not torch.equal(channel.quantizer.codebook.codebook, before)


def test_k_means_places_the_codes_where_the_latents_are(utterance: Utterance) -> None:
    """Better than any codes picked from the latents, which is what reviving dead codes does."""
    channel = vq(codebook_size=8, shared_codebook=True).eval()
    latents = channel._latents(utterance).detach().flatten(0, 1)

    def nearness(codebook: Tensor) -> float:
        return float((latents @ codebook.T).amax(-1).mean())

    channel.start_quantizing(utterance)
    assert channel.quantizing
    assert not channel.training, "the mode is given back"
    picked = [nearness(latents[torch.randperm(len(latents))[:8]]) for _ in range(20)]
    assert nearness(channel.quantizer.codebook.codebook) > max(picked)


@pytest.mark.parametrize("shared", [False, True])
def test_warming_up_is_continuous_in_training_mode_alone(utterance: Utterance, shared: bool) -> None:
    channel = vq(codebook_size=4, shared_codebook=shared)
    relay = channel.train().relay(utterance)
    assert relay.losses == {}
    assert torch.equal(channel.encode(utterance).latents, channel._latents(utterance))
    latents = channel.eval().encode(utterance).latents
    for slot, table in enumerate(table_of(channel.quantizer, 4)):
        assert all((table == row).all(-1).any() for row in latents[:, slot])


def test_quantised_training_sends_codes_and_pays_for_its_distance(utterance: Utterance) -> None:
    channel = vq(codebook_size=4)
    channel.start_quantizing(utterance)
    codes = channel.codes(utterance)
    tables = channel.quantizer.codebook.codebook.clone()
    relay = channel.train().relay(utterance)
    assert relay.losses.keys() == {"quantizer"}
    assert relay.losses["quantizer"] > 0
    assert relay.latents is not None
    torch.testing.assert_close(relay.latents, tables[torch.arange(4), codes], rtol=1e-4, atol=1e-5)
