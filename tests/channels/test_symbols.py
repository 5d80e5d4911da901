"""`symbols`: a policy over an alphabet, drawn while it learns and decided once it plays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch.distributions import Categorical

from parley.channels.base import Utterance
from parley.channels.symbols import SymbolsChannel, SymbolsConfig, TableDecoder
from parley.channels.testing import ENDS, check_channel, synthetic_utterance


@pytest.fixture
def utterance() -> Utterance:
    torch.manual_seed(5)
    return synthetic_utterance(ENDS)


def symbols(decided: float = 20.0, **settings: Any) -> SymbolsChannel:
    """A channel whose policy is far from uniform."""
    torch.manual_seed(0)
    channel = SymbolsChannel(SymbolsConfig(**{"codebook_size": 8, **settings}), ENDS)
    with torch.no_grad():
        channel.encoder.mix[-1].weight *= decided
    return channel


def table_of(channel: SymbolsChannel) -> Tensor:
    assert isinstance(channel.decoder, TableDecoder)
    return channel.decoder.table


def test_the_policy_is_that_of_independent_categoricals(utterance: Utterance) -> None:
    channel = symbols(k=3).train()
    relay = channel.relay(utterance)
    assert relay.policy is not None
    assert relay.latents is not None
    expected = Categorical(logits=channel._logits(utterance))
    drawn = relay.latents.argmax(-1)
    torch.testing.assert_close(relay.policy.log_probabilities, expected.log_prob(drawn).sum(-1))
    torch.testing.assert_close(relay.policy.entropy, expected.entropy().sum(-1))
    assert relay.policy.log_probabilities.requires_grad
    assert relay.policy.entropy.requires_grad
    assert relay.losses == {}


def test_symbols_are_drawn_as_often_as_the_policy_says(utterance: Utterance) -> None:
    channel = symbols(decided=5.0, k=2, codebook_size=5).train()
    num = 4000
    many = Utterance(
        ["x"] * num, utterance.states[:1].expand(num, -1, -1), utterance.mask[:1].expand(num, -1)
    )
    relay = channel.relay(many)
    assert relay.latents is not None
    expected = channel._logits(many)[0].softmax(-1).detach().double().numpy()
    for slot in range(2):
        counts = np.bincount(relay.latents[:, slot].argmax(-1).numpy(), minlength=5)
        assert chisquare(counts, num * expected[slot] / expected[slot].sum()).pvalue > 1e-3
    together = [tuple(row) for row in relay.latents.argmax(-1).tolist()]
    assert len(set(together)) > 5, "slots are drawn independently"


def test_draws_follow_torchs_seed(utterance: Utterance) -> None:
    channel, drawn = symbols(decided=1.0).train(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(channel.relay(utterance).receiver_input.vectors)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("training", [False, True])
def test_what_is_sent_is_the_likeliest(training: bool, utterance: Utterance) -> None:
    channel = symbols(decided=1.0).train(training)
    likeliest = channel._logits(utterance).argmax(-1)
    assert np.array_equal(np.stack(channel.send(utterance)), likeliest.numpy())


def test_eval_mode_draws_nothing(utterance: Utterance) -> None:
    channel = symbols(decided=1.0).eval()
    relay = channel.relay(utterance)
    assert relay.policy is None
    assert relay.latents is not None
    assert torch.equal(relay.latents.argmax(-1), channel._logits(utterance).argmax(-1))
    assert relay.latents.unique().tolist() == [0.0, 1.0]


def test_training_does_draw(utterance: Utterance) -> None:
    channel = symbols(decided=1.0).train()
    relay = channel.relay(utterance)
    assert relay.latents is not None
    assert (relay.latents.argmax(-1) != channel._logits(utterance).argmax(-1)).any()


def test_a_symbol_is_its_row_of_the_table_in_every_slot() -> None:
    channel = symbols(initial_gate=0.5)
    [prefix] = channel.receive([np.array([3, 0, 7, 3])]).vectors
    torch.testing.assert_close(prefix, 0.5 * table_of(channel)[[3, 0, 7, 3]])


def test_what_is_relayed_in_training_is_the_drawn_symbols_vectors(utterance: Utterance) -> None:
    channel = symbols(decided=1.0).train()
    relay = channel.relay(utterance)
    assert relay.latents is not None
    torch.testing.assert_close(relay.receiver_input.vectors, table_of(channel)[relay.latents.argmax(-1)])


def test_gradient_is_that_of_the_probabilities(utterance: Utterance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Straight through: forward the drawn symbol, backward as if its probabilities had crossed."""
    channel, weights = symbols().train(), torch.randn(32, 4, 8)
    logits = torch.randn(32, 4, 8, requires_grad=True)
    monkeypatch.setattr(SymbolsChannel, "_logits", lambda *_: logits)
    latents = channel.relay(utterance).latents
    assert latents is not None
    [given] = torch.autograd.grad((latents * weights).sum(), logits)
    [expected] = torch.autograd.grad((logits.softmax(-1) * weights).sum(), logits)
    torch.testing.assert_close(given, expected)


@pytest.mark.parametrize("num_tokens", [3, 8, 20])
def test_the_alphabet_begins_as_the_first_tokens_of_the_vocabulary(
    num_tokens: int, utterance: Utterance
) -> None:
    channel, vocabulary = symbols(), torch.randn(num_tokens, ENDS.embedding_width)
    before = table_of(channel).detach().clone()
    channel.calibrate(utterance, vocabulary)
    known = min(num_tokens, 8)
    assert torch.equal(table_of(channel)[:known], vocabulary[:known])
    assert torch.equal(table_of(channel)[known:], before[known:]), "what has no token stays as it was"
    assert table_of(channel).requires_grad


def test_calibration_learns_the_senders_statistics_too(utterance: Utterance) -> None:
    channel, plain = symbols(), symbols(standardize=False)
    for made in (channel, plain):
        made.calibrate(utterance, torch.randn(9, ENDS.embedding_width))
    assert channel.encoder.standardize.mean.any()
    assert not plain.encoder.standardize.mean.any()


def test_a_calibrated_alphabet_keeps_the_contract(utterance: Utterance) -> None:
    channel = symbols()
    channel.calibrate(utterance, torch.randn(9, ENDS.embedding_width))
    check_channel(channel)


@pytest.mark.parametrize(("k", "size", "bits"), [(4, 64, 24.0), (2, 8, 6.0), (1, 2, 1.0)])
def test_a_message_costs_k_times_the_log_of_the_alphabet(k: int, size: int, bits: float) -> None:
    channel = symbols(k=k, codebook_size=size)
    assert channel.message_bits(None) == bits
    assert channel.message_space.nvec.tolist() == [size] * k


def test_the_decoder_of_other_channels_is_none_of_its_business() -> None:
    symbols(decoder="identity")
