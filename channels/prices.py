"""What the prices of messages must obey: of a code that undercuts it not all messages could be told apart.

Kraft's inequality (1949): of a code in which no word begins another, the sum of 2^-bits is at most 1.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

NUM_PROBES = 4096
"""Uniform messages whose prices are asked for. That an honest code charges for all of them `SLACK` bits less
than the space needs has a chance of at most 2^(-SLACK * NUM_PROBES), so 2^-40."""
SLACK = 0.01  # bits
ROUNDING = 1e-9  # of Kraft's sum


class PriceList:
    """The prices of all messages that were sent; of the messages themselves only digests are kept."""

    def __init__(self) -> None:
        self._bits: dict[bytes, float] = {}
        self._kraft_sum = 0.0  # prices so high that 2^-bits is zero add nothing that counts

    def add(self, message: bytes, bits: float) -> str | None:
        """Take a price down.

        Args:
            message: canonical bytes.
            bits: charged for it.

        Returns:
            What is wrong with it, or with all prices so far, in a sentence; None if nothing is.
        """
        if not (math.isfinite(bits) and bits >= 0):
            return f"a message costs {bits} bits; bits are finite and not negative"
        digest = hashlib.blake2b(message, digest_size=16).digest()
        if digest in self._bits:
            known = self._bits[digest]
            return None if bits == known else f"the same message costs {known:g} and {bits:g} bits"
        self._bits[digest] = bits
        self._kraft_sum += 2.0**-bits
        if self._kraft_sum <= 1 + ROUNDING:
            return None
        least = min(self._bits.values())
        return (
            f"{len(self._bits)} different messages crossed, some for {least:g} bits; no code is that short: "
            f"2^-bits add up to {self._kraft_sum:g}, and may to 1; charge for all that can be said"
        )


def underpriced(space_bits: float, bits: Iterable[float]) -> str | None:
    """Whether a channel charges less than its space needs.

    Args:
        space_bits: that name one message of the space; infinite says nothing.
        bits: prices of `NUM_PROBES` messages drawn uniformly from it; no more are taken than needed.

    Returns:
        What is wrong, in a sentence; None if nothing is.
    """
    if not math.isfinite(space_bits):
        return None
    highest = 0.0
    for price in bits:
        if price >= space_bits - SLACK:
            return None
        highest = max(highest, price)
    return (
        f"of messages drawn uniformly none costs more than {highest:g} bits, and it takes {space_bits:g} to "
        "name one of the space; charge for all that can be said"
    )
