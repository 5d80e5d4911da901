"""The example package: installed into an environment of its own, listed, checked, and put through Gate 1."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from page_blocks import PACKAGE, ROOT, commands

from parley.agents.command_line import ExitCode

COMMANDS = {
    "its own tests": f"pytest -q -p no:cacheprovider {PACKAGE.relative_to(ROOT)}",
    "list": "parley.channels list",
    "gate 1": "parley.evaluation.gate1 --channels binary --episodes 10 --device cpu --folder gate1 "
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


class Environment:
    """A new environment that sees Parley and what it depends on, and nothing of this shell's.

    Args:
        folder: where it is made, and where commands are run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.python = folder, folder / "environment" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "environment"], check=True)
        [self.packages] = (folder / "environment").glob("lib/python*/site-packages")
        seen = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        # what is installed there is found as it is here, and with it Parley itself
        lines = [f"import site; site.addsitedir({path!r})" for path in seen]
        (self.packages / "parley.pth").write_text("\n".join(lines))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
        self.variables = kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "120", "PIP_CONFIG_FILE": os.devnull}

    def run(self, *arguments: object, where: str = ".", ends: int = 0) -> str:
        """What a command prints; `python` is the environment's own."""
        done = subprocess.run(
            [self.python, *map(str, arguments)],
            cwd=self.folder / where,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == ends, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment into which the page's command has installed the package, without any network."""
    made = Environment(tmp_path_factory.mktemp("reader"))
    built = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".pytest_cache")
    shutil.copytree(PACKAGE, made.folder / PACKAGE.relative_to(ROOT), ignore=built)
    [line] = [line for line in commands() if "pip install" in line]
    made.run(*shlex.split(line)[1:], "--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    return made


def test_it_is_installed_there_and_nowhere_else(environment):
    assert (environment.packages / "parley_channel_binary" / "binary.py").exists()
    assert [path for path in PACKAGE.rglob("*") if path.name == "build" or path.suffix == ".egg-info"] == []


@pytest.fixture(scope="module")
def ended(environment):
    """What commands printed there, and how each ended; one interpreter, for each takes seconds to begin."""
    (environment.folder / "few.jsonl").write_text("\n".join(FEW))
    printed = environment.run("-c", IN_TURN, *COMMANDS.values())
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
    assert results["verdict"] == "inconclusive"
    played = results["channels"]["binary"]
    assert (played["role"], played["bits"]) == ("untrained", 24.0)
    assert played["conditions"]["normal"]["n"] == 10
