"""What the pages name is there: links, files, tests, modules, commands and targets of make."""

import re
from pathlib import Path

import pytest

from parley.__main__ import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/*/*.md", "evaluation/*.md", "agents/pocket*/*.md")
    for path in ROOT.glob(pattern)
)
FOLDERS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
WRITTEN = ("runs", "build", "tutorial")  # folders that commands make
ELSEWHERE = {  # the file that a page tells its reader to write, and one of a package that it shows
    "docs/adding_a_channel.md": {"channels/binary.py", "tests/test_binary.py"},
}
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def missing(found, exists):
    return sorted({name for name in found if not exists(name)})


@pages
def test_its_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert missing(local, lambda link: (page.parent / link).exists()) == []


@pages
def test_the_files_it_names_are_there(page):
    """Whatever is written as a path below one of the top folders, such as channels/text.py."""
    tops = "|".join(map(re.escape, set(FOLDERS) - set(WRITTEN)))
    named = re.findall(rf"(?<![\w/.<-])((?:{tops})/[\w/.-]*\w)", page.read_text())
    elsewhere = ELSEWHERE.get(page.relative_to(ROOT).as_posix(), set())
    assert missing(named, lambda name: name in elsewhere or (ROOT / name).exists()) == []


@pages
def test_the_tests_it_names_are_there(page):
    named = re.findall(r"([\w/]+\.py)::(\w+)", page.read_text())
    assert missing(named, lambda test: f"def {test[1]}(" in (ROOT / test[0]).read_text()) == []


@pages
def test_the_modules_it_runs_are_there(page):
    """By the folder's name, from the root; or by the full name, from anywhere."""
    named = re.findall(r"python -m ([\w.]+\w)", page.read_text())
    installed = {"pip", "pytest", "venv"}

    def runs(name):
        path = ROOT / name.removeprefix("parley.").replace(".", "/")
        return name in installed or path.with_suffix(".py").exists() or (path / "__main__.py").exists()

    assert missing(named, runs) == []


@pages
def test_the_commands_it_shows_are_there(page):
    text = page.read_text()
    shown = re.findall(r"(?:^|`|\$ )parley ([a-z]\w*)", text, re.MULTILINE)
    assert missing(shown, COMMANDS.__contains__) == []
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert missing(re.findall(r"(?:^|`)make ([a-z0-9-]+)", text, re.MULTILINE), targets.__contains__) == []
