"""docs/worlds.md says what is so: its files can be read, and its examples print what the code gives."""

import doctest
import re
from pathlib import Path

from parley.envs.world import SPLITS
from parley.envs.world_file import _referent
from parley.envs.worlds import WORLDS, find_world, world_names

PAGE = Path(__file__).parents[2] / "docs" / "worlds.md"


def test_every_example_of_the_page_is_true(tmp_path, monkeypatch):
    WORLDS.names()
    monkeypatch.setattr(WORLDS, "_known", dict(WORLDS._known))
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert tried > 12
    assert failed == 0


def test_every_line_of_the_page_s_files_can_be_read():
    blocks = re.findall(r"```jsonl\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert [tuple(_referent(line.encode())) for line in lines] == [("bird", "family", "clutch")] * 2 + [
        ("text",)
    ] * 2


def test_the_page_s_table_names_every_world_that_ships():
    rows = re.findall(r"\| `(\w+)` \| ([\d,]+) \| ([\d,]+) / ([\d,]+) / ([\d,]+) \|", PAGE.read_text())
    named = {name: [int(number.replace(",", "")) for number in numbers] for name, *numbers in rows}
    assert set(named) <= set(world_names())
    assert set(named) == {"objects", "elements"}
    for name, numbers in named.items():
        world = find_world(name)
        assert [world.size, *(len(world.referents(split)) for split in SPLITS)] == numbers
