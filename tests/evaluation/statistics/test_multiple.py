"""Holm's adjustment against R."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.evaluation.statistics import holm

# (p, adjusted): R 4.2.2's p.adjust(p, "holm")
P_ADJUST = [
    ([0.01, 0.04, 0.03, 0.005, 0.5, 0.6], [0.05, 0.12, 0.12, 0.03, 1.0, 1.0]),
    ([0.02, 0.02, 0.9, 0.0001], [0.06, 0.06, 0.9, 0.0004]),
]


@pytest.mark.parametrize(("p_values", "adjusted"), P_ADJUST)
def test_holm_agrees_with_r(p_values, adjusted):
    found = holm(dict(enumerate(p_values)))
    assert list(found) == list(range(len(p_values)))
    assert list(found.values()) == pytest.approx(adjusted, rel=1e-12)


def test_holm_of_nothing_is_nothing():
    assert holm({}) == {}


@given(st.dictionaries(st.text(), st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_only_raises(p_values):
    found = holm(p_values)
    assert list(found) == list(p_values)
    for name, p in p_values.items():
        assert p <= found[name] <= min(1, len(p_values) * p)
        assert all(found[name] <= found[other] for other in p_values if p <= p_values[other])


@pytest.mark.parametrize("p", [math.nan, -0.1, 1.1])
def test_what_is_no_p_value_raises(p):
    with pytest.raises(ValueError, match=f"p_values must be from 0 to 1, got {p} for 'shuffle'"):
        holm({"null": 0.5, "shuffle": p})
