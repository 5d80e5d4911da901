"""A promise that a judged channel broke: it makes the channel invalid, not the program crash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Breach(RuntimeError):  # noqa: N818 - not an error of the program's
    """What a channel did that no judged channel may.

    Args:
        promise: short and stable, such as `messages_in_space`.
        sentence: what happened.
    """

    def __init__(self, promise: str, sentence: str) -> None:
        super().__init__(f"{promise}: {sentence}")
        self.promise, self.sentence = promise, sentence


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
