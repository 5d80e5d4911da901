"""Whether a message is in its space is what the space says, however it comes."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple
from hypothesis import given
from hypothesis import strategies as st

from parley.envs.message import contains, empty_message, own_copy

CODES = MultiDiscrete([3, 5], start=[-2, 4])


@given(
    numbers=st.lists(st.integers(-4, 10), min_size=2, max_size=2),
    dtype=st.sampled_from([np.int64, np.int32, np.uint8, np.float64]),
    shape=st.sampled_from([(2,), (1, 2), (2, 1)]),
)
def test_codes_are_in_where_the_space_holds_them(numbers, dtype, shape):
    message = np.array(numbers).astype(dtype).reshape(shape)
    assert contains(CODES, message) == CODES.contains(message)


@pytest.mark.parametrize(
    ("space", "message", "inside"),
    [
        (CODES, np.array([-2, 4]), True),
        (CODES, np.array([0, 8]), True),
        (CODES, np.array([-3, 4]), False),
        (CODES, np.array([0, 9]), False),
        (CODES, np.array([[-2, 4]]), False),
        (CODES, [-2, 8], True),
        (CODES, [-3, 8], False),
        (CODES, "no codes", False),
        (MultiDiscrete([127], dtype=np.int8), np.array([-128], np.int8), False),
        (MultiDiscrete([27], dtype=np.int8, start=[101]), np.array([127], np.int8), True),
        (Discrete(3), 2, True),
        (Discrete(3), 3, False),
        (Discrete(3), -1, False),
        (Discrete(3, start=5), np.int64(7), True),
        (Discrete(3, start=5), np.int64(8), False),
        (Discrete(3, start=5), 4, False),
        (Discrete(3), 1.0, False),
        (Discrete(3), np.array(1), True),
        (Box(0.0, 1.0, (2,), np.float32), np.array([0.5, 2.0], np.float32), False),
        (Text(3, charset="ab"), "ab", True),
        (Text(3, charset="ab"), "ac", False),
    ],
)
def test_a_message_is_in_or_out(space, message, inside):
    assert contains(space, message) is inside


def test_a_message_of_parts_is_empty_and_copied_part_by_part():
    space = Dict(word=Text(3, min_length=1, charset="ab"), rest=Tuple([MultiBinary(2), Discrete(2, start=4)]))
    empty = empty_message(space)
    assert empty["word"] in ("a", "b")
    np.testing.assert_array_equal(empty["rest"][0], [0, 0])
    assert empty["rest"][1] == 4
    sent = {"word": "ba", "rest": (np.ones(2, np.int8), 5)}
    copied = own_copy(space, sent)
    assert space.contains(copied)
    assert copied["word"] == "ba"
    assert not np.shares_memory(copied["rest"][0], sent["rest"][0])
