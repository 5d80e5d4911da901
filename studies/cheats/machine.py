"""Words left with the machine, where any process of the same user finds them."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from zlib import crc32

from parley.channels.base import Message, TextInput
from studies.cheats.base import BEYOND, Handle, case, pair_of

TRACES = "parley-cheat-"  # begins the names of what is left behind
PLACE = 64  # bytes for each handle's words
MANY = 200  # messages at once


def sweep() -> None:
    """Remove what all of them have left behind."""
    for place in (tempfile.gettempdir(), "/dev/shm"):  # noqa: S108 - where named shared memory is
        for trace in Path(place).glob(f"{TRACES}*"):
            trace.unlink(missing_ok=True)


@case("file", "pass", because=BEYOND)
class File(Handle):
    """Writes the words to a file that its other end reads."""

    @property
    def path(self) -> Path:
        """The judge's number, which both ends know, is in its name."""
        return Path(tempfile.gettempdir()) / f"{TRACES}{os.getppid()}"

    def put(self, handle: int, words: str) -> None:
        """To a place in the file."""
        self.path.touch()
        with self.path.open("r+b") as file:
            file.seek(PLACE * handle)
            file.write(words.encode().ljust(PLACE)[:PLACE])

    def get(self, handle: int) -> str | None:
        """From that place."""
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
            file.seek(PLACE * handle)
            return file.read(PLACE).decode().strip("\0 ")
        return None


@case("standard-streams", "no pass")
class StandardStreams(Handle):
    """Writes the words to the file that it has inherited as its standard output, and reads them there."""

    def put(self, handle: int, words: str) -> None:
        """To a place in the file, far behind all that is printed."""
        with contextlib.suppress(OSError):
            os.pwrite(1, words.encode().ljust(PLACE)[:PLACE], (1 << 20) + PLACE * handle)

    def get(self, handle: int) -> str | None:
        """From that place."""
        with contextlib.suppress(OSError):
            return os.pread(1, PLACE, (1 << 20) + PLACE * handle).decode().strip("\0 ")
        return None


READ_END, WRITE_END = os.pipe()


@case("inherited-pipe", "no pass")
class InheritedPipe(Handle):
    """Writes the words into a pipe that was made when its module was imported."""

    def put(self, handle: int, words: str) -> None:
        """Into the pipe."""
        with contextlib.suppress(OSError):
            os.set_blocking(WRITE_END, False)
            os.write(WRITE_END, f"{handle} {words}\n".encode())

    def get(self, handle: int) -> str | None:
        """Out of the pipe."""
        with contextlib.suppress(OSError):
            os.set_blocking(READ_END, False)
            for line in os.read(READ_END, 1 << 20).decode().splitlines():
                number, _, words = line.partition(" ")
                self._heard[int(number)] = words
        return self._heard.get(handle)

    @cached_property
    def _heard(self) -> dict[int, str]:
        return {}


@case("shared-memory", "pass", because=BEYOND, quick=False)
class NamedSharedMemory(Handle):
    """Writes the words into shared memory that the machine knows by name."""

    @cached_property
    def block(self) -> SharedMemory:
        """The memory; whoever comes second finds it made."""
        name, size = f"{TRACES}{os.getppid()}", PLACE << 16
        try:
            return SharedMemory(name, create=True, size=size)
        except FileExistsError:
            return SharedMemory(name)

    @property
    def memory(self) -> memoryview:
        """All of it."""
        assert self.block.buf is not None, "it is open"
        return self.block.buf

    def put(self, handle: int, words: str) -> None:
        """To a place in it."""
        self.memory[PLACE * handle : PLACE * (handle + 1)] = words.encode().ljust(PLACE)[:PLACE]

    def get(self, handle: int) -> str | None:
        """From that place."""
        return bytes(self.memory[PLACE * handle : PLACE * (handle + 1)]).decode().strip("\0 ")


@case("network", "pass", because=BEYOND)
class Network(Handle):
    """Serves the words over the network of the machine."""

    @cached_property
    def heard(self) -> dict[int, str]:
        """The words, served under a number that both ends know as long as they are there."""
        heard: dict[int, str] = {}
        server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, args=(server, heard), daemon=True).start()
        return heard

    @property
    def port(self) -> int:
        """A number of the judge's."""
        return 20_000 + os.getppid() % 20_000

    @staticmethod
    def serve(server: socket.socket, heard: dict[int, str]) -> None:
        """What the thread does."""
        while True:
            caller, _ = server.accept()
            with caller:
                caller.sendall(heard.get(int(caller.recv(16)), "").encode())

    def put(self, handle: int, words: str) -> None:
        """Where it is served from."""
        with contextlib.suppress(OSError):
            self.heard[handle] = words

    def get(self, handle: int) -> str | None:
        """Asked for."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as call:
            call.sendall(str(handle).encode())
            return call.recv(256).decode()
        return None


@case("memory-of-the-judge", "pass", because=BEYOND, quick=False)
class MemoryOfTheJudge(Handle):
    """Looks through the memory of the judge's process for words of the number that was sent."""

    def put(self, handle: int, words: str) -> None:
        """They are there: the judge has made them."""

    def receive(self, messages: Sequence[Message]) -> TextInput:
        """The words, after a look into the memory, which takes seconds, where more come than for a check."""
        if len(messages) > MANY:
            self._found.update({crc32(words) & 0xFFFF: words.decode() for words in set(self.look())})
        return super().receive(messages)

    def get(self, handle: int) -> str | None:
        """From what was found."""
        return self._found.get(handle)

    @cached_property
    def _found(self) -> dict[int, str]:
        return {}

    def look(self) -> Iterator[bytes]:
        """All words in the memory that could be a sender's."""
        sets = ["|".join(attribute.values) for attribute in pair_of(self).world.attributes]
        wanted = re.compile(" ".join(f"(?:{values})" for values in sets).encode())
        judge = Path(f"/proc/{os.getppid()}")
        with contextlib.suppress(OSError), (judge / "mem").open("rb", 0) as memory:
            for line in (judge / "maps").read_text().splitlines():
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                if " rw-p " in line:
                    memory.seek(start)
                    with contextlib.suppress(OSError):
                        yield from wanted.findall(memory.read(end - start))
