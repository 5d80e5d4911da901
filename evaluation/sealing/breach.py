"""A promise that a judged channel broke: it makes the channel invalid, not the program crash."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 500
"""Characters of a sentence that are shown: it may hold what a channel wrote."""


class Breach(RuntimeError):  # noqa: N818 - not an error of the program's
    """What a channel did that no judged channel may.

    Args:
        promise: short and stable, such as `messages_in_space`.
        sentence: what happened; it becomes one line that every console can show.
    """

    def __init__(self, promise: str, sentence: str) -> None:
        promise = promise if re.fullmatch("[a-z_]{1,40}", promise) else "runs"
        shown = printable(sentence[: LONGEST + 1])
        sentence = shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
        super().__init__(f"{promise}: {sentence}")
        self.promise, self.sentence = promise, sentence


def printable(text: str) -> str:
    """One line that every console can show: it may be what a channel wrote."""
    return "".join(c if c.isprintable() else " " for c in text)


@contextmanager
def keeps(promise: str, but: type[Exception] = Breach) -> Iterator[None]:
    """Turn whatever goes wrong in a channel's code, or in what it handed over, into a breach.

    Args:
        promise: that is kept if nothing goes wrong.
        but: what is raised as it is.
    """
    try:
        yield
    except (Breach, but):
        raise
    except (Exception, SystemExit) as error:  # a channel may not end the program either
        raise Breach(promise, f"{type(error).__name__}: {' '.join(str(error).split())}") from error
