"""What the two agents are told: pure strings, the same for every model.

The receiver's prompt holds SLOT where the message stands, after everything that does not
depend on it. A chat template is rendered around the prompt and then cut at SLOT.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import NamedTuple

SLOT = "⟦message⟧"
LABELS = tuple(ascii_uppercase)
SENDER_INSTRUCTION = "Describe this object by its values alone, in this order."
RECEIVER_INSTRUCTION = "Which candidate does the message describe? Answer with its letter only."


class SlottedPrompt(NamedTuple):
    """The text before and after the message's place."""

    before: str
    after: str


def sender_prompt(facts: Sequence[tuple[str, str]]) -> str:
    """The sender's turn: the target's attributes, one a line.

    Args:
        facts: attribute and value names, such as `("colour", "red")`.
    """
    return "\n".join([SENDER_INSTRUCTION, *(f"{name}: {value}" for name, value in facts)])


def receiver_prompt(descriptions: Sequence[str], labels: Sequence[str] = LABELS) -> str:
    """The receiver's turn: the labelled candidates, then the message's place.

    Args:
        descriptions: one text a candidate, at most 26.
        labels: the candidates' letters.

    Raises:
        ValueError: if there are more candidates than labels, or one holds the slot's mark.
    """
    if len(descriptions) > len(labels):
        raise ValueError(f"at most {len(labels)} candidates can be labelled, got {len(descriptions)}")
    lines = [f"{label}: {text}" for label, text in zip(labels, descriptions, strict=False)]
    if any(SLOT in line for line in lines):
        raise ValueError(f"a candidate's description holds the slot's mark {SLOT!r}")
    return "\n".join([RECEIVER_INSTRUCTION, *lines, f"Message:{SLOT}"])


def cut_at_slot(rendered: str) -> SlottedPrompt:
    """Cut a rendered chat at the message's place.

    Raises:
        ValueError: if the slot's mark does not occur exactly once (a template that drops or
            repeats the user's words cannot be used).
    """
    if (count := rendered.count(SLOT)) != 1:
        raise ValueError(f"the chat template must keep the slot's mark exactly once, found {count}")
    before, after = rendered.split(SLOT)
    return SlottedPrompt(before, after)


def slot_text(message: str) -> str:
    """How a text message stands in the slot: after `Message:`, separated by one space."""
    return f" {message}" if message else ""
