"""Many tests at once: p-values adjusted so that not even one false discovery is likely."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def holm(p_values: Mapping[K, float]) -> dict[K, float]:
    """Adjust p-values by Holm's step-down procedure.

    The chance that any true hypothesis has an adjusted p below alpha is at most alpha, however the tests
    depend on one another. The smallest of m is multiplied by m, the next by m - 1, and so on; none ends below
    a smaller one's adjusted value, or above 1.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.

    Args:
        p_values: each from 0 to 1, by the name of its test.

    Returns:
        The adjusted p-values under the same names, in the order given; empty if none is given.

    Raises:
        ValueError: if a p-value is not from 0 to 1; NaN is none.
    """
    for name, p in p_values.items():
        if not 0 <= p <= 1:
            raise ValueError(f"p_values must be from 0 to 1, got {p} for {name!r}")
    adjusted: dict[K, float] = {}
    highest = 0.0
    for step, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        highest = max(highest, min((len(p_values) - step) * p_values[name], 1.0))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}
