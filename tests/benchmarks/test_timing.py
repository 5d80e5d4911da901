"""Work is timed in turns, and compared by the medians of ratios."""

import pytest
import torch

from benchmarks.timing import alternate, exponent, machine, ratio, spread


def test_works_are_done_in_turns_after_the_warmups():
    done, told = [], []
    works = {name: lambda name=name: done.append(name) for name in "ab"}
    seconds = alternate(works, repeats=5, warmups=2, tell=lambda *said: told.append(said))
    assert done == ["a", "b"] * 7
    assert told == [(name, seconds[name][repeat]) for repeat in range(5) for name in "ab"]
    assert {name: len(each) for name, each in seconds.items()} == {"a": 5, "b": 5}
    assert all(second >= 0 for each in seconds.values() for second in each)


def test_too_few_repeats_are_refused_before_anything_is_done():
    done = []
    with pytest.raises(ValueError, match="repeats must be at least 5, got 4"):
        alternate({"a": lambda: done.append(1)}, repeats=4)
    assert done == []


def test_a_ratio_is_of_the_same_repeat():
    above, below = [2.0, 30.0, 8.0], [1.0, 10.0, 2.0]
    assert ratio(above, below) == 3.0  # of medians it would be 4
    assert spread(above, below) == (2.0, 4.0)
    for compare in (ratio, spread):
        with pytest.raises(ValueError, match="zip"):
            compare([1.0, 2.0], [1.0])


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5, 2.0])
def test_the_exponent_of_a_power_law_is_its_power(power):
    sizes = [2, 8, 16, 64]
    assert exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


def test_one_size_has_no_exponent():
    with pytest.raises(ValueError, match=r"sizes must be at least two different ones, got \[4, 4\]"):
        exponent([4, 4], [1.0, 2.0])


def test_the_machine_is_told_by_its_kind():
    found = machine(3)
    assert (found["threads"], found["torch"]) == (3, torch.__version__)
    assert "cores of" in found["processor"]
    assert "card" not in found
