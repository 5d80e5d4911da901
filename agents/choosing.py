"""From the scores of the choices to a choice: the highest, and among equal ones by lot, never by position."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor


def pick(logits: Float[Tensor, "B N"], rng_of: Callable[[int], np.random.Generator]) -> Int[np.ndarray, " B"]:
    """Pick the highest of N scores in each of B rows.

    A readout of low precision, or one that is not moved by the message, gives equal scores; the first of them
    is then no better an answer than the last, and to always take it would favour a position.

    Args:
        logits: the scores.
        rng_of: the generator of a row, asked for only where several scores are the highest. It must not
            depend on what was played before, so that a run that resumes picks the same.

    Returns:
        Indices, 0 to N - 1.
    """
    scores = logits.detach().double().cpu().numpy()
    choices: np.ndarray = scores.argmax(axis=1)
    highest = scores == scores.max(axis=1, keepdims=True)
    for row in np.flatnonzero(highest.sum(axis=1) > 1).tolist():
        choices[row] = rng_of(row).choice(np.flatnonzero(highest[row]))
    return choices
