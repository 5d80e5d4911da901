"""Communication-matters, both ways, and the transmitted bits, from records to results.json."""

from dataclasses import replace

import numpy as np
import pytest
from recorded import outcomes, run

from parley.evaluation.results import build_results
from studies.simulated import CHANNEL, Truth, records_of, simulate


def reordered(successes, n, *, first_wins=0):
    """Silence with the candidates in another order: the targets stand elsewhere."""
    for record in outcomes("silence", "reordered", successes, n, first_wins=first_wins):
        target = (record.target + 2) % 5
        yield replace(record, target=target, choice=target if record.success else (target + 1) % 5)


def matters(records):
    return build_results(records, {})["communication_matters"]["latent_vq"]


def test_cross_fitted_selects_on_one_order_and_scores_on_the_other():
    """Silence fails in 60..99 of the other order; in the common one it succeeds in 0..69, normal in 0..89."""
    records = [*run(100, normal=90, p0=70), *reordered(60, 100)]
    found = matters(records)
    assert (found["cross_fitted"]["successes"], found["cross_fitted"]["n"]) == (30, 40)
    assert (found["cross_fitted_silence"]["successes"], found["cross_fitted_silence"]["n"]) == (10, 40)
    assert (found["conditioned"]["successes"], found["conditioned"]["n"]) == (20, 30)


def test_without_another_order_there_is_no_cross_fit():
    found = matters(run(100, normal=90, p0=70))
    assert found["cross_fitted"] is None
    assert found["cross_fitted_silence"] is None
    assert matters([*run(100, normal=90, p0=70), *reordered(100, 100)])["cross_fitted"] is None, (
        "never failed"
    )


def test_another_order_is_no_fault_of_the_environment():
    records = [*run(100, normal=90, p0=20), *reordered(20, 100)]
    results = build_results(records, {"episodes": 100})
    assert results["validity"]["criteria"][0]["passed"] is not False
    assert "reordered" not in results["channels"]["silence"]["conditions"]


def transmitted(truth, n=400, **changed):
    records = records_of(simulate(truth, n, np.random.default_rng(0)), 5)
    records = [replace(record, **changed) if record.channel == CHANNEL else record for record in records]
    return build_results(records, {})["channels"][CHANNEL]["information"]


def test_bits_of_a_perfect_channel_are_log_n():
    found = transmitted(Truth.of_success(1.0))
    assert found["ceiling_bits"] == pytest.approx(np.log2(5))
    assert found["bits"] == pytest.approx(np.log2(5), abs=0.02)
    assert found["efficiency"] == pytest.approx(found["bits"] / 24)
    assert 2.1 < found["at_least_bits"] < found["ceiling_bits"]


def test_bits_of_a_useless_channel_are_none():
    found = transmitted(Truth())
    assert found["at_least_bits"] < 0.01
    assert found["bits"] < 0.03
    assert found["ci_low"] == 0


def test_bits_of_half_understood_lie_where_theory_puts_them():
    """Right in 60% and otherwise anywhere: log2 5 - h(.4) - .4 log2 4 bits."""
    truth = np.log2(5) + 0.4 * np.log2(0.4) + 0.6 * np.log2(0.6) - 0.4 * 2
    found = transmitted(Truth.of_success(0.6), n=2000)
    assert found["bits"] == pytest.approx(truth, abs=0.08)
    assert found["ci_low"] < truth < found["ci_high"]
    assert found["at_least_bits"] < truth


def test_no_more_bits_are_transmitted_than_are_charged():
    found = transmitted(Truth.of_success(1.0), bits=1.0)
    assert found["ceiling_bits"] == found["bits"] == found["ci_high"] == 1.0
    assert found["at_least_bits"] == 1.0


def test_what_is_not_recorded_is_not_estimated():
    found = transmitted(Truth.of_success(0.8), choice=None)
    assert found["bits"] is None
    assert found["efficiency"] is None
    assert found["at_least_bits"] > 0.5
