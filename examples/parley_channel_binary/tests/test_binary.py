"""The channel keeps every promise, and the objective says what it should."""

from types import SimpleNamespace

import pytest
import torch
from parley_channel_binary.balance import Balance
from parley_channel_binary.binary import BinaryChannel, BinaryConfig

from parley.channels.registry import channel_class
from parley.channels.testing import ENDS, check_channel
from parley.envs.world import objects_world


def test_it_is_known_by_name():
    assert channel_class("binary") is BinaryChannel


@pytest.mark.parametrize("seed", [0, 1])
def test_it_keeps_the_contract(seed):
    check_channel("binary", seed)


def test_a_bit_is_a_bit():
    channel = BinaryChannel(BinaryConfig(k=3, bits_per_slot=5), ENDS)
    assert channel.message_bits(channel.message_space.sample()) == 15


def test_there_is_no_slot_without_bits():
    with pytest.raises(ValueError, match="bits_per_slot must be from 1 to 64, got 0"):
        BinaryConfig(bits_per_slot=0)


@pytest.mark.parametrize(
    ("signs", "value"), [([1.0, -1.0], 0.0), ([1.0, 1.0], 1.0), ([1.0, 1.0, 1.0, -1.0], 0.25)]
)
def test_balance_is_the_square_of_a_bit_s_mean(signs, value):
    objective = Balance(Balance.Config(), BinaryChannel(BinaryConfig(), ENDS), objects_world())
    batch = SimpleNamespace(latents=torch.tensor(signs)[:, None, None])
    assert objective(batch).item() == value
