"""A round of the game as text for a person to follow."""

from __future__ import annotations

import json
from string import ascii_uppercase
from typing import Any

import numpy as np

from parley.envs.game import Episode, Game


def show_round(
    game: Game, episode: Episode, message: Any, choice: int | None, number: int, num_rounds: int
) -> str:
    """Candidates with letters, the target marked, the message, the choice and whether it is right.

    Args:
        game: names the candidates, and says which choice is right.
        episode: what is played.
        message: an element of a message space, or None if none was sent yet.
        choice: position of the chosen candidate, or None if none was chosen yet.
        number: which round it is, from 1.
        num_rounds: how many there are.
    """
    lines = [f"round {number} of {num_rounds}"]
    for position, option in enumerate(game.world.options(episode.receiver_view)):
        mark = "  <- target" if position == episode.target else ""
        lines.append(f"  {letter(position)}  {option}{mark}")
    lines.append(f"message: {'-' if message is None else show_message(message)}")
    if choice is None:
        lines.append("choice:  -")
    else:
        outcome = "success" if game.succeeds(episode, choice) else "failure"
        lines.append(f"choice:  {letter(choice)}, {outcome}")
    return "\n".join(lines)


def show_message(message: Any) -> str:
    """A message in one line: text quoted, codes as numbers, vectors as shape and norm."""
    if isinstance(message, str):
        return json.dumps(message, ensure_ascii=False)
    if np.issubdtype(message.dtype, np.integer):
        return " ".join(map(str, np.ravel(message).tolist()))
    return f"shape {message.shape}, norm {np.linalg.norm(message):.3f}"


def letter(position: int) -> str:
    """A to Z for positions 0 to 25, then AA, BB and so on."""
    return ascii_uppercase[position % 26] * (position // 26 + 1)
