"""How many episodes: known values, and the definitions by trying every number."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley import evaluation
from parley.evaluation.power import PowerConfig
from parley.evaluation.statistics import episodes_needed, fewest_episodes, gate_power, least_successes, wilson
from parley.evaluation.statistics.sample_size import _powers

# PRIOR_ART.md section 3.
SMALLEST = [(50, 22), (100, 39), (200, 73), (400, 138)]

# (true rate, n, power): R 4.2.2, 1 - pbinom(least - 1, n, rate), least from prop.test(correct = FALSE).
PBINOM = [
    (0.4, 50, 0.3298616843),
    (0.4, 100, 0.6178123427),
    (0.4, 200, 0.8607024225),
    (0.5, 50, 0.8388818398),
    (0.5, 100, 0.9895106322),
    (0.5, 200, 0.9999543509),
]

# (true rate, smallest n from which on the power is .95, smallest n with it): all n to 420 in R, as above. The
# first are the numbers of PRIOR_ART.md section 3.
NEEDED = [(0.4, 294, 286), (0.45, 134, 126), (0.5, 76, 71)]


@pytest.mark.parametrize(("n", "least"), SMALLEST)
def test_the_least_successes_are_the_known_ones(n, least):
    assert least_successes(n, 0.3) == least_successes(n) == least


@settings(max_examples=80)
@given(n=st.integers(1, 3000), floor=st.floats(0.001, 0.999), confidence=st.sampled_from([0.5, 0.95, 0.999]))
def test_the_least_successes_are_wilson_s(n, floor, confidence):
    least = least_successes(n, floor, confidence)
    if least is None:
        assert wilson(n, n, confidence=confidence).ci_low < floor
    else:
        assert wilson(least - 1, n, confidence=confidence).ci_low < floor
        assert wilson(least, n, confidence=confidence).ci_low >= floor - 1e-12


@pytest.mark.parametrize(("true_rate", "n", "power"), PBINOM)
def test_the_power_agrees_with_r(true_rate, n, power):
    assert gate_power(true_rate, n) == pytest.approx(power, abs=1e-9)


def test_the_power_at_its_limits():
    assert gate_power(1.0, 1) == 0, "one success of one is not enough for the floor"
    assert (gate_power(1.0, 50), gate_power(0.0, 50)) == (1, 0)
    assert gate_power(0.3, 400) == pytest.approx(0.0293, abs=1e-4)


@pytest.mark.parametrize(("true_rate", "enough", "fewest"), NEEDED)
def test_the_episodes_needed_agree_with_r(true_rate, enough, fewest):
    assert episodes_needed(true_rate, 0.95) == enough
    assert fewest_episodes(true_rate, 0.95) == fewest


@settings(max_examples=10)
@given(
    floor=st.floats(0.05, 0.8),
    above=st.floats(0.1, 1),
    power=st.floats(0.05, 0.98),
    confidence=st.sampled_from([0.8, 0.95]),
)
def test_the_episodes_needed_are_found_by_trying_all(floor, above, power, confidence):
    true_rate = floor + above * (1 - floor)
    powers = _powers(np.arange(1, 12_001), true_rate, floor, confidence)
    assert powers[99] == gate_power(true_rate, 100, floor, confidence)
    assert powers[-200:].min() >= power, "the list must go on to where nothing fails any more"
    enough = episodes_needed(true_rate, power, floor, confidence)
    assert enough == max(np.flatnonzero(powers < power), default=-1) + 2
    assert fewest_episodes(true_rate, power, floor, confidence) == np.argmax(powers >= power) + 1


def test_more_episodes_than_are_of_use_raise():
    assert episodes_needed(0.4, 0.95, most=294) == 294
    assert [gate_power(0.4, n) >= 0.95 for n in (293, 286, 100)] == [False, True, False]
    for most in (293, 286, 100):
        message = f"power must be within reach of most = {most} episodes at true_rate = 0.4, got 0.95"
        for function in (episodes_needed, fewest_episodes):
            with pytest.raises(ValueError, match=message):
                function(0.4, 0.95, most=most)
    with pytest.raises(ValueError, match="power must be within reach of most = 100000 episodes"):
        episodes_needed(0.3001, 0.95)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.3, 0.95), "true_rate must be above floor = 0.3 and at most 1, got 0.3: a rate that is not above"),
        ((1.1, 0.95), "true_rate must be above floor = 0.3 and at most 1, got 1.1"),
        ((0.4, 1.0), "power must be between 0 and 1, got 1.0"),
        ((0.4, 0.9, 0.0), "floor must be between 0 and 1, got 0.0"),
        ((0.4, 0.9, 0.3, 1.0), "confidence must be between 0 and 1, got 1.0"),
        ((0.4, 0.9, 0.3, 0.95, 0), "most must be at least 1, got 0"),
    ],
)
def test_a_request_that_no_number_meets_raises(arguments, message):
    for function in (episodes_needed, fewest_episodes):
        with pytest.raises(ValueError, match=message):
            function(*arguments)


def test_bad_arguments_raise():
    for function in (lambda n, *rule: least_successes(n, *rule), lambda n, *rule: gate_power(0.4, n, *rule)):
        with pytest.raises(ValueError, match="n must be at least 1, got 0"):
            function(0)
        with pytest.raises(ValueError, match=r"floor must be between 0 and 1, got 1\.0"):
            function(50, 1.0)
        with pytest.raises(ValueError, match=r"confidence must be between 0 and 1, got 0\.0"):
            function(50, 0.3, 0.0)
    with pytest.raises(ValueError, match=r"true_rate must be from 0 to 1, got -0\.1"):
        gate_power(-0.1, 50)


def test_the_floor_and_the_confidence_are_the_gate_s():
    rule = (Path(evaluation.__file__).parent / "GATE1.md").read_text()
    floor, confidence = (
        float(re.search(rf"\| `{name}` \| (0\.\d+) \|", rule)[1]) for name in ("min_ci_low", "confidence")
    )
    assert gate_power(0.4, 50) == gate_power(0.4, 50, floor, confidence)
    assert least_successes(400) == least_successes(400, floor, confidence)
    config = PowerConfig(true_rate=0.4)
    assert (config.floor, config.confidence) == (floor, confidence)
