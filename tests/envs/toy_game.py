"""A toy game with a rule of its own: the sender sees a number, and the choice of the next one is right."""

from typing import NamedTuple

import numpy as np
from gymnasium.spaces import MultiDiscrete

from parley.envs.game import EpisodeConfig
from parley.envs.listed_world import ListedWorld

NUMBERS = ListedWorld.of("numbers", ("number",), [(str(number),) for number in range(10, 40)])


class NextEpisode(NamedTuple):
    """What the sender sees, what the receiver sees, and which choice is right."""

    sender_view: np.ndarray  # (1,)
    receiver_view: np.ndarray  # (N, 1)
    target: int


class NextNumber:
    """Takes the arguments that every game gets; brings a world of its own."""

    def __init__(self, world=NUMBERS, config=EpisodeConfig()):  # noqa: B008 - immutable
        self.world, self.num_choices, self.chance = NUMBERS, config.num_candidates, 1 / config.num_candidates
        self.sender_space = MultiDiscrete(NUMBERS.num_values)
        self.receiver_space = MultiDiscrete(np.tile(NUMBERS.num_values, (self.num_choices, 1)))
        self.split = config.split

    def draw(self, rng):
        numbers = rng.permutation(self.world.referents(self.split))[: self.num_choices]
        return self.retargeted(NextEpisode(numbers[0], numbers, 0), int(rng.integers(self.num_choices)))

    def draw_many(self, size, rng):
        return [self.draw(rng) for _ in range(size)]

    def check(self, episodes):
        return list(episodes)

    def succeeds(self, episode, choice):
        return bool((episode.sender_view + 1) % self.world.size == episode.receiver_view[choice])

    def retargeted(self, episode, choice):
        before = (episode.receiver_view[choice] - 1) % self.world.size
        return episode._replace(sender_view=before, target=choice)

    def reordered(self, episode, order):
        place = int(np.flatnonzero(order == episode.target)[0])
        return NextEpisode(episode.sender_view, episode.receiver_view[order], place)
