"""The statistics of the sender's states, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parley.channels.base import last_state
from parley.channels.codec import CodecConfig
from parley.channels.latent import ContinuousChannel
from parley.channels.standardizer import Standardizer
from parley.channels.testing import ENDS


@pytest.fixture
def calibrated() -> tuple[Standardizer, np.ndarray, np.ndarray]:
    """A standardizer, and the states (n, T, D) and mask (n, T) it was calibrated on."""
    rng = np.random.default_rng(0)
    states = rng.normal(3.0, 2.0, size=(40, 8, ENDS.state_width)).astype(np.float32)
    mask = np.arange(8) < rng.integers(1, 7, size=(40, 1))  # position 7 is never used
    states[~mask] = 1e6
    standardizer = Standardizer(ENDS)
    standardizer.calibrate(torch.from_numpy(states), torch.from_numpy(mask))
    return standardizer, states, mask


def test_statistics_are_numpys(calibrated: tuple[Standardizer, np.ndarray, np.ndarray]) -> None:
    standardizer, states, mask = calibrated
    for position in range(6):
        rows = states[mask[:, position], position].astype(np.float64)
        np.testing.assert_allclose(standardizer.mean[position], rows.mean(0), rtol=1e-5)
        np.testing.assert_allclose(standardizer.scale[position], rows.std(0), atol=0.03)


def test_unused_positions_are_left_as_they_are(
    calibrated: tuple[Standardizer, np.ndarray, np.ndarray],
) -> None:
    standardizer = calibrated[0]
    assert not standardizer.mean[7:].any()
    assert (standardizer.scale[7:] == 1).all()


def test_standardised_states_have_mean_0_and_deviation_1(
    calibrated: tuple[Standardizer, np.ndarray, np.ndarray],
) -> None:
    standardizer, states, mask = calibrated
    seen = standardizer(torch.from_numpy(states)).numpy()
    for position in range(4):
        rows = seen[mask[:, position], position]
        np.testing.assert_allclose(rows.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(rows.std(0), 1, atol=0.02)


def test_a_position_that_always_reads_the_same_stays_small() -> None:
    states = torch.randn(30, 2, ENDS.state_width)
    states[:, 0] = 5.0
    standardizer = Standardizer(ENDS)
    standardizer.calibrate(states, torch.ones(30, 2, dtype=torch.bool))
    assert standardizer(states + 1e-4)[:, 0].abs().max() < 0.1


def test_the_checkpoint_keeps_them() -> None:
    channel = ContinuousChannel(CodecConfig(), ENDS)
    assert {"encoder.standardize.mean", "encoder.standardize.scale"} <= set(channel.state_dict())


def test_alike_utterances_tell_no_deviation() -> None:
    """0 / 0 would make every message NaN."""
    standardizer = Standardizer(ENDS)
    with pytest.raises(ValueError, match="calibration needs utterances whose states differ, got 1 alike"):
        standardizer.calibrate(torch.ones(1, 3, ENDS.state_width), torch.ones(1, 3, dtype=torch.bool))


def test_too_many_tokens_are_refused() -> None:
    standardizer = Standardizer(ENDS)
    states, mask = torch.randn(2, 13, ENDS.state_width), torch.ones(2, 13, dtype=torch.bool)
    calls = [
        lambda: standardizer(states),
        lambda: standardizer.calibrate(states, mask),
        lambda: standardizer.last(states, mask),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="states must cover at most 12 tokens, got 13"):
            call()


def test_the_last_state_is_that_of_all(calibrated: tuple[Standardizer, np.ndarray, np.ndarray]) -> None:
    standardizer, states, mask = calibrated
    numbers, kept = torch.from_numpy(states), torch.from_numpy(mask)
    assert torch.equal(standardizer.last(numbers, kept), last_state(standardizer(numbers), kept))
