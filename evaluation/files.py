"""Files that appear whole or not at all."""

import os
from pathlib import Path


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there when it is whole.

    Args:
        path: the file; one that exists is replaced at the end.
        content: all of it.

    Raises:
        OSError: if it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
