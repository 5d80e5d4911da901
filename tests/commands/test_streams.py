"""What is shown cannot stop a run: closed pipes, full disks, closed files and narrow encodings."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from parley.agents.command_line import exit_with
from parley.exit_codes import Ended
from parley.streams import TolerantStream

LINE = "⟦message⟧ naïve 漢字 \udcff"


def closed_pipe() -> io.TextIOWrapper:
    """A stream whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w", encoding="utf-8")


def full_disk() -> io.TextIOWrapper:
    return Path("/dev/full").open("w", encoding="utf-8")


def closed_file() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


def show() -> int:
    """As commands do, more than a pipe or a buffer holds."""
    console = Console()
    table = Table("success", "interval")
    for _ in range(20):
        table.add_row("80%", LINE)
    console.print(table)
    print(LINE * 10_000, flush=True)  # noqa: T201
    sys.stdout.writelines([LINE, "\n"])
    console.print("[bold]pass[/]")
    sys.stdout.flush()
    return 4


@pytest.mark.parametrize("make", [closed_pipe, full_disk, closed_file, lambda: None])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_broken_stream_changes_no_exit_code(
    make: Callable[[], io.TextIOBase | None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = make()
    monkeypatch.setattr(sys, name, stream)
    with pytest.raises(Ended) as end:
        exit_with(show)
    assert end.value.code == 4
    assert getattr(sys, name) is stream, "as it was before"
    if isinstance(stream, io.TextIOWrapper):
        stream.close()  # what Python does at its end raises nothing either


def test_an_error_is_told_to_nobody_as_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise OSError("nobody hears this")

    monkeypatch.setattr(sys, "stderr", closed_pipe())
    with pytest.raises(Ended) as end:
        exit_with(fail)
    assert end.value.code == 3
    sys.stderr.close()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "shift_jis"])
def test_what_an_encoding_has_no_character_for_is_escaped(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    with pytest.raises(Ended) as end:
        exit_with(show)
    assert end.value.code == 4
    shown = written.getvalue().decode(encoding)
    wanted = LINE.encode(encoding, "backslashreplace").decode(encoding)
    assert shown.endswith(f"{wanted}\npass\n")
    assert wanted * 10_000 in shown


def test_what_can_be_shown_is_shown_as_it_is() -> None:
    stream = io.StringIO()
    tolerant = TolerantStream(stream)
    assert tolerant.write("a⟦b") == 3
    assert stream.getvalue() == "a⟦b"
    assert not tolerant.isatty()


def test_a_reader_that_leaves_at_once_is_no_failure() -> None:
    """A process of its own: what Python flushes at its end counts as well."""
    show_much = "import sys; from parley.__main__ import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", show_much, "--help"], stdout=subprocess.PIPE, bufsize=0
    ) as run:
        assert run.stdout is not None
        run.stdout.close()
        assert run.wait() == 0
