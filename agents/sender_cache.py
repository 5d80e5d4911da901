"""What a sender has said and read, kept in a folder so that a second training starts at once.

One folder a reading, named by a digest of all that decides what is read; one file a batch, named by a digest
of that key and its content, and there whole or not at all.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load, save
from torch import Tensor

from parley.channels.files import atomic_write

ROWS_AT_ONCE = 256
ROWS_A_FILE = 64  # so that less is lost when a long reading is cut
T = TypeVar("T")


class Kept(dict[int, T], ABC, Generic[T]):
    """What is known of referents, by the world's index.

    Args:
        cache: folder of all readings, of which this one's files are read; None keeps nothing on disk.
        reading: its name.
        key: what else decides what is read, as JSON.
    """

    suffix: ClassVar[str]

    def __init__(self, cache: Path | None, reading: str, key: Mapping[str, Any]) -> None:
        super().__init__()
        self.reading = reading
        self._key = json.dumps([reading, key], sort_keys=True).encode()
        self.folder = cache and cache / f"{reading}-{sha256(self._key).hexdigest()}"
        if self.folder is not None:
            for path in sorted(self.folder.glob(f"*{self.suffix}")):
                self._read(path)

    @property
    def rows_at_once(self) -> int:
        """How many referents are described or read together."""
        return ROWS_AT_ONCE if self.folder is None else ROWS_A_FILE

    def add(self, batch: Mapping[int, T]) -> None:
        """Know a batch, and write its file.

        Raises:
            OSError: if it cannot be written.
        """
        self.update(batch)
        if self.folder is None:
            return
        content = self.encode(batch)
        self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self.folder / f"{self._digest(content)}{self.suffix}", content)

    def _read(self, path: Path) -> None:
        content = path.read_bytes()
        if self._digest(content) == path.stem:
            self.update(self.decode(content))
        else:
            problem = f"{path} is damaged or of another sender: its referents are read anew"
            Console(stderr=True, soft_wrap=True).print(problem, markup=False, highlight=False)

    def _digest(self, content: bytes) -> str:
        return sha256(self._key + content).hexdigest()

    @classmethod
    @abstractmethod
    def encode(cls, batch: Mapping[int, T]) -> bytes:
        """A batch as a file holds it."""

    @abstractmethod
    def decode(self, content: bytes) -> Mapping[int, T]:
        """The batch of a file."""


class KeptWords(Kept[str]):
    """What a sender said, as JSON."""

    suffix: ClassVar[str] = ".json"

    @classmethod
    def encode(cls, batch: Mapping[int, str]) -> bytes:
        """Index and words."""
        return json.dumps(batch, ensure_ascii=False).encode()

    def decode(self, content: bytes) -> Mapping[int, str]:
        """Index and words."""
        return {int(index): text for index, text in json.loads(content).items()}


class KeptStates(Kept[Tensor]):
    """States (T, D) float32, one row a token; as safetensors, bit for bit.

    Args:
        device: where they are wanted.
        kept: as for `Kept`.
    """

    suffix: ClassVar[str] = ".safetensors"

    def __init__(self, device: torch.device, *kept: Any) -> None:
        self._device = device
        super().__init__(*kept)

    @classmethod
    def encode(cls, batch: Mapping[int, Tensor]) -> bytes:
        """All rows behind each other, with their indices and lengths."""
        return save(
            {
                "indices": torch.tensor(list(batch)),
                "lengths": torch.tensor([len(states) for states in batch.values()]),
                "states": torch.cat(list(batch.values())).cpu(),
            }
        )

    def decode(self, content: bytes) -> Mapping[int, Tensor]:
        """By index, on the device."""
        tensors = load(content)
        states = torch.split(tensors["states"].to(self._device), tensors["lengths"].tolist())
        return dict(zip(tensors["indices"].tolist(), states, strict=True))


def digest_of(table: Float[Tensor, "V E"]) -> str:
    """SHA-256 of a table's bits, in hexadecimal."""
    return sha256(table.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


def in_batches(indices: Sequence[int], size: int, reading: str) -> Iterator[Sequence[int]]:
    """Batches of indices; a long reading, which takes several, shows how far it is."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = len(indices) <= ROWS_AT_ONCE or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(f"the sender's {reading}", total=len(indices))
        for start in range(0, len(indices), size):
            yield indices[start : start + size]
            progress.update(task, completed=min(start + size, len(indices)))
