"""Message spaces as JSON descriptions, from which another process makes one without a channel's code."""

from __future__ import annotations

from math import inf, log2, prod
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

Description = dict[str, Any]

MOST_NUMBERS = 1 << 24  # of a space, all parts together: a description may come from anybody
MOST_CHARACTERS = 1 << 20
MOST_LEVELS = 8  # of parts within parts
DTYPES = frozenset(np.dtype(code).name for code in "bhilqBHILQefd")
WHOLE = range(-(1 << 63), 1 << 63)


def describe_space(space: Space[Any]) -> Description:
    """What is needed to make a space again, as JSON can hold it.

    Of a subclass only the fields of its gymnasium class are told. Infinite bounds become the largest numbers
    there are: no message is infinite.

    Raises:
        ValueError: if it is of another kind, or has a part that is.
    """
    match space:
        case Discrete():
            return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
        case MultiDiscrete():
            sizes = {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
            return {"kind": "MultiDiscrete", **sizes, "dtype": np.dtype(space.dtype).name}
        case MultiBinary():
            return {"kind": "MultiBinary", "shape": list(space.shape)}
        case Box():
            bounds = {"low": _bound(space, space.low), "high": _bound(space, space.high)}
            return {"kind": "Box", **bounds, "shape": list(space.shape), "dtype": np.dtype(space.dtype).name}
        case Text():
            lengths = {"min_length": int(space.min_length), "max_length": int(space.max_length)}
            return {"kind": "Text", **lengths, "charset": "".join(sorted(space.character_set))}
        case Dict():
            return {
                "kind": "Dict",
                "parts": {key: describe_space(part) for key, part in space.spaces.items()},
            }
        case Tuple():
            return {"kind": "Tuple", "parts": [describe_space(part) for part in space.spaces]}
    raise ValueError(f"message_space must be made of {', '.join(_MAKERS)}, got {type(space).__name__}")


def _bound(box: Box, bound: np.ndarray) -> Any:
    """One number where all are the same, as they nearly always are."""
    if np.dtype(box.dtype).kind == "f":
        bound = np.clip(bound, np.finfo(bound.dtype).min, np.finfo(bound.dtype).max)
    first = bound.flat[0] if bound.size else bound.dtype.type(0)
    return first.item() if (bound == first).all() else bound.tolist()


def make_space(description: Any) -> Space[Any]:
    """The plain space of a description, which is trusted in nothing.

    Raises:
        ValueError: naming what is missing, of another type or out of bounds.
    """
    return _SpaceMaker().make(description, MOST_LEVELS)


def plain_space(space: Space[Any]) -> Space[Any]:
    """The same space without whatever a subclass, or its generator, has besides.

    Raises:
        ValueError: as `describe_space` and `make_space`.
    """
    return make_space(describe_space(space))


def log2_size(space: Space[Any]) -> float:
    """Bits that name one message of a space; infinite where they are not finitely many codes."""
    match space:
        case Discrete():
            return log2(int(space.n))
        case MultiDiscrete():
            return float(np.log2(space.nvec.astype(np.float64)).sum())
        case MultiBinary():
            return float(prod(space.shape))
        case Text():  # the sum of S^length over all lengths, as powers of the longest
            lengths, size = space.max_length - space.min_length + 1, len(space.character_set)
            fewer = lengths if size == 1 else (1 - size ** -float(lengths)) / (1 - 1 / size)
            return space.max_length * log2(size) + log2(fewer)
        case Dict():
            return sum(map(log2_size, space.spaces.values()))
        case Tuple():
            return sum(map(log2_size, space.spaces))
    return inf


def exact_array(name: str, value: Any, dtype: np.dtype[Any]) -> np.ndarray:
    """A fresh plain array that holds the same numbers.

    Raises:
        ValueError: if it is no array of numbers, or `dtype` does not hold them all.
    """
    try:
        given = np.array(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from error
    if given.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be an array of numbers, got dtype {given.dtype}")
    with np.errstate(all="ignore"):  # what does not fit is found by comparing
        plain = np.array(given, dtype=dtype, order="C")
    if not np.array_equal(plain, given):
        raise ValueError(f"{name} must be numbers that {dtype} holds exactly, got {given.dtype}")
    return plain


class _SpaceMaker:
    """Makes one space, and counts its numbers."""

    def __init__(self) -> None:
        self._left = MOST_NUMBERS

    def make(self, description: Any, levels: int) -> Space[Any]:
        kind = _field(description, "kind", str)
        if kind not in _MAKERS:
            raise ValueError(f"kind must be one of {', '.join(_MAKERS)}, got {kind!r}")
        if not levels:
            raise ValueError(f"parts must be at most {MOST_LEVELS} levels deep")
        made: Space[Any] = _MAKERS[kind](self, description, levels)
        return made

    def make_discrete(self, description: Description, levels: int) -> Space[Any]:
        n, start = _field(description, "n", int), _field(description, "start", int)
        if not 1 <= n < 1 << 63 or start not in WHOLE or start + n - 1 not in WHOLE:
            raise ValueError(f"n must be at least 1 and all values 64-bit integers, got {n} from {start}")
        return Discrete(n, start=start)

    def make_multi_discrete(self, description: Description, levels: int) -> Space[Any]:
        dtype = _dtype(description, "iu")
        nvec, start = (
            exact_array(name, description.get(name), np.dtype(np.int64)) for name in ("nvec", "start")
        )
        self._count(nvec.shape)
        limits = np.iinfo(dtype)
        fits = start.shape == nvec.shape and (nvec >= 1).all() and (nvec <= limits.max).all()
        if not fits or (start < limits.min).any() or (start > limits.max - (nvec - 1)).any():
            raise ValueError(f"nvec must be at least 1, of the shape of start, and all values {dtype}")
        return MultiDiscrete(nvec, dtype=dtype.type, start=start)

    def make_multi_binary(self, description: Description, levels: int) -> Space[Any]:
        shape = self._shape(description)
        if not shape or not all(shape):
            raise ValueError(f"shape of a MultiBinary must have sides of at least 1, got {shape}")
        return MultiBinary(shape[0] if len(shape) == 1 else list(shape))

    def make_box(self, description: Description, levels: int) -> Space[Any]:
        shape, dtype = self._shape(description), _dtype(description, "iuf")
        low, high = (exact_array(name, description.get(name), dtype) for name in ("low", "high"))
        for name, bound in (("low", low), ("high", high)):
            if bound.shape not in ((), shape) or not np.isfinite(bound).all():
                raise ValueError(f"{name} must be one finite number or of shape {shape}, got {bound.shape}")
        if (low > high).any():
            raise ValueError("low must be at most high, in every number")
        return Box(np.broadcast_to(low, shape).copy(), np.broadcast_to(high, shape).copy(), shape, dtype.type)

    def make_text(self, description: Description, levels: int) -> Space[Any]:
        shortest, longest = (_field(description, name, int) for name in ("min_length", "max_length"))
        charset = _field(description, "charset", str)
        if not 0 <= shortest <= longest <= MOST_CHARACTERS or longest < 1:
            raise ValueError(
                f"min_length and max_length must be from 0 to {MOST_CHARACTERS}, got {shortest} and {longest}"
            )
        if (
            not charset
            or len(set(charset)) != len(charset)
            or any("\ud800" <= c <= "\udfff" for c in charset)
        ):
            raise ValueError("charset must be different characters, at least one, and no surrogates")
        return Text(max_length=longest, min_length=shortest, charset=charset)

    def make_dict(self, description: Description, levels: int) -> Space[Any]:
        parts = _field(description, "parts", dict)
        if not all(type(key) is str for key in parts):
            raise ValueError("parts of a Dict must be named by strings")
        return Dict({key: self.make(parts[key], levels - 1) for key in sorted(parts)})

    def make_tuple(self, description: Description, levels: int) -> Space[Any]:
        return Tuple([self.make(part, levels - 1) for part in _field(description, "parts", list)])

    def _shape(self, description: Description) -> tuple[int, ...]:
        shape = _field(description, "shape", list)
        if len(shape) > 8 or not all(type(side) is int and 0 <= side <= MOST_NUMBERS for side in shape):
            raise ValueError(f"shape must be at most 8 whole numbers from 0 to {MOST_NUMBERS}, got {shape}")
        self._count(tuple(shape))
        return tuple(shape)

    def _count(self, shape: tuple[int, ...]) -> None:
        self._left -= prod(shape)
        if self._left < 0:
            raise ValueError(
                f"a message must have at most {MOST_NUMBERS} numbers, got a part of {prod(shape)}"
            )


_MAKERS = {
    "Discrete": _SpaceMaker.make_discrete,
    "MultiDiscrete": _SpaceMaker.make_multi_discrete,
    "MultiBinary": _SpaceMaker.make_multi_binary,
    "Box": _SpaceMaker.make_box,
    "Text": _SpaceMaker.make_text,
    "Dict": _SpaceMaker.make_dict,
    "Tuple": _SpaceMaker.make_tuple,
}


def _field(description: Any, name: str, kind: type[Any]) -> Any:
    """A field of exactly this type: True is no number here."""
    value = description.get(name) if type(description) is dict else None
    if type(value) is not kind:
        raise ValueError(f"a description of a space must have {name!r}, of type {kind.__name__}")
    return value


def _dtype(description: Description, kinds: str) -> np.dtype[Any]:
    name = _field(description, "dtype", str)
    if name not in DTYPES or np.dtype(name).kind not in kinds:
        raise ValueError(f"dtype must be that of numbers of at most 64 bits, got {name!r}")
    dtype: np.dtype[Any] = np.dtype(name)
    return dtype
