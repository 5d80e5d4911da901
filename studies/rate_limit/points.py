"""The points of the rate limit as they are written to rate_limit.json and read from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class RatePoint:
    """Success at one rate, from 0 to 1, with standard errors (`_se`).

    Args:
        bits: b.
        num_messages: M, as many as fit into b bits.
        upper_bound: what no code exceeds in the game on the whole world.
        best_code: of the best code found, in that game.
        best_code_se: its standard error.
        best_code_test: of the same code in episodes of the test split, which is another game: the bound
            does not hold there.
        best_code_test_se: its standard error.
        product_code: of the best code in which each attribute names a group of its values.
        product_code_se: its standard error.
        product_code_test: of that code in episodes of the test split.
        product_code_test_se: its standard error.
        product_groups: how many groups each attribute has in that code.
    """

    bits: float
    num_messages: int
    upper_bound: float
    best_code: float
    best_code_se: float
    best_code_test: float
    best_code_test_se: float
    product_code: float
    product_code_se: float
    product_code_test: float
    product_code_test_se: float
    product_groups: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class WordPoint:
    """Success of the code that names j attributes exactly.

    Args:
        num_words: j.
        groups: the number of values of each named attribute, 1 for the others.
        bits: log2 of the number of messages.
        success: from 0 to 1.
        success_se: its standard error.
    """

    num_words: int
    groups: tuple[int, ...]
    bits: float
    success: float
    success_se: float


def load_curve(path: str | Path) -> list[RatePoint]:
    """Read the curve of a rate_limit.json.

    Args:
        path: the file.

    Returns:
        Its points, bits ascending.

    Raises:
        ValueError: if the file holds no such curve.
        OSError: if it cannot be read.
    """
    path = Path(path)
    try:
        rows = json.loads(path.read_text())["curve"]
        points = [RatePoint(**{**row, "product_groups": tuple(row["product_groups"])}) for row in rows]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        names = ", ".join(field.name for field in fields(RatePoint))
        raise ValueError(f"{path} must hold a curve of points with {names}: {error}") from error
    return sorted(points, key=lambda point: point.bits)
