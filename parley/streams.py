"""Standard output and error that never stop a run: what cannot be shown is replaced, or dropped."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, cast


class TolerantStream:
    """A stream whose characters are escaped where its encoding has none, and that ends quietly.

    Whoever reads a pipe may close it before all is written, and a disk may be full: from then on what is
    written is dropped, by this object and by whatever else has the same file.

    Args:
        stream: what is written to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._dropped = stream, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what can be; says that all was, as print expects."""
        if self._dropped:
            return len(text)
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            known = self._stream.encoding
            self.write(text.encode(known, "backslashreplace").decode(known))
        except (OSError, ValueError):
            self._drop()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush what can be."""
        if self._dropped:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._drop()

    def _drop(self) -> None:
        """Send what is buffered, and all that follows, nowhere."""
        self._dropped = True
        # not every stream has a file, and some are closed
        with suppress(OSError, ValueError), open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())


@contextmanager
def tolerant_streams() -> Iterator[None]:
    """While it lasts, nothing that is shown can stop the process; what was shown is flushed at its end."""
    with ExitStack() as stack:
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            # Python has none where the file was closed before; the next one opened would be taken for it
            there = stream or stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            tolerant = TolerantStream(there)
            stack.enter_context(redirect(cast("TextIO", tolerant)))
            stack.callback(tolerant.flush)
        yield
