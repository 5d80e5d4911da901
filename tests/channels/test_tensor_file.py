"""No bit of a file of tensors changes unnoticed, and none appears in part."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from parley.channels.files import atomic_write, remove_unfinished
from parley.channels.tensor_file import TensorFileError, read_tensors, write_tensors

TENSORS = {"w": torch.linspace(-1, 1, 7), "n": torch.arange(3), "empty": torch.empty(0, 2)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_tensors(tmp_path / "f.safetensors", TENSORS, {"step": 3, "word": 'ü "sha256": "0"'})
    return tmp_path / "f.safetensors"


def test_what_was_written_is_read(path: Path) -> None:
    tensors, header = read_tensors(path)
    assert header == {"step": 3, "word": 'ü "sha256": "0"'}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    before = path.read_bytes()
    write_tensors(path, tensors, header)
    assert path.read_bytes() == before, "the same bits always"


def test_flipped_bits_are_noticed_wherever_they_are(path: Path) -> None:
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 11):  # every byte is met, and every place in a byte
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with pytest.raises(TensorFileError):
            read_tensors(path)


def test_cuts_are_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        with pytest.raises(TensorFileError):
            read_tensors(path)


def test_random_bytes_are_refused_in_words(path: Path) -> None:
    rng = np.random.default_rng(0)
    for size in (0, 7, 8, 9, 100):
        path.write_bytes(rng.bytes(size))
        with pytest.raises(TensorFileError, match="is damaged or not a safetensors file: "):
            read_tensors(path)


def test_permissions_are_the_umask_s(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_tensors(tmp_path / "f", TENSORS, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


@pytest.mark.parametrize("failing", ["os.fsync", "os.replace"])
def test_a_full_disk_leaves_the_earlier_file_and_nothing_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(failing, full)
    with pytest.raises(OSError, match=rf"No space left on device: '{path}'"):
        write_tensors(path, TENSORS, {})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    atomic_write(tmp_path / "kept", b"all of it")
    (tmp_path / ".kept.123.unfinished").write_bytes(b"a pa")
    remove_unfinished(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]
