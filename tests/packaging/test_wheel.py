"""The wheel: all of the rooms under one name, beside packages that are called `agents` and `channels`."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from clean_environment import Environment

from parley.agents.command_line import ExitCode

ROOT = Path(__file__).parents[2]
ROOMS = ("agents", "channels", "envs", "evaluation", "plugins", "training")
NOT_COPIED = (".*", "__pycache__", "build", "runs", "*.egg-info")
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
INSTALL = (*PIP, "install", "--no-deps", "--no-index", "--no-compile", "--ignore-installed")
STUBS = {"openai-agents": "agents", "channels": "channels"}  # what each distribution installs
FEW = [
    json.dumps({"attributes": {"colour": colour, "shape": shape, "material": material}})
    for colour in ("red", "blue", "green", "white")
    for shape in ("cube", "ball", "ring", "disc")
    for material in ("metal", "glass", "wood")
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built of a copy, so that nothing is left in the tree."""
    copy, built = tmp_path_factory.mktemp("source") / "parley", tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
    build = [sys.executable, *PIP, "wheel", copy, "--wheel-dir", built]
    subprocess.run([*build, "--no-deps", "--no-index", "--no-build-isolation"], check=True)
    [path] = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    """Wheels of other projects that own the top-level names of our folders."""
    folder, paths = tmp_path_factory.mktemp("stubs"), []
    for distribution, package in STUBS.items():
        name = f"{distribution.replace('-', '_')}-1.0"
        files = {
            f"{package}/__init__.py": "theirs = True\n",
            f"{package}/base.py": "",
            f"{name}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n",
            f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = f"{name}.dist-info/RECORD"
        paths.append(folder / f"{name}-py3-none-any.whl")
        with zipfile.ZipFile(paths[-1], "w") as archive:
            for path, text in (files | {record: "".join(f"{path},,\n" for path in (*files, record))}).items():
                archive.writestr(path, text)
    return paths


def contents(wheel):
    """Bytes by name of all that is in the wheel but its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def installed(environment):
    """Bytes by name of all that is in the environment's folder `parley`."""
    paths = (path for path in (environment.packages / "parley").rglob("*") if path.is_file())
    kept = (path for path in paths if path.suffix != ".pyc")
    return {path.relative_to(environment.packages).as_posix(): path.read_bytes() for path in kept}


def test_it_holds_every_file_of_the_rooms_and_nothing_else(wheel):
    """Code and data alike: what a folder holds beside its caches is part of the product."""
    places = {"parley": ROOT / "parley"} | {f"parley/{room}": ROOT / room for room in ROOMS}
    files = {
        f"{name}/{path.relative_to(place).as_posix()}": path.read_bytes()
        for name, place in places.items()
        for path in place.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert contents(wheel) == files
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"parley", wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"}


def test_make_links_the_rooms_that_the_wheel_holds():
    [line] = re.findall(r"^ROOMS := (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(line.split()) == list(ROOMS)


@pytest.mark.parametrize("parley_first", [True, False])
def test_it_lives_beside_agents_and_channels_of_others(wheel, stubs, parley_first, tmp_path):
    environment = Environment(tmp_path, editable=False)
    for wheels in ([wheel], stubs) if parley_first else (stubs, [wheel]):
        environment.run("python", *INSTALL, *wheels)
    assert installed(environment) == contents(wheel)
    look = (
        "import agents, channels, parley.agents as ours; print(agents.theirs, channels.theirs, ours.__file__)"
    )
    ours = environment.packages / "parley" / "agents" / "__init__.py"
    assert environment.run("python", "-c", look).split() == ["True", "True", str(ours)]
    environment.run("python", *PIP, "uninstall", "--yes", *STUBS)
    assert not (environment.packages / "agents").exists()
    assert installed(environment) == contents(wheel)


def test_it_plays_a_game_from_another_directory(wheel, stubs, tmp_path):
    environment = Environment(tmp_path, editable=False)
    environment.run("python", *INSTALL, wheel, *stubs)
    (tmp_path / "few.jsonl").write_text("\n".join(FEW))
    settings = "--episodes 4 --device cpu --world few.jsonl --runs none --folder run"
    printed = environment.run(
        "parley", "gate1", "--channels", "text,silence", *settings.split(), ends=ExitCode.INCONCLUSIVE
    )
    assert "silence" in printed
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["channels"]["text"]["conditions"]["normal"]["n"] == 4
    assert results["provenance"]["command"] == f"parley gate1 --channels text,silence {settings}"
