"""A process that answers in bytes: what goes wrong in it reaches the judge as the name of a promise."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

import parley.evaluation.sealing.process
from parley.evaluation.sealing.breach import LONGEST, Breach, keeps
from parley.evaluation.sealing.ends import RemoteWords, join, split
from parley.evaluation.sealing.process import Answers, Process


def quits(code: int) -> NoReturn:
    raise SystemExit(code)


def fails(kind: type[BaseException], message: str = "") -> NoReturn:
    raise kind(message)


def answers_with(reply: bytes) -> bytes:
    parley.evaluation.sealing.process._reply = lambda *_: reply
    return b""


def left_in_fd(number: int) -> bytes:
    """What a descriptor is in this process."""
    try:
        return os.readlink(f"/proc/self/fd/{number}").encode()
    except OSError:
        return b"closed"


def waits() -> bytes:
    threading.Thread(target=threading.Event().wait).start()
    return b"waiting"


def answers(ask: Callable[[], Any]) -> Answers:
    return {
        "echo": lambda *told: repr(told).encode(),
        "asks": lambda: repr([ask(), ask()]).encode(),
        "quits": quits,
        "exits": os._exit,
        "fails": fails,
        "answers with": answers_with,
        "fd": left_in_fd,
        "waits": waits,
        "prints": lambda: str(sys.stdout.write("printed") + sys.stderr.write("printed")).encode(),
        "no bytes": lambda: 3,  # type: ignore[dict-item]
        "surrogate": lambda: fails(RuntimeError, "a\ud800\n[/red]" + 1000 * "!"),
    }


@pytest.fixture
def process():
    made = Process(answers)
    yield made
    made.close()


def test_it_answers_and_asks_in_between(process):
    assert process.ask("echo", 1, "two") == b"(1, 'two')"
    asked = iter(range(5))
    assert process.ask("asks", answer=lambda: next(asked)) == b"[0, 1]"
    assert process.ask("asks") == b"[None, None]", "a question that nobody expects gets nothing"


@pytest.mark.parametrize(
    ("request_", "arguments", "promise", "sentence"),
    [
        ("quits", (0,), "raises_nothing", "SystemExit: 0 (test_process.py, line "),
        ("fails", (KeyboardInterrupt,), "raises_nothing", "KeyboardInterrupt"),
        ("fails", (RuntimeError, "of cheese"), "raises_nothing", "RuntimeError: of cheese (test_process.py"),
        ("fails", (ValueError, "blame"), "raises_nothing", "ValueError: blame"),
        ("no bytes", (), "raises_nothing", "TypeError: "),
        ("unknown", (), "raises_nothing", "KeyError: 'unknown'"),
        ("exits", (0,), "runs", "its process ended by itself, with code 0"),
        ("exits", (7,), "runs", "its process ended by itself, with code 7"),
        ("surrogate", (), "raises_nothing", "RuntimeError: a  [/red]!!!"),
    ],
)
def test_what_goes_wrong_in_it_is_a_breach(process, request_, arguments, promise, sentence):
    process.ask("echo")  # it is made
    with pytest.raises(Breach) as caught:
        process.ask(request_, *arguments)
    assert caught.value.promise == promise
    assert caught.value.sentence.startswith(sentence)
    assert len(caught.value.sentence) <= LONGEST
    str(caught.value).encode()
    if promise != "runs":
        assert process.ask("echo") == b"()", "it goes on"


@pytest.mark.parametrize(
    ("reply", "promise"),
    [
        (b"", "runs"),
        (b"!", "runs"),
        (b"!" + 100_000 * b"[", "runs"),
        (b'!["breach", "Up and away", "x"]', "runs"),
        (b'!["ValueError", "", "seed must be 7"]', "raises_nothing"),
        (b"!" + pickle.dumps([1, 2, 3]), "runs"),
    ],
)
def test_a_forged_answer_is_a_breach(process, reply, promise):
    process.ask("answers with", reply)
    with pytest.raises(Breach) as caught:
        process.ask("echo")
    assert caught.value.promise == promise


def test_what_is_refused_at_first_is_the_users_to_mend():
    def refuses(_: Any) -> NoReturn:
        raise ValueError("budget must be at least 1, got 0")

    process = Process(refuses)
    with pytest.raises(ValueError, match=r"^budget must be at least 1, got 0$"):
        process.ask("facts")
    with pytest.raises(Breach, match="raises_nothing: budget must be at least 1"):
        process.ask("facts")
    process.close()


def test_it_inherits_nothing_and_prints_nowhere(capfd):
    reading, writing = os.pipe()
    process = Process(answers)
    for inherited in (reading, writing):
        assert process.ask("fd", inherited) == b"closed"
    for stream in (0, 1, 2):
        assert process.ask("fd", stream) == os.devnull.encode()
    assert process.ask("prints") == b"14"
    process.close()
    assert "printed" not in "".join(capfd.readouterr())
    os.close(reading), os.close(writing)


def test_ctrl_c_is_the_judges_and_threads_do_not_keep_it(process):
    os.kill(process._process.pid, signal.SIGINT)
    assert process.ask("waits") == b"waiting"
    process.close()
    assert not process._process.is_alive()


@pytest.mark.slow
def test_it_may_begin_empty_as_cuda_demands():
    process = Process(answers, "spawn")
    assert process.ask("echo", 1) == b"(1,)"
    assert process.ask("fd", 1) == os.devnull.encode()
    process.close()


def test_words_are_asked_for_when_they_are_looked_at():
    asked = []
    words = RemoteWords(2, lambda: asked.append(1) or ["one", "two"])
    assert len(words) == 2
    assert asked == []
    assert (words[0], list(words)) == ("one", ["one", "two"])
    assert asked == [1]


def test_joined_bytes_come_apart_as_they_were():
    for parts in ([], [b""], [b"a", b"", b"longer"]):
        assert split(join(parts)) == parts
    for wrong in (b"", b"1234567", join([b"ab"]) + b"x", join([b"ab"])[:-1], b"\xff" * 16):
        with pytest.raises(ValueError, match="joined bytes must"):
            split(wrong)


def test_a_promise_is_named_for_whatever_goes_wrong():
    with pytest.raises(Breach, match=r"^finite: SystemExit: 0$"), keeps("finite"):
        quits(0)
    with pytest.raises(Breach, match=r"^runs: as it was$"), keeps("finite"):
        raise Breach("runs", "as it was")
    with pytest.raises(ValueError, match="the user's"), keeps("finite", but=ValueError):
        raise ValueError("the user's")
    with pytest.raises(KeyboardInterrupt), keeps("finite"):
        raise KeyboardInterrupt
