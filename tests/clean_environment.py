"""New environments for tests of what is installed."""

import os
import subprocess
import sys
from pathlib import Path


class Environment:
    """A new environment that sees this one's packages, and nothing of this shell's.

    Args:
        folder: where it is made, and where commands are run.
        editable: whether Parley is found there too, as it is here; else only what it depends on.
    """

    def __init__(self, folder: Path, *, editable: bool) -> None:
        self.folder, self.commands = folder, folder / "environment" / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "environment"], check=True)
        [self.packages] = (folder / "environment").glob("lib/python*/site-packages")
        seen = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        if editable:  # a bare path would leave out the finder of editable packages
            seen = [f"import site; site.addsitedir({path!r})" for path in seen]
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
