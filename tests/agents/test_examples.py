"""Solved examples: drawn once by a seed among training referents, and shown as earlier turns of the chat."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import AS_LETTERS
from likelihood_cases import CALIBRATED, ROWS, receiver_of

from parley.agents.examples import MOST_SHOTS, NUM_NEUTRAL, Examples, draw_examples
from parley.agents.language_model import FrozenLM, ModelError
from parley.agents.pair import ModelConfig, Pair
from parley.agents.player import ReceiverSettings, SenderSettings
from parley.agents.prompts import LABELS, sender_prompt
from parley.agents.receiver import Receiver
from parley.agents.sender import Sender
from parley.envs.game import DEFAULT_GAME, EpisodeConfig, find_game
from parley.envs.world import World

# what comes before the last turn depends on the length of its words
FORGETFUL = (
    "{{ messages[-1]['content'] | length }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
)


def drawn(world: World, seed: int = 0, num_candidates: int = 5) -> Examples:
    episodes = EpisodeConfig(split="train", num_candidates=num_candidates)
    return draw_examples(find_game(DEFAULT_GAME, world, episodes), seed)


def test_they_are_of_the_training_split_and_of_a_seed_alone(small_world: World) -> None:
    examples = drawn(small_world)
    known = {small_world.describe(referent) for referent in small_world.referents("train")}
    said = [example.message for example in examples.spoken]
    assert {*said, *examples.neutral, *(text for each in examples.solved for text in each.options)} <= known
    assert len({*said, *examples.neutral}) == MOST_SHOTS + NUM_NEUTRAL, "no message that calibrates is shown"
    assert examples == drawn(small_world)
    assert examples != drawn(small_world, seed=1)


def test_each_is_solved_and_its_facts_are_described(small_world: World) -> None:
    examples = drawn(small_world)
    for solved in examples.solved:
        assert solved.options[solved.target] == solved.message
        assert len(set(solved.options)) == 5
    for facts, message in examples.spoken:
        assert all(value in message for _, value in facts)


@pytest.mark.parametrize(("num_candidates", "most"), [(2, 2), (3, 2), (5, 1)])
def test_right_candidates_stand_apart(small_world: World, num_candidates: int, most: int) -> None:
    for seed in range(5):
        places = Counter(each.target for each in drawn(small_world, seed, num_candidates).solved)
        assert max(places.values()) == most
        assert len(places) == min(num_candidates, MOST_SHOTS)


def test_what_a_sender_is_shown_does_not_depend_on_the_number_of_candidates(small_world: World) -> None:
    one, other = drawn(small_world), drawn(small_world, num_candidates=3)
    assert (one.spoken, one.neutral) == (other.spoken, other.neutral)


def test_a_split_of_few_referents_is_enough(small_world: World) -> None:
    attributes = tuple(replace(each, values=each.values[:2]) for each in small_world.attributes)
    few = replace(small_world, attributes=attributes, split_fractions=(0.5, 0.25, 0.25), split_seed=28)
    assert len(few.referents("train")) == 4
    examples = drawn(few, num_candidates=2)
    assert (len(examples.spoken), len(examples.neutral)) == (MOST_SHOTS, NUM_NEUTRAL)


@pytest.mark.parametrize(
    ("settings", "reply"),
    [(CALIBRATED, lambda solved: solved.message), (ReceiverSettings(), lambda solved: LABELS[solved.target])],
    ids=["likelihood", "label"],
)
def test_a_receiver_is_shown_the_first_with_their_answers(
    lm: FrozenLM, small_world: World, settings: ReceiverSettings, reply
) -> None:
    examples = drawn(small_world, num_candidates=3)
    receiver = Receiver(lm, replace(settings, shots=2), examples)
    assert [turn.assistant for turn in receiver.turns] == [reply(solved) for solved in examples.solved[:2]]
    for turn, solved in zip(receiver.turns, examples.solved, strict=False):
        assert f"Message: {solved.message}" in turn.user
        assert all(option in turn.user for option in solved.options)
    context = receiver.read(ROWS[:1])
    chat = lm.render(receiver.readout.prompt(ROWS[0]), receiver.turns).split("⟦message⟧")[0]
    assert lm.tokenizer.decode(context.ids[0]) == chat, "the examples stand before the candidates, once"
    assert lm.encode(chat) == context.ids[0].tolist(), "and are the same tokens as in one piece"


def test_a_sender_is_shown_the_first_and_is_then_another(lm: FrozenLM, small_world: World) -> None:
    examples = drawn(small_world)
    none, one, two = (Sender(lm, small_world, SenderSettings(shots=n), examples) for n in (0, 1, 2))
    assert none.fingerprint == lm.fingerprint
    assert len({none.fingerprint, one.fingerprint, two.fingerprint}) == 3
    assert [turn.assistant for turn in two.turns] == [example.message for example in examples.spoken[:2]]
    referent = small_world.referents("test")[0]
    for sender in (none, one, two):
        read = lm.tokenizer.decode(sender.shown + sender.prompts([referent])[0])
        assert read == lm.render(sender_prompt(small_world.facts(referent)), sender.turns)
    assert len(none.shown) == 0 < len(one.shown) < len(two.shown)
    assert two.num_positions == one.num_positions, "what is shown is not read of a referent"


def test_both_players_of_a_pair_are_shown_what_its_seed_draws(qwen2_folder: Path, small_world: World) -> None:
    pair = Pair.load(ModelConfig(model=str(qwen2_folder), **AS_LETTERS | {"shots": 1}), small_world)
    examples = drawn(small_world)
    assert [turn.assistant for turn in pair.sender.turns] == [examples.spoken[0].message]
    assert [turn.assistant for turn in pair.receiver.turns] == [LABELS[examples.solved[0].target]]
    assert pair.fingerprints == {"sender": pair.sender.fingerprint, "receiver": pair.receiver.lm.fingerprint}


def test_a_template_that_renders_them_differently_each_time_is_refused(qwen2_folder: Path) -> None:
    lm = FrozenLM(str(qwen2_folder))
    lm.tokenizer.chat_template = FORGETFUL
    with pytest.raises(ModelError, match="renders earlier turns differently before another question"):
        receiver_of(lm).read(ROWS)
