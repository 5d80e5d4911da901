"""The error for a name that is not registered."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(kind: str, name: str, known: Iterable[str], remark: str = "") -> ValueError:
    """The error for an unknown name: it suggests the nearest and lists the valid ones.

    Args:
        kind: what should have been named, in the singular.
        name: the name that was given.
        known: the valid names; there may be none.
        remark: what else to say, at the end.
    """
    names = list(known)
    nearest = get_close_matches(name, names, n=1)
    hint = f", did you mean {nearest[0]!r}?" if nearest else "."
    listed = f"The {kind}s are: {', '.join(names)}" if names else f"There is no {kind} at all"
    return ValueError(f"unknown {kind} {name!r}{hint} {listed}{remark}")
