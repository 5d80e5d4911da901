"""Solved examples that a player is shown, and messages that say nothing about the episode at hand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from parley.envs.game import Game

MOST_SHOTS = 4
NUM_NEUTRAL = 4
"""Messages by which a readout is calibrated."""
_EXAMPLES = 3  # beside what evaluation draws from its own seeds


class Spoken(NamedTuple):
    """What a sender sees, as attribute and value names, and its exact description."""

    facts: tuple[tuple[str, str], ...]
    message: str


class Solved(NamedTuple):
    """What a receiver sees: the candidates' descriptions, a message, and the candidate it describes."""

    options: list[str]
    message: str
    target: int


class Examples(NamedTuple):
    """What is drawn once for a pair.

    Attributes:
        spoken: for the sender, of which it is shown the first k.
        solved: for the receiver, likewise.
        neutral: descriptions that are of no candidate in particular.
    """

    spoken: list[Spoken]
    solved: list[Solved]
    neutral: list[str]


NO_EXAMPLES = Examples([], [], [])


def draw_examples(game: Game, seed: int) -> Examples:
    """Examples of a game about the training split, the same for every run of a seed.

    What the sender is shown does not depend on the game's number of candidates, so that a codec that was
    trained among some reads the same states among others. The right candidates stand in different places.
    Where the split has fewer referents than are drawn, some come twice.

    Args:
        game: about the training split.
        seed: of the draw.
    """
    world, rng = game.world, np.random.default_rng([seed, _EXAMPLES])
    everyone = world.referents("train")
    num = MOST_SHOTS + NUM_NEUTRAL
    drawn = everyone[rng.choice(len(everyone), num, replace=len(everyone) < num)]
    words = [Spoken(world.facts(referent), world.describe(referent)) for referent in drawn]
    places = rng.permutation(game.num_choices)
    solved = [_solve(game, rng, int(places[i % len(places)])) for i in range(MOST_SHOTS)]
    return Examples(words[:MOST_SHOTS], solved, [each.message for each in words[MOST_SHOTS:]])


def _solve(game: Game, rng: np.random.Generator, place: int) -> Solved:
    episode = game.retargeted(game.draw(rng), place)
    return Solved(game.world.options(episode.receiver_view), game.world.describe(episode.sender_view), place)
