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


class Turn(NamedTuple):
    """A user's turn and its answer, shown as a solved example."""

    user: str
    assistant: str


class Wording(NamedTuple):
    """How a receiver is asked: the first line, and the line after the message, if there is one."""

    question: str
    after: str = ""


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


def receiver_prompt(
    descriptions: Sequence[str],
    labels: Sequence[str] = LABELS,
    wording: Wording = Wording(RECEIVER_INSTRUCTION),  # noqa: B008 - immutable
) -> str:
    """The receiver's turn with labelled candidates, then the message's place.

    Args:
        descriptions: one text a candidate, at most 26.
        labels: the candidates' letters.
        wording: what is asked.

    Raises:
        ValueError: if there are more candidates than labels, or one holds the slot's mark.
    """
    if len(descriptions) > len(labels):
        raise ValueError(f"at most {len(labels)} candidates can be labelled, got {len(descriptions)}")
    lines = [f"{label}: {text}" for label, text in zip(labels, descriptions, strict=False)]
    return listing_prompt(lines, wording)


def listing_prompt(lines: Sequence[str], wording: Wording) -> str:
    """A question, one line a candidate, the message's place, and what is asked after it, if anything is.

    Raises:
        ValueError: if a candidate holds the slot's mark.
    """
    if any(SLOT in line for line in lines):
        raise ValueError(f"a candidate's description holds the slot's mark {SLOT!r}")
    after = [wording.after] if wording.after else []
    return "\n".join([wording.question, *lines, f"Message:{SLOT}", *after])


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
