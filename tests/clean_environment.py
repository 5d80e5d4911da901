"""New environments for tests of what is installed, and the wheels that go into them."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("agents", "channels", "envs", "evaluation", "plugins", "training")
NOT_COPIED = (".*", "__pycache__", "build", "runs", "*.egg-info")
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
STUBS = {"openai-agents": "agents", "channels": "channels"}  # what each distribution installs


class Environment:
    """A new environment that sees what Parley depends on, but not Parley, and nothing of this shell's.

    Args:
        folder: where it is made, and where commands are run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.commands = folder, folder / "environment" / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "environment"], check=True)
        [self.packages] = (folder / "environment").glob("lib/python*/site-packages")
        seen = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        # by bare paths, so that the finder of an editable Parley, which a .pth file there installs, is not
        (self.packages / "seen.pth").write_text("\n".join(seen))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
        self.variables = kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "120", "PIP_CONFIG_FILE": os.devnull}

    def run(self, command: str, *arguments: object, ends: int = 0) -> str:
        """What one of the environment's own commands prints, such as `python`."""
        done = subprocess.run(
            [self.commands / command, *map(str, arguments)],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == ends, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    def install(self, *wheels: Path) -> None:
        """Put wheels into the environment, without any network."""
        options = ("--no-deps", "--no-index", "--no-compile", "--ignore-installed")
        self.run("python", *PIP, "install", *options, *wheels)


def build_wheel(folder: Path) -> Path:
    """The wheel of Parley, built of a copy, so that nothing is left in the tree."""
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
    build = [sys.executable, *PIP, "wheel", folder / "source", "--wheel-dir", folder / "built"]
    subprocess.run([*build, "--no-deps", "--no-index", "--no-build-isolation"], check=True)
    [path] = (folder / "built").glob("*.whl")
    return path


def stub_wheels(folder: Path) -> list[Path]:
    """Wheels of other projects that own the top-level names of our folders."""
    paths = []
    for distribution, package in STUBS.items():
        name = f"{distribution.replace('-', '_')}-1.0"
        record = f"{name}.dist-info/RECORD"
        files = {
            f"{package}/__init__.py": "theirs = True\n",
            f"{package}/base.py": "",
            f"{name}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n",
            f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        files[record] = "".join(f"{path},,\n" for path in (*files, record))
        paths.append(folder / f"{name}-py3-none-any.whl")
        with zipfile.ZipFile(paths[-1], "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
    return paths
