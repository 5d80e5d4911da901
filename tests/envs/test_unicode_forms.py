"""Referents that are written differently and read the same are refused, both named."""

import re

import pytest

from parley.envs.listed_world import ListedWorld
from parley.envs.unicode_forms import first_repeat
from parley.envs.world import Attribute, World
from parley.envs.world_file import read_world

SAME = {
    "NFC and NFD": ("café au lait", "cafe\u0301 au lait"),
    "full width": ("\uff21 1", "A 1"),
    "ligature": ("of\ufb01ce", "office"),
    "no-break space": ("red\u00a0cube", "red cube"),
    "two blanks": ("red  cube", "red cube"),
    "angstrom": ("\u212b", "\u00c5"),
    "jamo": ("\u1112\u1161\u11ab", "\ud55c"),
}
each_pair = pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
OTHERS = tuple(f"other {number}" for number in range(9))


@each_pair
def test_the_first_two_that_read_the_same_are_named(one, other):
    assert first_repeat([*OTHERS, one, other, one]) == (10, 11, f"{one!a} and {other!a}")


def test_what_reads_differently_is_left_alone():
    assert first_repeat(["a", "A", "á", "à", "x 2", "x2", "straße", "strasse", "a b", "ab"]) is None


@each_pair
def test_a_file_of_such_referents_is_refused(one, other, tmp_path):
    path = tmp_path / "same.jsonl"
    path.write_text("".join(f'{{"text": "{text}"}}\n' for text in (one, *OTHERS, other)), encoding="utf-8")
    words = f"{path}, line 11: the referent reads the same as that of line 1: {one!a} and {other!a}"
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        read_world(path)


@each_pair
def test_a_list_of_such_referents_is_refused(one, other):
    words = re.escape(f"referents 1 and 11 read the same: {one!a} and {other!a}")
    with pytest.raises(ValueError, match=f"^{words}$"):
        ListedWorld.of("same", ("text",), [(text,) for text in (one, *OTHERS, other)])


@each_pair
def test_values_of_a_world_of_combinations_are_refused(one, other):
    attributes = (Attribute(name="x", values=OTHERS), Attribute(name="y", values=(one, other)))
    words = re.escape(f"values of 'y' that read differently, got {one!a} and {other!a}")
    with pytest.raises(ValueError, match=f"^world 'same' must have {words}$"):
        World(name="same", attributes=attributes)


def test_different_values_may_not_make_the_same_referent():
    values = (("dark", "dark blue"), ("blue green", "green"), OTHERS)
    attributes = tuple(Attribute(name=str(number), values=each) for number, each in enumerate(values))
    with pytest.raises(ValueError, match="referents that read differently, got 'dark blue green other"):
        World(name="same", attributes=attributes)
