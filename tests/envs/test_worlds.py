"""How worlds become known, by name, by a plug-in and by a file."""

import re
import sys
from importlib.metadata import EntryPoint

import pytest
from listed_cases import bird_lines

import parley.plugins.registry
from parley import envs
from parley.envs import worlds
from parley.envs.world import objects_world
from parley.envs.worlds import find_world, register_world, world_names
from parley.plugins.registry import PluginError

NEW_WORLD = '''
from parley.envs.world import Attribute, World
from parley.envs.worlds import register_world


@register_world("{name}")
def dice():
    """Three dice of four sides."""
    attributes = tuple(Attribute(name=die, values=tuple("1234")) for die in ("red", "green", "blue"))
    return World(name="{own}", attributes=attributes, split_fractions=(0.4, 0.3, 0.3))
'''
ENDING = "The worlds are: elements, objects. A file of referents must exist and end in .jsonl"


@pytest.fixture(autouse=True)
def registry_again(monkeypatch):
    """The registry as in a fresh process: it has yet to look around."""
    known = worlds.WORLDS
    known.names()
    monkeypatch.setattr(known, "_known", {name: known._known[name] for name in ("elements", "objects")})
    monkeypatch.setattr(known, "_left_out", [])
    monkeypatch.setattr(known, "_unsaid", [])
    monkeypatch.setattr(known, "_begun", set())
    monkeypatch.setattr(parley.plugins.registry, "entry_points", lambda group: [])


@pytest.fixture
def install(tmp_path, monkeypatch):
    def installed(source, name="dice"):
        (tmp_path / "dicepackage.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        point = EntryPoint(name, "dicepackage", "parley.worlds")
        monkeypatch.setattr(
            parley.plugins.registry, "entry_points", lambda group: [point] if group == point.group else []
        )

    yield installed
    sys.modules.pop("dicepackage", None)


def test_the_worlds_that_ship():
    assert world_names() == ["elements", "objects"]
    assert find_world("objects") == objects_world()
    assert find_world("elements").size == 118
    assert find_world(worlds.DEFAULT_WORLD).name == "objects"


def test_a_new_world_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "dice.py").write_text(NEW_WORLD.format(name="dice", own="dice"))
    monkeypatch.setattr(envs, "__path__", [*envs.__path__, str(tmp_path)])
    try:
        assert world_names() == ["dice", "elements", "objects"]
        assert find_world("dice").size == 64
    finally:
        sys.modules.pop("parley.envs.dice", None)


def test_another_package_adds_one_by_an_entry_point(install):
    install(NEW_WORLD.format(name="dice", own="dice"))
    assert world_names() == ["dice", "elements", "objects"]
    assert find_world("dice").size == 64


def test_a_broken_plug_in_leaves_the_others_alone_and_is_named_when_it_is_asked_for(install):
    install("import nothing_of_that_name")
    assert world_names() == ["elements", "objects"]
    assert find_world("elements").size == 118
    with pytest.raises(PluginError, match=r"world 'dice' was to come from .*, which cannot be used: "):
        find_world("dice")
    with pytest.raises(ValueError, match=r"Left out is plug-in 'dice' .*\. A file of referents must exist"):
        find_world("dyce")


def test_a_world_must_have_the_name_that_records_bear(install):
    install(NEW_WORLD.format(name="dice", own="objects"))
    message = "world 'dice' must have that name, for records bear it; it has 'objects'"
    with pytest.raises(ValueError, match=f"^{message}$"):
        find_world("dice")


def test_a_name_is_given_once():
    with pytest.raises(
        ValueError, match=r"world 'objects' is registered already, by parley\.envs\.world\.objects"
    ):

        @register_world("objects")
        def others():
            return objects_world()


def test_a_path_is_the_world_that_the_file_lists(tmp_path):
    path = tmp_path / "birds.jsonl"
    path.write_text("\n".join(bird_lines()))
    assert find_world(str(path)).name.startswith("birds-")
    path.write_text("{")
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}, line 1: is not JSON"):
        find_world(str(path))


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("elments", ", did you mean 'elements'? "),
        ("Objects", ", did you mean 'objects'? "),
        ("elements.jsonl", ", did you mean 'elements'? "),
        ("birds.json", ". "),
        ("nowhere/birds.jsonl", ". "),
        ("", ". "),
    ],
)
def test_an_unknown_world_lists_the_names_and_says_what_a_file_must_be(asked, hint):
    with pytest.raises(ValueError, match=f"^{re.escape(f'unknown world {asked!r}{hint}{ENDING}')}$"):
        find_world(asked)


def test_a_file_of_another_kind_and_a_folder_are_no_worlds(tmp_path):
    (tmp_path / "birds.json").write_text("\n".join(bird_lines()))
    (tmp_path / "birds.jsonl").mkdir()
    for name in ("birds.json", "birds.jsonl"):
        with pytest.raises(ValueError, match=r"unknown world .* A file of referents must exist and end in"):
            find_world(str(tmp_path / name))
