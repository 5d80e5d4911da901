"""Prices: every kind that no code could have is noticed, and honest ones are not."""

from __future__ import annotations

import itertools
from math import inf, log2, nan

import numpy as np
import pytest

from parley.channels.prices import NUM_PROBES, PriceList, underpriced


def total(prices: dict[bytes, float]) -> str | None:
    ledger = PriceList()
    found = [ledger.add(message, bits) for message, bits in prices.items()]
    assert found[:-1] == [None] * (len(found) - 1)
    return found[-1]


def test_a_full_code_is_honest() -> None:
    assert total({bytes([n]): log2(5) for n in range(5)}) is None
    assert total({bytes([n]): n + 1.0 for n in range(200)}) is None
    assert total({n.to_bytes(2, "little"): 12.0 for n in range(4096)}) is None
    assert total({n.to_bytes(2, "little"): 262144.0 for n in range(500)}) is None
    assert total({b"": 0.0}) is None


def test_one_message_more_than_the_code_holds_is_noticed() -> None:
    lesson = (
        "6 different messages crossed, some for 2.32193 bits; no code is that short: 2^-bits add up to 1.2"
    )
    assert str(total({bytes([n]): log2(5) for n in range(6)})).startswith(lesson)
    assert total({b"a": 0.0, b"b": 40.0 - 12}) is not None


def test_the_same_message_costs_the_same() -> None:
    ledger = PriceList()
    assert ledger.add(b"a", 1.0) is None
    assert ledger.add(b"a", 1.0) is None
    assert ledger.add(b"b", 1.0) is None, "what was sent twice counts once"
    assert ledger.add(b"a", 1.5) == "the same message costs 1 and 1.5 bits"


@pytest.mark.parametrize("bits", [inf, nan, -1.0, -inf])
def test_prices_are_finite_and_not_negative(bits: float) -> None:
    assert PriceList().add(b"a", bits) == f"a message costs {bits} bits; bits are finite and not negative"


def test_the_ledger_keeps_no_messages() -> None:
    ledger = PriceList()
    ledger.add(bytes(1 << 20), 8.0)
    assert sum(map(len, vars(ledger)["_bits"])) == 16


def test_a_space_must_be_paid_for() -> None:
    lesson = "of messages drawn uniformly none costs more than 23.9 bits, and it takes 24 to"
    assert str(underpriced(24.0, [23.9] * NUM_PROBES)).startswith(lesson)
    assert underpriced(24.0, [23.9, 24.0]) is None
    assert underpriced(24.0, [23.995]) is None, "a rounding"
    assert underpriced(inf, [0.0]) is None
    assert underpriced(0.0, [0.0]) is None
    assert underpriced(24.0, itertools.repeat(24.0)) is None, "no more are taken than needed"


def test_a_code_with_short_words_for_some_is_honest() -> None:
    """Half of 256 messages in 7.5 bits, the others in 8.77 and so less often: Kraft's sum is 1."""
    rng = np.random.default_rng(0)
    long = -log2((1 - 128 * 2**-7.5) / 128)
    assert underpriced(8.0, (7.5 if code < 128 else long for code in rng.integers(256, size=99))) is None
