"""A folder has one run at a time, and a process that died holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from parley.agents.command_line import RunError
from parley.agents.folder_lock import locked

HOLDS = """
import fcntl, os, sys, time
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"another run is at work in {tmp_path}; wait until it ends"):
            locked(tmp_path).__enter__()
        os.kill(other.pid, signal.SIGKILL)
    with locked(tmp_path):
        (tmp_path / "kept").touch()


def test_nothing_is_left_of_a_lock(tmp_path: Path) -> None:
    with locked(tmp_path / "new"):
        assert list((tmp_path / "new").iterdir()) == []
    assert not (tmp_path / "new").exists()
    with locked(tmp_path / "new"):
        (tmp_path / "new" / "kept").touch()
        with pytest.raises(RunError), locked(tmp_path / "new"):
            pass
    assert (tmp_path / "new" / "kept").exists()


def test_what_killed_writers_left_goes(tmp_path: Path) -> None:
    (tmp_path / ".results.json.77.unfinished").touch()
    with locked(tmp_path):
        assert list(tmp_path.iterdir()) == []
    assert tmp_path.exists()
