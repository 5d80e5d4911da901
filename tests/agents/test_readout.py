"""Readouts: how a choice is read off a model is one file, named by a flag."""

import sys

import pytest
import torch
from conftest import AS_LETTERS
from jaxtyping import TypeCheckError

from parley.agents import readouts
from parley.agents.language_model import FrozenLM
from parley.agents.pair import ModelConfig, Pair
from parley.agents.player import ReceiverSettings
from parley.agents.readout import READOUTS
from parley.agents.readouts.label import LabelReadout
from parley.agents.receiver import Receiver
from parley.channels.receiver_input import SoftPrompt, TextInput

CONTRARY = """
from parley.agents.readout import Answers, register_readout
from parley.agents.readouts.label import LabelReadout

@register_readout("contrary")
class Contrary(LabelReadout):
    def answer(self, receiver, context, receiver_input):
        answers = super().answer(receiver, context, receiver_input)
        return Answers(-answers.logits, answers.read)
"""
ROWS = [["tiny red cube", "tiny blue ball"], ["very large white star", "tiny red disc"]]


@pytest.fixture
def contrary(tmp_path, monkeypatch):
    READOUTS.names()
    monkeypatch.setattr(READOUTS, "_known", dict(READOUTS._known))
    monkeypatch.setattr(READOUTS, "_begun", set())
    (tmp_path / "contrary.py").write_text(CONTRARY)
    monkeypatch.setattr(readouts, "__path__", [*readouts.__path__, str(tmp_path)])
    yield
    sys.modules.pop("parley.agents.readouts.contrary", None)


@pytest.mark.usefixtures("contrary")
def test_a_new_readout_is_one_new_file(qwen2_folder, small_world):
    assert "contrary" in READOUTS.names()
    told = TextInput(["tiny red cube", "disc"])
    logits = []
    for readout in ("label", "contrary"):
        config = ModelConfig(model=str(qwen2_folder), device="cpu", **AS_LETTERS | {"readout": readout})
        receiver = Pair.load(config, small_world).receiver
        logits.append(receiver.choose(receiver.read(ROWS), told))
    assert torch.equal(logits[0], -logits[1])


def test_an_unknown_readout_suggests_the_nearest(lm: FrozenLM):
    with pytest.raises(ValueError, match=r"unknown readout 'labels', did you mean 'label'\?"):
        Receiver(lm, ReceiverSettings(readout="labels"))


def test_label_reads_letters_with_gradient_and_nll_in_nats(receiver: Receiver):
    assert isinstance(receiver.readout, LabelReadout)
    vectors = torch.randn(2, 3, receiver.lm.width, requires_grad=True)
    answers = receiver.answer(receiver.read(ROWS), SoftPrompt(vectors))
    choices = torch.tensor([1, 0])
    among_choices = receiver.nll(answers, choices, "choices")
    by_hand = -answers.logits.log_softmax(-1)[torch.arange(2), choices]
    torch.testing.assert_close(among_choices, by_hand)
    assert (receiver.nll(answers, choices, "vocabulary") > among_choices).all()
    among_choices.sum().backward()
    assert vectors.grad.abs().sum() > 0


def test_what_it_reads_is_the_same_in_one_full_pass(receiver: Receiver):
    told = TextInput(["tiny red cube", "disc"])
    answers = receiver.answer(receiver.read(ROWS), told)
    whole = receiver.readout.answer_uncached(receiver, ROWS, told)
    torch.testing.assert_close(answers.logits, whole.logits, rtol=1e-4, atol=1e-4)


def test_only_two_ways_to_compare(receiver: Receiver):
    answers = receiver.answer(receiver.read(ROWS), TextInput(["a", "b"]))
    with pytest.raises(TypeCheckError):
        receiver.nll(answers, torch.tensor([0, 1]), "labels")
