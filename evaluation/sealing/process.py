"""A process that answers requests, and of whose answers nothing but bytes is ever read.

Requests are pickled: they come from the judge. Answers are bytes that whoever asked interprets, for the code
behind them is not trusted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import sleep
from typing import Any, Literal

import torch

from parley.channels.checkpoint import CheckpointError
from parley.evaluation.sealing.breach import Breach, printable
from parley.plugins.registry import PluginError

Start = Literal["fork", "spawn"]
Answers = Mapping[str, Callable[..., bytes]]
REFUSED = {kind.__name__: kind for kind in (ValueError, CheckpointError, PluginError)}
"""What is the user's to mend, by name: it is raised again where it was asked."""
ASKED_BY_USER = ("list", "card")
"""Requests whose refusal is the user's to mend, as is whatever refuses to be made."""
_ANSWER, _QUESTION, _ERROR = b"=", b"?", b"!"


class Process:
    """Runs what `make` returns: named functions that answer in bytes.

    Args:
        make: called in the new process, with a function that asks the judge a question.
        start: `fork` shares the memory of what is loaded already; `spawn` begins empty, as CUDA demands, and
            needs a `make` that can be pickled.
    """

    def __init__(self, make: Callable[[Callable[[], Any]], Answers], start: Start = "fork") -> None:
        context: Any = get_context(start)  # its classes differ
        self._is_made = False
        self._connection: Connection
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, start), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until it ignores interruptions
        try:
            with warnings.catch_warnings():  # Python 3.12 warns of threads; those here hold no lock meanwhile
                warnings.simplefilter("ignore", DeprecationWarning)
                self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def ask(self, name: str, *arguments: Any, answer: Callable[[], Any] | None = None) -> bytes:
        """The answer to a request.

        Args:
            name: of the request.
            arguments: of it, which must survive pickling.
            answer: to the question that the process may ask in between.

        Raises:
            Breach: if the code behind it fails, or the process ends.
            ValueError: if the code was not to be made in the first place, as its message says.
        """
        try:
            if self._connection.poll():
                raise Breach("runs", "its process answers what it was not asked, or ended by itself")
            self._connection.send_bytes(pickle.dumps((name, arguments)))
            while (reply := self._connection.recv_bytes())[:1] == _QUESTION:
                self._connection.send_bytes(pickle.dumps(answer() if answer else None))
        except (EOFError, OSError):
            raise Breach("runs", f"its process {self._how_it_ended()}") from None
        was_made, self._is_made = self._is_made, True
        if reply[:1] == _ANSWER:
            return reply[1:]
        raise _failure(reply[1:], may_blame_user=not was_made)

    def _how_it_ended(self) -> str:
        for _ in range(100):  # join with a time limit waits for a pipe that the process has closed itself
            if not self._process.is_alive():
                return f"ended by itself, with code {self._process.exitcode}"
            sleep(0.01)
        return "hung up"

    def close(self) -> None:
        """End the process at once: it has nothing to finish, and its threads would keep it for ever."""
        self._connection.close()
        self._process.kill()
        self._process.join()


def _failure(told: bytes, may_blame_user: bool) -> Exception:
    """What to raise of what a process told; only its first answer can be that the user is to mend it."""
    try:
        kind, promise, sentence = (str(part) for part in json.loads(told))
    except (ValueError, TypeError, RecursionError):
        return Breach("runs", "its process answered with something else than was asked for")
    if kind in REFUSED and may_blame_user:
        return REFUSED[kind](printable(sentence))
    return Breach(promise or "raises_nothing", sentence)


def _serve(connection: Connection, make: Callable[[Callable[[], Any]], Answers], start: Start) -> None:
    """The life of the process; it ends when the judge closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the judge's
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if start == "fork":
        _close_all_but(connection)
    _leave_console()
    logging.getLogger("parley").setLevel(logging.ERROR)  # of plug-ins that are left out the judge speaks
    torch.set_num_threads(1)  # the judge's other threads are not here

    def question() -> Any:
        connection.send_bytes(_QUESTION)
        return pickle.loads(connection.recv_bytes())  # noqa: S301 - the judge wrote it

    made: Answers | BaseException
    try:
        made = make(question)
    except BaseException as error:
        made = error
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            name, arguments = pickle.loads(connection.recv_bytes())  # noqa: S301 - the judge wrote it
            connection.send_bytes(_reply(made, name, arguments))


def _reply(made: Answers | BaseException, name: str, arguments: tuple[Any, ...]) -> bytes:
    try:
        if isinstance(made, BaseException):
            raise made
        return _ANSWER + made[name](*arguments)
    except Breach as breach:
        told = ("breach", breach.promise, breach.sentence)
    except tuple(REFUSED.values()) as error:
        if error is made or name in ASKED_BY_USER:
            told = (_kind(error), "", str(error))
        else:
            told = ("breach", "raises_nothing", _in_words(error))
    except BaseException as error:
        told = ("breach", "raises_nothing", _in_words(error))
    return _ERROR + json.dumps(told).encode()


def _kind(error: BaseException) -> str:
    return next(name for name, kind in reversed(REFUSED.items()) if isinstance(error, kind))


def _in_words(error: BaseException) -> str:
    """What was raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


def _close_all_but(connection: Connection) -> None:
    """Close what a forked process inherits: through another's pipe two ends could talk."""
    kept = {0, 1, 2, connection.fileno()}
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else map(str, range(3, 256)):
        if int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _leave_console() -> None:
    """Put nothing in the place of the standard streams: what is printed by two ends meets in one file."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - as long as it runs
