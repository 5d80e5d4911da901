"""Where the seconds go: calls of some methods are timed while other work runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from time import perf_counter
from types import ModuleType
from typing import Any

Method = tuple[type | ModuleType, str]


@contextmanager
def seconds_of(parts: Mapping[str, Sequence[Method]]) -> Iterator[dict[str, float]]:
    """Add up the seconds that methods and functions take inside the block.

    A call that is made within another one of the parts counts for the outer alone, so the parts never add up
    to more than the whole. On a device that returns before it is done the seconds are of the calls alone.

    Args:
        parts: classes and the names of their methods, or modules and the names of functions that they call
            themselves, by the part of the work that they belong to.

    Yields:
        Seconds by part, all 0 at first.
    """
    seconds = dict.fromkeys(parts, 0.0)
    inside: list[str] = []

    def watched(part: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            if inside:
                return method(*arguments, **named)
            inside.append(part)
            began = perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                seconds[part] += perf_counter() - began
                inside.pop()

        return call

    found = [(kind, name, vars(kind)[name]) for methods in parts.values() for kind, name in methods]
    for part, methods in parts.items():
        for kind, name in methods:
            setattr(kind, name, watched(part, vars(kind)[name]))
    try:
        yield seconds
    finally:
        for kind, name, method in found:
            setattr(kind, name, method)
