"""Plug-ins: how they become known, and what is said of one that cannot be used."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path
from types import SimpleNamespace

import pytest

import parley.plugins.registry
from parley.plugins.names import unknown
from parley.plugins.registry import PluginError, Registry

GROUP = "tests.horns"
HORN = """
from the_registry import HORNS

@HORNS.register("{name}")
class Horn:
    pass
"""
BROKEN = "import no_such_brass"
MISSING = "ModuleNotFoundError: No module named 'no_such_brass'"


class Workshop:
    """A registry with a folder of its own, and packages that seem to be installed.

    Args:
        folder: where modules are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.points = folder, list[EntryPoint]()
        (folder / "brass").mkdir()
        (folder / "brass" / "__init__.py").write_text("")
        self.registry: Registry[type] = Registry("horn", GROUP, folder="brass")

    def write(self, module: str, source: str) -> None:
        path = self.folder / f"{module.replace('.', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)

    def install(self, name: str, value: str, source: str) -> None:
        self.write(value.partition(":")[0], source)
        self.points.append(EntryPoint(name, value, GROUP))


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    made = Workshop(tmp_path)
    monkeypatch.setitem(sys.modules, "the_registry", SimpleNamespace(HORNS=made.registry))
    monkeypatch.setattr(
        parley.plugins.registry, "entry_points", lambda group: [p for p in made.points if p.group == group]
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield made
    for name, module in list(sys.modules.items()):
        places = [vars(module).get("__file__"), *vars(module).get("__path__", [])]
        if any(str(place).startswith(str(tmp_path)) for place in places):
            del sys.modules[name]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What has been logged so far, as the user reads it."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f"{record.levelname} {record.getMessage()}")  # type: ignore[method-assign]
    logging.getLogger("parley").addHandler(handler)
    yield lines
    logging.getLogger("parley").removeHandler(handler)


def test_files_of_the_folder_and_installed_packages_are_known_without_a_list(workshop, said):
    workshop.write("brass.tuba", HORN.format(name="tuba"))
    workshop.write("brass.__main__", "raise RuntimeError('a command is no plug-in')")
    workshop.install("any", "alphorns.long", HORN.format(name="alphorn"))
    assert workshop.registry.names() == ["alphorn", "tuba"]
    assert workshop.registry.find("alphorn").__module__ == "alphorns.long"
    assert said == []
    assert workshop.registry.left_out() == []


def test_every_plug_in_is_imported_once(workshop):
    workshop.install("tuba", "tubas", "print('imported')\n" + HORN.format(name="tuba"))
    workshop.registry.names()
    del sys.modules["tubas"]
    workshop.registry.names()
    workshop.registry.find("tuba")
    assert "tubas" not in sys.modules


def test_what_is_not_needed_to_find_a_name_is_not_imported(workshop):
    """What others have installed does not run beside what they did not bring."""
    workshop.write("brass.tuba", HORN.format(name="tuba"))
    workshop.install("alphorn", "alphorns", HORN.format(name="alphorn"))
    workshop.install("any", "bugles", HORN.format(name="bugle"))
    assert workshop.registry.find("tuba").__module__ == "brass.tuba"
    assert workshop.registry.own() == [], "the project brings none of these"
    assert not {"alphorns", "bugles"} & sys.modules.keys()
    assert workshop.registry.find("alphorn").__module__ == "alphorns"
    assert "bugles" not in sys.modules
    assert workshop.registry.find("bugle").__module__ == "bugles"


def test_a_plug_in_that_asks_while_it_is_imported_gets_what_is_there_so_far(workshop):
    workshop.write("brass.cornet", HORN.format(name="cornet"))
    workshop.install("tuba", "tubas", HORN.format(name="tuba") + "SEEN = HORNS.names()\n")
    assert workshop.registry.names() == ["cornet", "tuba"]
    assert sys.modules["tubas"].SEEN == ["cornet", "tuba"]


@pytest.mark.parametrize("where", ["folder", "package"])
def test_a_broken_plug_in_is_named_once_and_left_out(workshop, said, where):
    workshop.write("brass.cornet", HORN.format(name="cornet"))
    if where == "folder":
        workshop.write("brass.tuba", BROKEN)
    else:
        workshop.install("tuba", "tubas:Tuba", BROKEN)
    source = {"folder": "brass.tuba", "package": "tubas:Tuba"}[where]
    assert workshop.registry.names() == ["cornet"]
    assert workshop.registry.find("cornet").__name__ == "Horn"
    assert workshop.registry.names() == ["cornet"]
    assert said == [f"WARNING left out: plug-in 'tuba' ({source}), which cannot be used: {MISSING}"]
    [plugin] = workshop.registry.left_out()
    assert (plugin.name, plugin.source, plugin.cause) == ("tuba", source, MISSING)


def test_what_is_named_is_one_line_on_stderr(workshop, capfd, monkeypatch):
    """Even where nobody has set up logging."""
    for logger in (logging.getLogger("parley"), logging.getLogger()):
        monkeypatch.setattr(logger, "handlers", [])
    workshop.install("tuba", "tubas", "raise RuntimeError('first line\\n  second line')")
    workshop.registry.names()
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "left out: plug-in 'tuba' (tubas), which cannot be used: RuntimeError: first line second line\n"
    )


def test_an_installed_package_is_named_with_its_version(workshop, said, tmp_path):
    info = tmp_path / "tubas-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: big-tubas\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\ntuba = tubas\n")
    workshop.write("tubas", BROKEN)
    workshop.points += PathDistribution(info).entry_points
    workshop.registry.names()
    assert said == [f"WARNING left out: plug-in 'tuba' (big-tubas 1.5), which cannot be used: {MISSING}"]


def test_asked_for_a_broken_plug_in_is_an_error_with_its_own_cause(workshop, said):
    workshop.install("tuba", "tubas", BROKEN)
    with pytest.raises(PluginError) as caught:
        workshop.registry.find("tuba")
    assert str(caught.value) == f"horn 'tuba' was to come from tubas, which cannot be used: {MISSING}"
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert said == [], "the error says it"


def test_what_else_is_broken_is_still_named(workshop, said):
    workshop.install("tuba", "tubas", BROKEN)
    workshop.install("flugelhorn", "flugelhorns", BROKEN)
    with pytest.raises(PluginError, match="horn 'tuba' was to come"):
        workshop.registry.find("tuba")
    assert len(said) == 1
    assert "plug-in 'flugelhorn'" in said[0]


def test_a_name_that_a_broken_plug_in_may_have_brought_is_unknown_and_the_plug_in_named(workshop, said):
    workshop.write("brass.cornet", HORN.format(name="cornet"))
    workshop.install("big-horns", "tubas", BROKEN)
    with pytest.raises(ValueError, match="unknown horn") as caught:
        workshop.registry.find("tuba")
    assert str(caught.value) == (
        "unknown horn 'tuba'. The horns are: cornet. "
        f"Left out is plug-in 'big-horns' (tubas), which cannot be used: {MISSING}"
    )
    assert said == [], "the error says it"


def test_who_shows_what_is_left_out_is_not_interrupted(workshop, said):
    workshop.install("tuba", "tubas", BROKEN)
    assert [plugin.name for plugin in workshop.registry.left_out()] == ["tuba"]
    assert workshop.registry.names() == []
    assert said == []


def test_a_plug_in_that_ends_the_process_is_broken(workshop):
    workshop.install("tuba", "tubas", "import sys\nsys.exit(3)")
    with pytest.raises(PluginError, match="SystemExit: 3") as caught:
        workshop.registry.find("tuba")
    assert isinstance(caught.value.__cause__, SystemExit)


def test_an_interruption_is_the_user_s_and_the_next_question_begins_again(workshop):
    workshop.write("brass.cornet", HORN.format(name="cornet"))
    workshop.install("trombone", "trombones", BROKEN)
    workshop.install("tuba", "tubas", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        workshop.registry.names()
    workshop.write("tubas", HORN.format(name="tuba") + "# longer, so that it is read again")
    assert workshop.registry.names() == ["cornet", "tuba"]
    assert [plugin.name for plugin in workshop.registry.left_out()] == ["trombone"]


def test_what_a_plug_in_registers_before_it_breaks_is_forgotten(workshop):
    workshop.write("brass.tuba", HORN.format(name="tuba") + BROKEN)
    workshop.write("alphorns.long", HORN.format(name="alphorn"))
    workshop.write("bugles", HORN.format(name="bugle"))
    workshop.install("alphorn", "alphorns.__init__", "import bugles\nimport alphorns.long\n" + BROKEN)
    workshop.points[-1] = EntryPoint("alphorn", "alphorns", GROUP)
    assert workshop.registry.names() == ["bugle"], "what it imports may be whole"
    for name in ("tuba", "alphorn"):
        with pytest.raises(PluginError, match=f"horn '{name}' was to come from .*{MISSING}"):
            workshop.registry.find(name)


@pytest.mark.parametrize("source", ["class Horn: pass", ""])
def test_an_entry_point_that_brings_nothing_is_named(workshop, source):
    workshop.write("brass.cornet", HORN.format(name="cornet"))
    workshop.install("tuba", "tubas", source)
    assert workshop.registry.names() == ["cornet"]
    with pytest.raises(PluginError, match="ValueError: tubas registers no horn"):
        workshop.registry.find("tuba")


def test_a_package_that_was_imported_before_it_was_looked_for_brings_what_it_registered(workshop):
    workshop.install("tuba", "tubas", HORN.format(name="tuba"))
    import tubas

    assert workshop.registry.find("tuba") is tubas.Horn
    assert workshop.registry.left_out() == []


def test_an_attribute_that_is_not_there_is_named_and_what_is_registered_stays(workshop, said):
    workshop.install("tuba", "tubas:Tuba", HORN.format(name="tuba"))
    assert workshop.registry.names() == ["tuba"]
    assert "AttributeError: module 'tubas' has no attribute 'Tuba'" in said[0]


def test_the_first_keeps_its_name_and_the_other_is_left_out(workshop, said):
    workshop.write("brass.tuba", HORN.format(name="tuba"))
    workshop.install("my-tuba", "tubas", HORN.format(name="tuba"))
    assert workshop.registry.find("tuba").__module__ == "brass.tuba"
    assert workshop.registry.names() == ["tuba"]
    assert said == [
        "WARNING left out: plug-in 'my-tuba' (tubas), which cannot be used: "
        "ValueError: horn 'tuba' is registered already, by brass.tuba.Horn"
    ]


def test_a_module_may_be_imported_again(workshop):
    class Tuba:
        pass

    assert workshop.registry.register("tuba")(Tuba) is Tuba
    again = type("Tuba", (), {"__module__": Tuba.__module__, "__qualname__": Tuba.__qualname__})
    assert workshop.registry.register("tuba")(again) is again
    assert workshop.registry.find("tuba") is again


@pytest.mark.parametrize("name", ["", "Tuba", "two words", "a,b", "a/b", "2nd", "tuba\n", "tübä"])
def test_a_name_can_stand_in_flags_lists_and_folders(workshop, name):
    with pytest.raises(ValueError, match="horn names must be small letters") as caught:
        workshop.registry.register(name)
    assert str(caught.value) == (
        f"horn names must be small letters, digits, _ and -, beginning with a letter, got {name!r}"
    )


def test_without_a_folder_only_packages_bring_something(workshop):
    registry: Registry[type] = Registry("horn", "tests.no-such-group")
    assert registry.names() == []
    with pytest.raises(ValueError, match=r"^unknown horn 'tuba'\. There is no horn at all$"):
        registry.find("tuba")


def test_an_unknown_name_suggests_the_nearest_and_lists_the_valid():
    error = unknown("horn", "tubba", ["cornet", "tuba"], " today")
    assert str(error) == "unknown horn 'tubba', did you mean 'tuba'? The horns are: cornet, tuba today"
