"""Trainings that are stopped, killed or diverge: what is kept of them, and what is said."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from trainer_cases import make_trainer, same

from parley.agents.command_line import RunError
from parley.channels.tensor_file import NotFiniteError, read_tensors
from parley.training.learner import Learner
from parley.training.log import MetricsLog, read_metrics
from parley.training.state import StateError
from parley.training.stopping import StopSignals

TINY = {"batch_size": 2, "messages_per_context": 1, "validation_episodes": 2}
SETTINGS = {"steps": 5, "continuous_share": 0.2, **TINY}


@pytest.fixture(autouse=True)
def signals_are_heard() -> Iterator[None]:
    """Also where the tests run in the background of a shell, which has interruptions ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def whole(pocket_pair, tmp_path_factory):
    """An uncut run."""
    folder = tmp_path_factory.mktemp("whole")
    trainer = make_trainer(pocket_pair, folder, **SETTINGS)
    trainer.run()
    return trainer


def go_on(pair, folder):
    trainer = make_trainer(pair, folder, **SETTINGS)
    torch.manual_seed(99)
    trainer.resume()
    trainer.run()
    return trainer


def untimed(folder):
    return [{**line, "seconds": 0} for line in read_metrics(folder)]


def check_same(trainer, whole):
    """Weights, moments, generators, checkpoint and log, to the bit."""
    for name in ("channel.safetensors", "state.safetensors"):
        (ours, said), (theirs, there) = (read_tensors(t.folder / name) for t in (trainer, whole))
        assert same(ours, theirs)
        for header in (said, there):
            header.get("notes", {}).pop("seconds", None)
            header.get("notes", {}).pop("log", None)  # which tells the seconds
        assert said == there
    assert untimed(trainer.folder) == untimed(whole.folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_noted_and_then_as_before(number, capfd):
    before = signal.getsignal(number)
    with StopSignals() as stop:
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
    assert signal.getsignal(number) is before
    assert "stopping after this step" in capfd.readouterr().err


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_stops_behind_the_step(pocket_pair, tmp_path, monkeypatch, whole):
    trainer = make_trainer(pocket_pair, tmp_path, **SETTINGS)
    stepped = trainer.optimizer.step

    def signalled(*arguments):
        stepped(*arguments)
        if trainer.step_number == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(trainer.optimizer, "step", signalled)
    with pytest.raises(RunError, match=r"interrupted; what was learned in 3 steps is kept in .*add --resume"):
        trainer.run()
    check_same(go_on(pocket_pair, tmp_path), whole)


def test_a_second_signal_ends_at_once_and_saves_nothing_in_between(pocket_pair, tmp_path, monkeypatch, whole):
    trainer = make_trainer(pocket_pair, tmp_path, **SETTINGS)
    stepped = trainer.optimizer.step

    def signalled(*arguments):
        stepped(*arguments)
        if trainer.step_number == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(trainer.optimizer, "step", signalled)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert "learned in 2 steps" in str(trainer.interrupted())
    check_same(go_on(pocket_pair, tmp_path), whole)


def test_a_kill_between_log_and_state_leaves_no_step_twice(pocket_pair, tmp_path, monkeypatch, whole):
    trainer = make_trainer(pocket_pair, tmp_path, **SETTINGS)
    save = trainer.save

    def killed():
        if trainer.step_number == 4:
            with (tmp_path / "metrics.jsonl").open("a") as log:
                log.write('{"step": 5, "lo')
            raise RunError("killed")
        save()

    monkeypatch.setattr(trainer, "save", killed)
    with pytest.raises(RunError, match="killed"):
        trainer.run()
    assert [line["step"] for line in read_metrics(tmp_path)] == [2, 4]
    resumed = go_on(pocket_pair, tmp_path)
    assert [line["step"] for line in read_metrics(tmp_path)] == [2, 4, 5]
    check_same(resumed, whole)


def spoil(pocket_pair, folder, monkeypatch, how):
    """A run of latent that diverges at its fourth step."""
    trainer = make_trainer(pocket_pair, folder, "latent", steps=6, **TINY)
    gate = trainer.channel.decoder.scale_gate

    def at_fourth(name, change):
        kept = getattr(trainer, name)

        def changed(*arguments):
            if trainer.step_number == 3:
                change()
            return kept(*arguments)

        monkeypatch.setattr(trainer, name, changed)

    def fill(value):
        with torch.no_grad():
            gate.fill_(value)

    if how == "answers":
        at_fourth("step", lambda: fill(float("nan")))
    elif how == "loss":
        summed = trainer.loss.forward
        monkeypatch.setattr(
            trainer.loss, "forward",
            lambda terms: summed(terms) * (float("nan") if trainer.step_number == 3 else 1),
        )  # fmt: skip
    elif how == "gradient":
        gate.register_hook(lambda grad: grad * (float("inf") if trainer.step_number == 3 else 1))
    elif how == "weights":
        stepped = trainer.optimizer.step
        monkeypatch.setattr(
            trainer.optimizer, "step", lambda: [stepped(), trainer.step_number == 3 and fill(float("inf"))]
        )
    elif how == "validation":
        played = trainer.validation.play
        monkeypatch.setattr(
            trainer.validation, "play",
            lambda: played() | ({"nll_swap": float("nan")} if trainer.step_number == 4 else {}),
        )  # fmt: skip
    return trainer


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("answers", "what the receiver answers holds numbers that are not finite"),
        ("loss", "the loss is nan"),
        ("gradient", "the gradient's norm is"),
        ("weights", "some weights are not finite"),
        ("validation", "nll_swap is nan"),
    ],
)
def test_divergence_stops_with_the_last_good_state(pocket_pair, tmp_path, monkeypatch, how, what):
    trainer = spoil(pocket_pair, tmp_path, monkeypatch, how)
    with pytest.raises(RunError, match=rf"{what}.* at step .*diverged .* keeps the last good checkpoint"):
        trainer.run()
    for name in ("channel.safetensors", "state.safetensors"):
        tensors, _ = read_tensors(tmp_path / name)
        assert tensors, "and all are finite, or they would be refused"
    again = make_trainer(pocket_pair, tmp_path, "latent", steps=6, **TINY)
    again.resume()
    assert again.step_number == 2


def test_divergence_before_the_first_checkpoint_says_so(pocket_pair, tmp_path):
    trainer = make_trainer(
        pocket_pair, tmp_path, "latent", learning_rate=1e6, weight_decay=1e6, warmup_steps=0
    )
    with pytest.raises(RunError, match="diverged and was stopped, and there is no checkpoint yet"):
        trainer.run()
    assert not (tmp_path / "channel.safetensors").exists()


def test_a_validation_of_what_diverged_says_so(pocket_pair, tmp_path):
    trainer = make_trainer(pocket_pair, tmp_path, "latent", **TINY)
    with torch.no_grad():
        next(trainer.channel.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(NotFiniteError, match="what is sent holds numbers that are not finite"):
        trainer.validate()


def test_whatever_breaks_on_weights_that_are_not_finite_is_divergence(pocket_pair, tmp_path, monkeypatch):
    trainer = make_trainer(pocket_pair, tmp_path, "latent", **TINY)

    def broken(self):
        with torch.no_grad():
            self.channel.decoder.scale_gate.fill_(float("nan"))
        raise IndexError("no such code")

    monkeypatch.setattr(Learner, "step", broken)
    with pytest.raises(RunError, match=r"some weights are not finite \(no such code\) at step 1"):
        trainer.run()


def test_what_breaks_otherwise_is_not_called_divergence(pocket_pair, tmp_path, monkeypatch):
    monkeypatch.setattr(Learner, "step", lambda self: [][1])
    with pytest.raises(IndexError):
        make_trainer(pocket_pair, tmp_path, "latent", **TINY).run()


def test_a_log_that_is_not_what_it_was_is_named_and_can_be_done_without(pocket_pair, tmp_path):
    make_trainer(pocket_pair, tmp_path, "latent", **TINY).run()
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text().replace('"step": 2', '"step": 3'))
    for read in (read_metrics, lambda folder: make_trainer(pocket_pair, folder, "latent", **TINY).resume()):
        with pytest.raises(RunError, match=r"metrics\.jsonl is damaged: it is no longer what this run wrote"):
            read(tmp_path)
    path.unlink()
    make_trainer(pocket_pair, tmp_path, "latent", **TINY).resume()


def test_a_log_ends_with_a_whole_line_on_a_full_disk(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.write({"step": 1, "prefix_rank": float("nan")})
        log._file = Full(log._file)
        with pytest.raises(OSError, match=r"No space left on device: .*metrics\.jsonl"):
            log.write({"step": 2})
    assert read_metrics(tmp_path) == [{"step": 1, "prefix_rank": None}]


class Full:
    """A file with room for three bytes."""

    def __init__(self, file):
        self._file, self._room = file, 3
        self.truncate, self.close = file.truncate, file.close

    def write(self, content):
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._file.write(content[: self._room])
        self._room -= written
        return written


def test_a_flipped_bit_in_a_state_is_named(pocket_pair, tmp_path, whole):
    content = bytearray((whole.folder / "state.safetensors").read_bytes())
    content[len(content) // 2] ^= 4
    Path(tmp_path / "state.safetensors").write_bytes(content)
    with pytest.raises(StateError, match=r"state\.safetensors cannot be resumed: it is damaged"):
        make_trainer(pocket_pair, tmp_path, **SETTINGS).resume()
