"""A training is stopped between two steps, never within one."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import AbstractContextManager, suppress
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals(AbstractContextManager["StopSignals"]):
    """Notes that the user or the system wants the process to end; a second signal ends it at once.

    A signal that was ignored, as `nohup` has it, stays ignored; outside the main thread none is noted.

    Attributes:
        asked: whether there was one.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            found = {number: signal.getsignal(number) for number in _SIGNALS}
            self._before = {
                n: handler for n, handler in found.items() if handler not in (signal.SIG_IGN, None)
            }
            for number in self._before:
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        with suppress(OSError):  # nobody need be there to read it
            os.write(2, b"\nstopping after this step; a second time stops at once\n")
