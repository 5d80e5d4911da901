"""The sealed wire: processes that answer in bytes, and what reaches the judge of them."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any, NoReturn

import pytest
import torch

import parley.evaluation.sealing.process
import parley.plugins.registry
from parley.channels.conditions import Told
from parley.channels.registry import CHANNELS, channel_class
from parley.channels.testing import ENDS
from parley.evaluation.playing.entries import enter
from parley.evaluation.playing.entry import Entry
from parley.evaluation.playing.play import PlayConfig, play
from parley.evaluation.sealing.breach import LONGEST, Breach, keeps
from parley.evaluation.sealing.cards import read_cards
from parley.evaluation.sealing.ends import RemoteWords, join, split
from parley.evaluation.sealing.messages_file import read_messages, write_messages
from parley.evaluation.sealing.process import Answers, Process
from parley.evaluation.sealing.sealed import SealedChannel, _read_facts
from parley.evaluation.sealing.training_world import training_part
from parley.plugins.registry import PluginError


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
        ("quits", (0,), "raises_nothing", "SystemExit: 0 (test_sealing.py, line "),
        ("fails", (KeyboardInterrupt,), "raises_nothing", "KeyboardInterrupt"),
        ("fails", (RuntimeError, "of cheese"), "raises_nothing", "RuntimeError: of cheese (test_sealing.py"),
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


FACTS: dict[str, Any] = {
    "name": "mine", "role": "judged", "conditions": None, "settings": {"k": 4}, "space": {"kind": "Discrete"},
    "features": [0.5, "prompt", "states"], "trainable": False, "sees_scene": False, "at_start": False,
    "num_slots": 4, "codes_per_slot": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "lesson"),
    [
        ({"role": "king"}, "role must be one of judged"),
        ({"conditions": ["normal"]}, "conditions are the judge's to choose"),
        ({"role": "reference", "conditions": ["shuffle"]}, "conditions are the judge's to choose"),
        ({"settings": {"name": "\ud800"}}, "surrogates not allowed"),
        ({"settings": {"scale": float("nan")}}, "not JSON compliant"),
        ({"settings": []}, "settings must be of type dict"),
        ({"features": ["deep", "prompt", "states"]}, "depth must be from 0 to 1, got 'deep'"),
        ({"features": [0.5, "dream", "states"]}, "of must be one of prompt, message, got 'dream'"),
        ({"features": [0.5, "prompt", "dreams"]}, "what must be one of states, cache, expected"),
        ({"num_slots": True}, "num_slots must be of type int"),
        ({"num_slots": -1}, "num_slots must be from 0"),
        ({"codes_per_slot": 0}, "codes_per_slot must be from 1"),
        ({"sees_scene": 0}, "sees_scene must be of type bool"),
    ],
)
def test_what_a_channel_says_of_itself_is_checked(wrong, lesson):
    assert _read_facts(json.dumps(FACTS).encode()).features.depth == 0.5
    assert _read_facts(json.dumps(FACTS | {"role": "reference", "conditions": ["normal"]}).encode())
    with pytest.raises(ValueError, match=lesson):
        _read_facts(json.dumps(FACTS | wrong).encode())


def codec(pair: Any) -> Entry:
    """Of random weights, the same in every process."""
    kind = channel_class("latent_vq")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Entry(kind(kind.Config(), pair.interface).eval())


def test_a_sealed_channel_is_the_open_one_to_the_last_bit(pocket_pair):
    """Text asks for words and hands over words; a codec looks at states and hands over vectors."""
    config = PlayConfig(episodes=4, episodes_at_once=3, seed=3)
    makers = {"text": partial(enter, "text", pocket_pair, None), "latent_vq": partial(codec, pocket_pair)}
    here = {name: make() for name, make in makers.items()}  # before the others, which share what it imports
    interface, device = pocket_pair.interface, pocket_pair.device
    apart = {name: SealedChannel(name, make, interface, device).entry for name, make in makers.items()}
    found = []
    for entries in (here, apart):
        batches = list(play(pocket_pair, entries, config))
        found.append([replace(record, seconds=None) for batch in batches for record in batch])
    for entry in apart.values():
        entry.channel.close()
    assert len(found[0]) == 2 * 7 * 4
    assert found[0] == found[1]
    assert apart["latent_vq"].channel.settings["codebook_size"] == 64


MARKS = """
import os
from parley.channels import register
from parley.channels.text import TextChannel

with open({path!r}, "a") as file:
    file.write(f"{{os.getpid()}}\\n")

@register("{name}")
class Mine(TextChannel):
    role = {role}
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package that brings a channel, and marks every process that imports it."""
    CHANNELS.own()
    for name, value in (
        ("_known", dict(CHANNELS._known)),
        ("_left_out", []),
        ("_begun", set(CHANNELS._begun)),
    ):
        monkeypatch.setattr(CHANNELS, name, value)
    monkeypatch.syspath_prepend(tmp_path)
    points: list[EntryPoint] = []
    monkeypatch.setattr(
        parley.plugins.registry, "entry_points", lambda group: [p for p in points if p.group == group]
    )

    def install(name: str, role: str = '"judged"', source: str = MARKS) -> Callable[[], list[int]]:
        path = tmp_path / f"{name}.pids"
        (tmp_path / f"{name}_package.py").write_text(source.format(path=str(path), name=name, role=role))
        points.append(EntryPoint(name, f"{name}_package", "parley.channels"))
        return lambda: [int(line) for line in path.read_text().split()] if path.exists() else []

    return install


def test_the_judge_imports_no_channel_of_others(installed):
    mine, hers = installed("mine"), installed("hers", '"reference"')
    cards = read_cards(["text", "mine", "hers"], [], ENDS)
    assert {name: card.role for name, card in cards.items()} == {
        "text": "ceiling", "mine": "judged", "hers": "reference",
    }  # fmt: skip
    assert os.getpid() not in {*mine(), *hers()}
    assert len({*mine()} & {*hers()}) == 1, "they meet where all are listed alone"
    assert "mine_package" not in sys.modules
    with pytest.raises(ValueError, match="unknown channel 'nothing'"):
        read_cards(["text", "nothing"], [], ENDS)


def test_a_channel_runs_beside_no_other_package(installed, pocket_pair):
    hers = installed("hers")
    before = hers()
    make = partial(enter, "silence", pocket_pair, None)
    SealedChannel("silence", make, pocket_pair.interface, pocket_pair.device).close()
    assert hers() == before


def test_a_class_that_breaks_takes_nobody_along(installed):
    installed("mine", "property(lambda _: 1 / 0)")
    installed("gone", source="import os; os._exit(0)")
    cards = read_cards(["text", "gone", "mine"], [], ENDS)
    assert cards["text"].breach is None
    assert cards["gone"].breach is not None
    assert cards["gone"].breach.promise == "runs"
    assert cards["mine"].breach is not None
    with pytest.raises(PluginError, match="plug-ins cannot be listed, because of one of them: runs: "):
        read_cards(None, [], ENDS)


def test_only_training_referents_are_listed(few_objects):
    part = training_part(few_objects)
    assert (part.referents("train") == few_objects.referents("train")).all()
    for other in ("validation", "test"):
        with pytest.raises(PermissionError, match=f"the training referents alone, got split '{other}'"):
            part.referents(other)
    assert len(few_objects.referents("test")) > 0, "the judge's own is as it was"


def test_messages_survive_their_file(tmp_path):
    path = tmp_path / "messages.jsonl"
    said = [("mine", Told(0, 1), b"\0\xff"), ("mine", Told(0, 2), b""), ("hers", Told(0, 1), b"x")]
    assert list(write_messages(path, {"play": {"seed": 3}}, said)) == [1, 2, 3]
    found = read_messages(path)
    assert found.definition == {"play": {"seed": 3}}
    assert found.sent == {"mine": {Told(0, 1): b"\0\xff", Told(0, 2): b""}, "hers": {Told(0, 1): b"x"}}
    with pytest.raises(FileExistsError):
        list(write_messages(path, {}, said))


@pytest.mark.parametrize(
    ("lines", "lesson"),
    [
        ([], "line 1: "),
        (["[]"], "line 1: it does not say what run the messages are of"),
        (
            ['{"play": {}}', '["mine", 0, 1, "AA=="]', '["mine", 0, 1, "AA=="]'],
            "line 3: mine speaks twice of",
        ),
        (['{"play": {}}', '["mine", 0, 1, "A"]'], "line 2: "),
        (['{"play": {}}', '["mine", 0, 1]'], "line 2: "),
        (['{"play": {}}', '["mine", 0, 1, "AA=="'], "line 2: "),
    ],
)
def test_a_damaged_file_of_messages_is_named_with_its_line(tmp_path, lines, lesson):
    path = tmp_path / "messages.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(ValueError, match=f"messages.jsonl, {lesson}"):
        read_messages(path)
