"""The first steps, which ask no receiver."""

import numpy as np
import pytest
import torch
from trainer_cases import make_trainer, messages_of, moved, only, snapshot

from parley.agents.pair import Pair
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.training.config import TrainConfig
from parley.training.step import MessageBatch, PlayedBatch
from parley.training.token_targets import TokenTargets

ALL = {"ce": 1.0, "reconstruction": 1.0, "attributes": 0.5, "contrast": 0.5, "help": 1.0}


@pytest.fixture
def pair(pocket_pair):
    return pocket_pair


@pytest.fixture
def passes(monkeypatch):
    """Counts every pass of the receiver's model."""
    counted = []
    original = Receiver.run

    def noted(self, *arguments, **settings):
        counted.append(1)
        return original(self, *arguments, **settings)

    monkeypatch.setattr(Receiver, "run", noted)
    return counted


def test_no_receiver_is_asked_in_the_first_steps_and_then_it_is(pair, tmp_path, passes):
    trainer = make_trainer(pair, tmp_path, alignment_steps=2, objectives=only(**ALL))
    passes.clear()
    seen = []
    for _ in range(4):
        trainer.step()
        seen.append(len(passes))
        passes.clear()
    assert seen == [0, 0, 4, 4], "the prompt, the right message, another's, and null"


def test_what_is_of_play_is_not_logged_while_aligning(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, alignment_steps=1, objectives=only(**ALL))
    aligning, playing = trainer.step(), trainer.step()
    assert {"reconstruction", "attributes"} <= set(aligning)
    assert not {"ce", "contrast", "help", "success"} & set(aligning)
    assert {"reconstruction", "attributes", "ce", "contrast", "help", "success"} <= set(playing)
    assert aligning["loss"] == pytest.approx(
        aligning["reconstruction"] + 0.5 * aligning["attributes"], rel=1e-5
    )


def test_the_codec_learns_while_aligning(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, alignment_steps=2)
    before = snapshot(trainer.channel)
    assert isinstance(messages_of(trainer), MessageBatch)
    assert not isinstance(messages_of(trainer), PlayedBatch)
    trainer.step()
    trainable = {name for name, _ in trainer.channel.named_parameters()}
    assert moved(trainer, before) >= trainable - {"decoder.scale_gate"}, "cosines know no length"


@pytest.mark.parametrize(("asked", "given"), [(10, 10), (100_000, None)])
def test_messages_are_of_different_training_referents_as_many_as_there_are(pair, tmp_path, asked, given):
    trainer = make_trainer(pair, tmp_path, alignment_steps=1, alignment_batch=asked)
    said = messages_of(trainer)
    referents = said.sender_views.numpy()
    assert len(referents) == (given or len(pair.world.referents("train")))
    assert pair.world.in_split(referents, "train").all()
    assert len({tuple(row) for row in referents.tolist()}) == len(referents)
    assert list(said.utterance.texts) == list(pair.sender.speak(referents).texts)


@pytest.mark.parametrize("labels", ["said", "exact"])
def test_slots_answer_for_what_is_said_or_for_the_exact_description(lm, small_world, tmp_path, labels):
    """With exact labels nothing is decoded, neither to align nor to play nor to validate."""
    sender = Sender(lm, small_world)
    said = small_world.describe(small_world.at(np.array([5]))[0])
    decoded = []
    sender._describe = lambda rows: decoded.append(len(rows)) or [said] * len(rows)
    pair = Pair(sender, Receiver(lm), small_world)
    trainer = make_trainer(pair, tmp_path, alignment_steps=1, steps=2, labels=labels)
    batch = messages_of(trainer)
    trainer.run()
    assert decoded == ([len(small_world.referents("train"))] if labels == "said" else [])
    for row, referent in enumerate(batch.sender_views.numpy()):
        text = said if labels == "said" else small_world.describe(referent)
        [tokens] = pair.receiver.message_tokens([text])
        wanted = TokenTargets([tokens], lm.embedding_table, 4).of(np.array([0]))
        own = batch.tokens.shares[row] @ batch.tokens.table
        torch.testing.assert_close(own, wanted.shares[0] @ wanted.table)


def test_with_exact_labels_words_are_still_what_is_said(lm, small_world, tmp_path):
    sender = Sender(lm, small_world)
    sender._describe = lambda rows: ["tiny red cube"] * len(rows)
    pair = Pair(sender, Receiver(lm), small_world)
    trainer = make_trainer(pair, tmp_path, labels="exact")
    assert set(messages_of(trainer).utterance.texts) == {"tiny red cube"}


def test_messages_differ_from_step_to_step(pair, tmp_path):
    trainer = make_trainer(pair, tmp_path, alignment_steps=2, alignment_batch=10)
    one, other = messages_of(trainer).sender_views, messages_of(trainer).sender_views
    assert not torch.equal(one, other)


def test_fixed_samples_are_counted_from_the_first_step_of_play(pair, tmp_path, monkeypatch):
    trainer = make_trainer(pair, tmp_path, alignment_steps=2, fixed_episodes=9)
    steps, draw = [], trainer.episodes.draw

    def noted(size, step, rng):
        steps.append((size, step))
        return draw(size, step, rng)

    monkeypatch.setattr(trainer.episodes, "draw", noted)
    for _ in range(4):
        trainer.step()
    assert steps == [(4, 0), (4, 1)]


@pytest.mark.parametrize(
    "objectives", [only(ce=1.0), only(ce=1.0, quantizer=1.0), only(reinforce=1.0, entropy=0.1)]
)
def test_there_must_be_something_to_align_by(objectives):
    with pytest.raises(ValueError, match="alignment_steps must be 0 without") as caught:
        TrainConfig(alignment_steps=3, objectives=objectives)
    assert str(caught.value) == (
        "alignment_steps must be 0 without an objective of messages alone, such as reconstruction, got 3"
    )
    assert TrainConfig(alignment_steps=0, objectives=objectives).alignment_steps == 0


@pytest.mark.parametrize("name", ["reconstruction", "attributes", "state_reconstruction", "info_preserve"])
def test_any_term_of_messages_is_enough_to_align_by(name):
    assert TrainConfig(alignment_steps=3, objectives=only(**{name: 1.0})).alignment_steps == 3


def test_the_codes_may_be_placed_while_aligning(pair, tmp_path):
    """At their share of all steps, whoever listens."""
    trainer = make_trainer(pair, tmp_path, alignment_steps=4, continuous_share=0.5)
    records = [trainer.step() for _ in range(4)]
    assert trainer.channel.ready
    assert [record["quantizer"] > 0 for record in records] == [False, False, True, True]
