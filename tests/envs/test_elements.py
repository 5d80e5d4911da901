"""The elements' facts follow from the atomic number, or are told apart from what does."""

import pytest

from parley.envs.elements import elements_world
from parley.envs.world import SPLITS

GASES = {1, 2, 7, 8, 9, 10, 17, 18, 36, 54, 86}
LIQUIDS = {35, 80}
NEVER_SEEN = {85, 87, *range(100, 119)}


def facts():
    return [dict(zip(("element", "period", "group", "block", "state"), row, strict=True)) for row in listed()]


def listed():
    return elements_world().listed


def place(number):
    """Period, group and block by Madelung's rule: subshells are filled by n + l, then by n."""
    subshells = sorted(((n, shell) for n in range(1, 8) for shell in range(n)), key=lambda s: (sum(s), s[0]))
    left, period = number, 0
    for n, shell in subshells:
        period = max(period, n)
        if left <= 2 * (2 * shell + 1):
            break
        left -= 2 * (2 * shell + 1)
    block = "spdf"[shell]
    group = {"s": left, "p": 12 + left, "d": 2 + left, "f": "none"}[block]
    return str(period), "18" if number == 2 else str(group), block  # helium is a noble gas of the s block


def test_period_group_and_block_follow_from_the_atomic_number():
    assert len(facts()) == 118
    for number, fact in enumerate(facts(), start=1):
        assert (fact["period"], fact["group"], fact["block"]) == place(number), fact


def test_states_are_those_at_room_temperature():
    wanted = dict.fromkeys(range(1, 119), "solid")
    wanted |= dict.fromkeys(GASES, "gas") | dict.fromkeys(LIQUIDS, "liquid")
    wanted |= dict.fromkeys(NEVER_SEEN, "unknown")
    assert {number: fact["state"] for number, fact in enumerate(facts(), start=1)} == wanted


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "hydrogen"), (13, "aluminium"), (26, "iron"), (36, "krypton"), (47, "silver"), (55, "caesium"),
     (60, "neodymium"), (71, "lutetium"), (74, "tungsten"), (82, "lead"), (92, "uranium"), (105, "dubnium"),
     (118, "oganesson")],
)  # fmt: skip
def test_line_n_is_the_element_of_atomic_number_n(number, name):
    assert facts()[number - 1]["element"] == name


def test_the_world_is_as_its_page_says():
    world = elements_world()
    assert world.name == "elements"
    assert world.num_values.tolist() == [118, 7, 19, 4, 4]
    assert [len(world.referents(split)) for split in SPLITS] == [71, 23, 24]
    assert world.describe(world.at([35])[0]) == "krypton 4 18 p gas"
    f_block = [fact for fact in facts() if fact["block"] == "f"]
    assert len(f_block) == 28
    assert len({(fact["group"], fact["period"]) for fact in f_block}) == 2
