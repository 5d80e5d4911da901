"""The prompts are pure strings without traps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.agents import prompts as agents_prompts
from parley.agents.prompts import LABELS, SLOT, cut_at_slot, receiver_prompt, sender_prompt, slot_text
from parley.envs.world import objects_world

FACTS = (("size", "small"), ("colour", "red"))


def test_no_prompt_holds_braces() -> None:
    """Failure 12: `{json}` in a prompt was copied by the model."""
    prompts = [sender_prompt(FACTS), receiver_prompt(["small red", "huge blue"])]
    prompts += [
        value for value in vars(agents_prompts).values() if isinstance(value, str) and "\n" not in value
    ]
    prompts = [text for text in prompts if text != str(Path(agents_prompts.__file__))]
    for text in prompts:
        assert not re.search(r"[{}<>%]", text), text


def test_the_prompts_word_for_word() -> None:
    """The pocket was pretrained on these."""
    assert sender_prompt(FACTS) == (
        "Describe this object by its values alone, in this order.\nsize: small\ncolour: red"
    )
    assert receiver_prompt(["small red", "huge blue"]) == (
        "Which candidate does the message describe? Answer with its letter only.\n"
        "A: small red\nB: huge blue\nMessage:⟦message⟧"
    )
    assert slot_text("small red") == " small red"
    assert slot_text("") == "", "an empty message is silence"


@given(st.lists(st.text(max_size=20).filter(lambda text: SLOT not in text), min_size=1, max_size=26))
def test_the_slot_stands_once_and_after_all_candidates(descriptions: list[str]) -> None:
    before, after = cut_at_slot(receiver_prompt(descriptions) + "<|im_end|>")
    assert SLOT not in before + after
    assert after == "<|im_end|>"
    for label, text in zip(LABELS, descriptions, strict=False):
        assert f"{label}: {text}" in before


def test_there_are_26_labels() -> None:
    assert "".join(LABELS) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    receiver_prompt(["x"] * 26)
    with pytest.raises(ValueError, match="at most 26 candidates can be labelled, got 27"):
        receiver_prompt(["x"] * 27)


def test_a_candidate_cannot_hold_the_slot() -> None:
    with pytest.raises(ValueError, match="a candidate's description holds the slot's mark"):
        receiver_prompt(["red", f"blue{SLOT}"])


@pytest.mark.parametrize(("rendered", "count"), [("no slot", 0), (f"{SLOT} and {SLOT}", 2)])
def test_a_template_that_drops_or_repeats_the_slot_is_refused(rendered: str, count: int) -> None:
    with pytest.raises(ValueError, match=f"must keep the slot's mark exactly once, found {count}"):
        cut_at_slot(rendered)


def test_the_receivers_prompt_never_names_the_target() -> None:
    """It is a function of the candidates alone, and the slot stands after them."""
    world = objects_world()
    descriptions = [world.describe(r) for r in world.referents("test")[:5]]
    text = receiver_prompt(descriptions)
    assert all(text.count(description) == 1 for description in descriptions)
