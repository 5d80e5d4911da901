"""Messages as bytes: one byte string a message, and nothing crosses that is not the message."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Text, Tuple

from parley.channels.canonical import decode, describe_space, encode, log2_size, make_space, plain_space

SPACES = [
    Discrete(5, start=-2),
    MultiDiscrete([3, 4]),
    MultiDiscrete(np.array([[3, 4], [5, 6]]), dtype=np.int8, start=[[0, -1], [2, 7]]),
    MultiBinary(3),
    MultiBinary([2, 3]),
    Box(-1, 1, (2, 3), np.float32),
    Box(np.array([0, 1.0]), np.array([2, 3.0]), dtype=np.float64),
    Box(0, 255, (2, 2), np.uint8),
    Box(-(2**63), 2**63 - 1, (2,), np.int64),
    Box(0, 1, (), np.float16),
    Box(-1, 1, (0, 3), np.float32),
    Text(5, charset="ab é☂", min_length=0),
    Dict({"b": Discrete(3), "a": Tuple([Text(3), Box(-1, 1, (2,))])}),
    Tuple([MultiBinary(2), Discrete(2), MultiDiscrete([2, 8])]),
]
BITS = [
    np.log2(5),
    np.log2(12),
    np.log2(360),
    3,
    6,
    *[np.inf] * 6,
    np.log2((5**6 - 1) / 4),
    np.inf,
    2 + 1 + 4,
]


def same(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(np.array_equal(first, second))


@pytest.mark.parametrize(("space", "bits"), list(zip(SPACES, BITS, strict=True)), ids=str)
def test_a_space_and_its_messages_survive_the_wire(space: Any, bits: float) -> None:
    made = make_space(json.loads(json.dumps(describe_space(space), allow_nan=False)))
    assert made == space
    assert log2_size(made) == pytest.approx(bits)
    space.seed(0)
    for _ in range(10):
        message = space.sample()
        data = encode(made, message)
        arrived = decode(made, data)
        assert type(data) is bytes
        assert space.contains(arrived)
        assert same(arrived, message)
        assert encode(made, arrived) == data
        for wrong in (data[:-1], data + b"\0", b""):
            if wrong != data:
                with pytest.raises(ValueError, match="data must be the bytes of a message of"):
                    decode(made, wrong)


def test_an_infinite_box_is_described_by_the_largest_numbers() -> None:
    made = plain_space(Box(-np.inf, np.inf, (2,), np.float32))
    largest = np.full(2, np.finfo(np.float32).max)
    assert np.array_equal(decode(made, encode(made, largest)), largest)
    for number in (np.inf, np.nan):
        with pytest.raises(ValueError, match="message must"):
            encode(made, np.full(2, number, np.float32))


class Loud(str):
    """More than its characters: another length, another content."""

    secret = "the target is the third"

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Any:
        return iter("xyz")

    def encode(self, *_: Any) -> bytes:  # type: ignore[override]
        return b"xyz"


class Marked(np.ndarray):
    secret: str


def test_what_is_smuggled_is_lost() -> None:
    text = decode(Text(5), encode(Text(5), Loud("ab")))
    assert type(text) is str
    assert text == "ab"

    box = Box(-1, 1, (2, 3), np.float32)
    large = np.arange(100, dtype=np.float32).reshape(10, 10) / 100
    marked = large[2:4, 1:4].view(Marked)
    marked.secret = "third"
    marked.flags.writeable = False
    for sent in (marked, np.asfortranarray(large[2:4, 1:4]), large[2:4, 1:4].tolist()):
        arrived = decode(box, encode(box, np.asarray(sent, np.float32) if isinstance(sent, list) else sent))
        assert type(arrived) is np.ndarray
        assert arrived.base is None
        assert arrived.flags.owndata
        assert arrived.flags.c_contiguous
        assert arrived.flags.writeable
        assert np.array_equal(arrived, large[2:4, 1:4])

    class Place(int):
        secret = 3

    code = decode(Discrete(5), encode(Discrete(5), Place(2)))
    assert type(code) is int
    assert encode(Discrete(2), True) == encode(Discrete(2), np.int8(1)) == encode(Discrete(2), 1)


def test_a_zero_has_no_sign() -> None:
    box = Box(-1, 1, (2,), np.float32)
    data = encode(box, np.array([-0.0, 0.0], np.float32))
    assert data == bytes(8)
    with pytest.raises(ValueError, match="another byte string is the canonical"):
        decode(box, np.array([-0.0, 0.0], np.float32).tobytes())


@pytest.mark.parametrize(
    ("space", "data"),
    [
        (Text(5, charset="aé"), b"\1\0\0\0b"),
        (Text(5, charset="aé"), b"\2\0\0\0\xc0\xe1"),  # an overlong spelling of "a"
        (Text(5, charset="aé"), b"\6\0\0\0aaaaaa"),
        (Discrete(5), (7).to_bytes(8, "little")),
        (MultiDiscrete([2, 2]), (2).to_bytes(8, "little") * 2),
        (MultiBinary(2), b"\1\2"),
        (Box(-1, 1, (1,), np.float32), np.array([np.nan], np.float32).tobytes()),
        (Box(-1, 1, (1,), np.float32), np.array([1.5], np.float32).tobytes()),
    ],
)
def test_bytes_of_no_message_are_refused(space: Any, data: bytes) -> None:
    with pytest.raises(ValueError, match="data must be the bytes of a message of"):
        decode(plain_space(space), data)


@pytest.mark.parametrize(
    ("space", "message", "lesson"),
    [
        (Discrete(5), 5, "message must be from 0 to 4, got 5"),
        (Discrete(5), 1.0, "message must be an integer, got float"),
        (MultiDiscrete([2, 2]), np.array([0, 2]), "within the bounds"),
        (MultiDiscrete([2, 2]), np.array([0, 0.5]), "int64 holds exactly, got float64"),
        (MultiDiscrete([2, 2]), np.array([0]), r"shape \(2,\), got \(1,\)"),
        (MultiDiscrete([2, 2]), np.array([0, None]), "array of numbers, got dtype object"),
        (MultiDiscrete([2, 2]), [[0], [0, 1]], "message must be an array of numbers"),
        (MultiBinary(2), np.array([0, 2]), "within the bounds"),
        (Box(-1, 1, (1,), np.float32), np.array([1.0 + 1e-6], np.float32), "within the bounds"),
        (Box(-1, 1, (1,), np.float32), np.array([0.1]), "float32 holds exactly, got float64"),
        (Box(-1, 1, (1,), np.float32), np.array([np.nan], np.float32), "float32 holds exactly"),
        (Text(3, charset="ab"), "abc", "characters of its space alone, got 'c'"),
        (Text(3, charset="ab"), "\ud800", "characters of its space alone"),
        (Text(3, charset="ab"), "abab", "1 to 3 characters, got 4"),
        (Text(3, charset="ab"), b"ab", "message must be text, got bytes"),
        (Dict({"a": Discrete(2)}), {"a": 1, "b": 1}, r"the parts of its space, \['a'\]"),
        (Tuple([Discrete(2)]), (1, 1), r"the parts of its space, \[0\]"),
    ],
)
def test_what_is_no_message_has_no_bytes(space: Any, message: Any, lesson: str) -> None:
    with pytest.raises(ValueError, match=lesson):
        encode(plain_space(space), message)


class Narrow(MultiDiscrete):
    def sample(self, *_: Any) -> Any:
        return np.array([1, 1])


def test_of_a_subclass_only_the_plain_space_is_left() -> None:
    plain = plain_space(Narrow([2, 3]))
    assert type(plain) is MultiDiscrete
    assert plain == MultiDiscrete([2, 3])


def test_other_spaces_are_refused_by_name() -> None:
    graph = Graph(node_space=Discrete(2), edge_space=None)
    for space in (graph, Tuple([graph])):
        with pytest.raises(
            ValueError, match=r"message_space must be made of Discrete, MultiDiscrete.*got Graph"
        ):
            describe_space(space)


DEEP: Any = {"kind": "Discrete", "n": 2, "start": 0}
for _ in range(9):
    DEEP = {"kind": "Tuple", "parts": [DEEP]}
BOX = {"kind": "Box", "low": -1.0, "high": 1.0, "shape": [2], "dtype": "float32"}
CODES = {"kind": "MultiDiscrete", "nvec": [2, 2], "start": [0, 0], "dtype": "int8"}
TEXT = {"kind": "Text", "min_length": 0, "max_length": 5, "charset": "ab"}


@pytest.mark.parametrize(
    ("description", "lesson"),
    [
        ([], "must have 'kind', of type str"),
        ({"kind": "Graph"}, "kind must be one of Discrete, .*, got 'Graph'"),
        ({"kind": "Discrete", "n": 0, "start": 0}, "n must be at least 1"),
        ({"kind": "Discrete", "n": True, "start": 0}, "must have 'n', of type int"),
        ({"kind": "Discrete", "n": 2, "start": 2**63 - 1}, "all values 64-bit integers"),
        ({"kind": "MultiBinary", "shape": [2, 0]}, "sides of at least 1"),
        ({"kind": "MultiBinary", "shape": [1 << 13, 1 << 13]}, "at most 16777216 numbers, got a part of"),
        ({"kind": "MultiBinary", "shape": [-1]}, "shape must be at most 8 whole numbers from 0"),
        ({"kind": "Tuple", "parts": [{"kind": "MultiBinary", "shape": [1 << 23]}] * 3}, "at most 16777216"),
        ({**BOX, "dtype": "object"}, "dtype must be that of numbers of at most 64 bits, got 'object'"),
        ({**BOX, "low": float("nan")}, "low must be numbers that float32 holds exactly"),
        ({**BOX, "high": float("inf")}, "high must be one finite number or of shape"),
        ({**BOX, "low": [0.0] * 3}, r"low must be one finite number or of shape \(2,\), got \(3,\)"),
        ({**BOX, "low": 1.5}, "low must be at most high"),
        ({**BOX, "low": "1"}, "low must be an array of numbers"),
        ({**CODES, "nvec": [2, 0]}, "nvec must be at least 1"),
        ({**CODES, "nvec": [2, 200]}, "all values int8"),
        ({**CODES, "start": [0, 127]}, "all values int8"),
        ({**CODES, "start": [0]}, "of the shape of start"),
        ({**CODES, "dtype": "float32"}, "dtype must be that of numbers"),
        ({**TEXT, "max_length": 1 << 30}, "min_length and max_length must be from 0 to 1048576"),
        ({**TEXT, "min_length": 6}, "min_length and max_length"),
        ({**TEXT, "charset": "aa"}, "charset must be different characters"),
        ({**TEXT, "charset": "\ud800"}, "no surrogates"),
        ({"kind": "Dict", "parts": {1: TEXT}}, "parts of a Dict must be named by strings"),
        (DEEP, "parts must be at most 8 levels deep"),
    ],
)
def test_a_description_is_trusted_in_nothing(description: Any, lesson: str) -> None:
    with pytest.raises(ValueError, match=lesson):
        make_space(description)


def test_no_tensors_are_needed() -> None:
    program = "import parley.channels.canonical, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
