"""What the pocket is taught: the same words that the agents use, and training referents only."""

import numpy as np
import pytest
import torch

from parley.agents.prompts import LABELS, SLOT, receiver_prompt, sender_prompt, slot_text
from parley.envs.world import objects_world
from studies.pocket_lessons import CURRICULUM, IGNORED, Lessons, Stage, corpus, encode_lessons
from studies.pocket_model import PocketConfig, train_tokenizer

WORLD = objects_world()
FULL = Stage(num_attributes=(4,), num_candidates=(5,), shared=0.5, shuffled_labels=0.0)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(corpus(WORLD), PocketConfig())


def candidates_of(pieces):
    lines = pieces[0][0].splitlines()
    return [line.split(": ", 1)[1] for line in lines if line[1:3] == ": "]


def messages_of(pieces):
    return [text.strip() for text, _ in pieces if text.startswith(" ")]


@pytest.mark.parametrize("stage", CURRICULUM)
def test_the_answer_is_the_label_of_the_candidate_that_the_message_names(stage):
    for pieces in Lessons(WORLD, 4).receiver_batch(stage, 8, np.random.default_rng(0)):
        candidates = candidates_of(pieces)
        labels = [line[0] for line in pieces[0][0].splitlines() if line[1:3] == ": "]
        answers = [text for text, learned in pieces if learned]
        assert len(set(candidates)) == len(candidates) == len(set(labels))
        assert len(candidates) in stage.num_candidates
        assert [labels[candidates.index(message)] for message in messages_of(pieces)] == answers


@pytest.mark.parametrize(("share", "ordered"), [(0.0, 40), (1.0, 0)])
def test_labels_are_shuffled_as_often_as_the_stage_says(share, ordered):
    stage = Stage(num_attributes=(4,), num_candidates=(5,), shuffled_labels=share)
    lessons = Lessons(WORLD, 1).receiver_batch(stage, 40, np.random.default_rng(0))
    letters = ["".join(t[0] for t in pieces[0][0].splitlines() if t[1:3] == ": ") for pieces in lessons]
    assert letters.count("ABCDE") == ordered


def test_only_training_referents_occur():
    training = {WORLD.describe(referent) for referent in WORLD.referents("train")}
    rng, lessons = np.random.default_rng(0), Lessons(WORLD, 2)
    for _ in range(200):
        assert set(candidates_of(lessons.receiver_lesson(FULL, 4, 5, rng))) <= training
        assert lessons.sender_lesson(rng)[1][0].removesuffix("<|im_end|>") in training


def test_targets_are_drawn_with_replacement():
    rng, lessons = np.random.default_rng(0), Lessons(WORLD, 4)
    repeats = sum(len(set(messages_of(lessons.receiver_lesson(FULL, 4, 5, rng)))) < 4 for _ in range(200))
    assert repeats / 200 == pytest.approx(1 - 5 * 4 * 3 * 2 / 5**4, abs=0.1)


def test_a_lesson_is_what_the_chat_template_renders(tokenizer):
    pieces = Lessons(WORLD, 1).receiver_lesson(FULL, 4, 5, np.random.default_rng(0))
    prompt = receiver_prompt(candidates_of(pieces)).replace(SLOT, slot_text(messages_of(pieces)[0]))
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    assert "".join(text for text, learned in pieces if not learned) == rendered


def test_the_sender_s_lesson_is_what_the_chat_template_renders(tokenizer):
    pieces = Lessons(WORLD, 1).sender_lesson(np.random.default_rng(0))
    words = pieces[1][0].removesuffix("<|im_end|>").split()
    facts = [(a.name, w) for a, w in zip(WORLD.attributes, words, strict=True)]
    rendered = tokenizer.apply_chat_template(
        [
            {"role": "user", "content": sender_prompt(facts)},
            {"role": "assistant", "content": " ".join(words)},
        ],
        tokenize=False,
    )
    assert "".join(text for text, _ in pieces) + "\n" == rendered


def test_labels_stand_only_where_something_is_to_be_said(tokenizer):
    def encode(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    rng, lessons = np.random.default_rng(0), Lessons(WORLD, 3)
    ids, labels = encode_lessons([lessons.receiver_lesson(FULL, 4, 5, rng) for _ in range(4)], encode, 0)
    said = labels != IGNORED
    assert said.sum(-1).tolist() == [3, 3, 3, 3]
    assert torch.equal(ids[said], labels[said])
    assert set(tokenizer.convert_ids_to_tokens(labels[said])) <= set(LABELS[:5])


def test_pieces_encode_as_the_whole_text_does(tokenizer):
    pieces = Lessons(WORLD, 3).receiver_lesson(FULL, 4, 5, np.random.default_rng(1))
    apart = [i for text, _ in pieces for i in tokenizer(text, add_special_tokens=False)["input_ids"]]
    assert apart == tokenizer("".join(text for text, _ in pieces), add_special_tokens=False)["input_ids"]


def test_every_value_is_one_token_in_a_message(tokenizer):
    for attribute in WORLD.attributes:
        for value in attribute.values:
            assert len(tokenizer(slot_text(value), add_special_tokens=False)["input_ids"]) == 1


def test_shorter_lessons_are_padded_on_the_right():
    ids, labels = encode_lessons(
        [[("ab", False), ("c", True)], [("a", True)]], lambda t: list(map(ord, t)), 0
    )
    assert ids.tolist() == [[97, 98, 99], [97, 0, 0]]
    assert labels.tolist() == [[IGNORED, IGNORED, 99], [97, IGNORED, IGNORED]]
