"""Messages as bytes: every message of a space has exactly one byte string, which holds that message alone.

Whatever else came along (memory around a view, attributes of a subclass, the sign of a zero) is lost.
Spaces are plain ones, as `make_space` makes them.
"""

from __future__ import annotations

import operator
import struct
from math import prod
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from parley.channels.spaces import Description as Description
from parley.channels.spaces import describe_space as describe_space
from parley.channels.spaces import exact_array
from parley.channels.spaces import log2_size as log2_size
from parley.channels.spaces import make_space as make_space
from parley.channels.spaces import plain_space as plain_space

Message = Any  # an element of a channel's message_space
_LENGTH, _CODE = struct.Struct("<I"), struct.Struct("<q")


def encode(space: Space[Any], message: Message) -> bytes:
    """The byte string of a message.

    Raises:
        ValueError: if the message is not in the space, or not finite.
    """
    match space:
        case Discrete():
            return _CODE.pack(_code(space, message))
        case MultiDiscrete() | MultiBinary() | Box():
            return _array(space, message).astype(np.dtype(space.dtype).newbyteorder("<")).tobytes()
        case Text():
            text = _text(space, message).encode()
            return _LENGTH.pack(len(text)) + text
        case Dict() | Tuple():
            whole = _whole(space, message)
            return b"".join(encode(part, whole[key]) for key, part in _parts(space))
    raise ValueError(f"space must be a plain one, got {type(space).__name__}")


def decode(space: Space[Any], data: bytes) -> Message:
    """The message of a byte string: plain, and its arrays fresh, writable and all their own.

    Returns:
        An int, a str, an array of the space's dtype, or a dict or tuple of them.

    Raises:
        ValueError: if no message of the space has these bytes.
    """
    try:
        message, _ = _read(space, data)
        canonical = encode(space, message) == data
    except (ValueError, struct.error) as error:
        raise ValueError(f"data must be the bytes of a message of {space}: {error}") from error
    if not canonical:
        raise ValueError(
            f"data must be the bytes of a message of {space}: another byte string is the canonical"
        )
    return message


def _read(space: Space[Any], data: bytes) -> tuple[Message, bytes]:
    """The message that begins the bytes, and what follows it."""
    match space:
        case Discrete():
            return _CODE.unpack(data[: _CODE.size])[0], data[_CODE.size :]
        case MultiDiscrete() | MultiBinary() | Box():
            dtype = np.dtype(space.dtype)
            array, size = np.empty(space.shape, dtype), prod(space.shape) * dtype.itemsize
            array[...] = np.frombuffer(data[:size], dtype.newbyteorder("<")).reshape(space.shape)
            return array, data[size:]
        case Text():
            (size,) = _LENGTH.unpack(data[: _LENGTH.size])
            end = _LENGTH.size + size
            return data[_LENGTH.size : end].decode(), data[end:]
    read: dict[Any, Message] = {}
    for key, part in _parts(space):
        read[key], data = _read(part, data)
    return (read if isinstance(space, Dict) else tuple(read.values())), data


def _code(space: Discrete, message: Message) -> int:
    try:
        code = int(operator.index(message))
    except TypeError as error:
        raise ValueError(f"message must be an integer, got {type(message).__name__}") from error
    first, last = int(space.start), int(space.start) + int(space.n) - 1
    if not first <= code <= last:
        raise ValueError(f"message must be from {first} to {last}, got {code}")
    return code


def _array(space: MultiDiscrete | MultiBinary | Box, message: Message) -> np.ndarray:
    """The numbers as a plain array, without minus zeros."""
    plain = exact_array("message", message, np.dtype(space.dtype))
    if plain.shape != space.shape:
        raise ValueError(f"message must have shape {space.shape}, got {plain.shape}")
    low, high = limits(space)
    if not ((low <= plain) & (plain <= high)).all():
        raise ValueError("message must have numbers within the bounds of its space")
    plain += plain.dtype.type(0)
    return plain


def limits(space: MultiDiscrete | MultiBinary | Box) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest value of every number."""
    match space:
        case Box():
            return space.low, space.high
        case MultiDiscrete():
            return space.start, space.start + (space.nvec - 1)
    return np.zeros(space.shape, np.int8), np.ones(space.shape, np.int8)


def _text(space: Text, message: Message) -> str:
    if not isinstance(message, str):
        raise ValueError(f"message must be text, got {type(message).__name__}")
    # str's own methods: those of a subclass could answer otherwise
    plain = str.encode(message, "utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
    if not space.min_length <= len(plain) <= space.max_length:
        raise ValueError(
            f"message must have {space.min_length} to {space.max_length} characters, got {len(plain)}"
        )
    if strange := set(plain) - space.character_set:
        raise ValueError(f"message must have characters of its space alone, got {min(strange)!r}")
    return plain


def _whole(space: Any, message: Message) -> Any:
    """A message of parts, once it is known to have those of the space."""
    if isinstance(space, Dict):
        fits = isinstance(message, dict) and message.keys() == space.spaces.keys()
    else:
        fits = isinstance(message, tuple | list) and len(message) == len(space.spaces)
    if not fits:
        raise ValueError(f"message must have the parts of its space, {[key for key, _ in _parts(space)]}")
    return message


def _parts(space: Any) -> list[tuple[Any, Space[Any]]]:
    """The parts of a Dict by name, or of a Tuple by number, in their order on the wire."""
    return sorted(space.spaces.items()) if isinstance(space, Dict) else list(enumerate(space.spaces))
