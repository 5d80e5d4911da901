"""The example package beside the wheel of Parley: installed, listed, checked, and put through Gate 1.

The environment also holds stubs of other projects' packages `agents` and `channels`.
"""

import json
import re
import shlex
import shutil

import pytest
from clean_environment import Environment, build_wheel, stub_wheels
from page_blocks import PACKAGE, ROOT, commands

from parley.agents.command_line import ExitCode

COMMANDS = {
    "its own tests": f"pytest -q -p no:cacheprovider {PACKAGE.relative_to(ROOT)}",
    "list": "parley.channels list",
    "gate 1": "parley gate1 --channels binary --episodes 10 --device cpu --folder gate1 "
    "--runs none --world few.jsonl",
}
FEW = [
    json.dumps({"attributes": {"colour": colour, "shape": shape, "material": material}})
    for colour in ("red", "blue", "green", "white")
    for shape in ("cube", "ball", "ring", "disc")
    for material in ("metal", "glass", "wood")
]
IN_TURN = """
import runpy, sys
for module, *arguments in map(str.split, sys.argv[1:]):
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print(f"== {int(end.code or 0)}", flush=True)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment into which the page's command has installed the package, without any network."""
    made = Environment(tmp_path_factory.mktemp("reader"))
    folder = tmp_path_factory.mktemp("wheels")
    made.install(build_wheel(folder), *stub_wheels(folder))
    built = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".pytest_cache")
    shutil.copytree(PACKAGE, made.folder / PACKAGE.relative_to(ROOT), ignore=built)
    [line] = [line for line in commands() if "pip install" in line]
    made.run(*shlex.split(line), "--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    return made


def test_it_is_installed_there_and_nowhere_else(environment):
    assert (environment.packages / "parley_channel_binary" / "binary.py").exists()
    assert [path for path in PACKAGE.rglob("*") if path.name == "build" or path.suffix == ".egg-info"] == []


@pytest.fixture(scope="module")
def ended(environment):
    """What commands printed there, and how each ended; one interpreter, for each takes seconds to begin."""
    (environment.folder / "few.jsonl").write_text("\n".join(FEW))
    printed = environment.run("python", "-c", IN_TURN, *COMMANDS.values())
    parts = re.split(r"^== (.*)\n", printed, flags=re.MULTILINE)
    assert len(parts) == 2 * len(COMMANDS) + 1
    return {name: (parts[2 * n], parts[2 * n + 1]) for n, name in enumerate(COMMANDS)}


def test_its_own_tests_pass(ended):
    printed, code = ended["its own tests"]
    assert "8 passed" in printed
    assert code == str(ExitCode.PASS.value)


def test_it_is_listed_without_an_edit(ended):
    printed, code = ended["list"]
    rows = printed.splitlines()
    [row] = [row for row in rows if row.startswith(" binary ")]
    assert row.split() == "binary codes k b = 24 yes k slots of b bits, each the sign of a number.".split()  # noqa: SIM905
    assert "parley_channel_binary" not in "".join(rows), "it is not left out"
    assert code == str(ExitCode.PASS.value)


def test_it_goes_through_gate_1(environment, ended):
    """Untrained, so nothing is decided; but it plays, and the report says what it is."""
    printed, code = ended["gate 1"]
    assert "binary" in printed
    assert code == str(ExitCode.INCONCLUSIVE.value)
    results = json.loads((environment.folder / "gate1" / "results.json").read_text())
    assert results["provenance"]["command"] == COMMANDS["gate 1"]
    assert results["verdict"] == "inconclusive"
    played = results["channels"]["binary"]
    assert (played["role"], played["bits"]) == ("untrained", 24.0)
    assert played["conditions"]["normal"]["n"] == 10
