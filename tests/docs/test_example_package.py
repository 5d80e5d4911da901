"""The example package: installed into an environment of its own, listed, checked, and put through Gate 1."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from page_blocks import PACKAGE, ROOT, commands

from agents.command_line import ExitCode


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
        (self.packages / "parley.pth").write_text("\n".join([str(ROOT), *seen]))
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


def test_it_is_listed_without_an_edit(environment):
    rows = environment.run("-m", "channels", "list").splitlines()
    [row] = [row for row in rows if row.startswith(" binary ")]
    assert row.split() == "binary codes k b = 24 yes k slots of b bits, each the sign of a number.".split()  # noqa: SIM905
    assert "parley_channel_binary" not in "".join(rows), "it is not left out"


def test_its_own_tests_pass(environment):
    where = str(PACKAGE.relative_to(ROOT))
    assert "8 passed" in environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", where=where)


def test_it_goes_through_gate_1(environment):
    """Untrained, so nothing is decided; but it plays, and the report says what it is."""
    arguments = "--channels binary --episodes 20 --device cpu --folder gate1 --runs none".split()  # noqa: SIM905
    shown = environment.run("-m", "evaluation.gate1", *arguments, ends=ExitCode.INCONCLUSIVE)
    assert "binary" in shown
    results = json.loads((environment.folder / "gate1" / "results.json").read_text())
    assert results["verdict"] == "inconclusive"
    played = results["channels"]["binary"]
    assert (played["status"], played["bits"]) == ("untrained", 24.0)
    assert played["conditions"]["normal"]["n"] == 20
