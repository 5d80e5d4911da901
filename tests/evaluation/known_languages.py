"""Channels whose language is known, and a pair of which only the sender is asked."""

import numpy as np
import torch
from gymnasium.spaces import MultiDiscrete

from parley.agents.pair import Pair
from parley.channels.base import Channel, ChannelConfig, SoftPrompt, Utterance
from parley.channels.testing import ENDS


class PerfectSender:
    """Says what it sees, and remembers how many it was asked about at once."""

    def __init__(self, world):
        self.world, self.asked, self.readings = world, [], []

    def speak(self, referents, reading=None):
        self.asked.append(len(referents))
        self.readings.append(reading)
        states = torch.from_numpy(referents).float()[:, None].expand(-1, 2, -1)
        return Utterance(
            [self.world.describe(referent) for referent in referents],
            states.repeat(1, 1, 6),
            torch.ones(states.shape[:2], dtype=torch.bool),
        )


class KnownPair(Pair):
    """A pair of which only the sender and the widths are asked."""

    def __init__(self, world):
        self.sender, self.world = PerfectSender(world), world

    @property
    def interface(self):
        return ENDS


class Spelling(Channel):
    """A code a word: slot a says attribute a, in numbers of its own."""

    name = "spelling"

    def __init__(self, world, size=8):
        super().__init__(ChannelConfig(), ENDS)
        self.words = [attribute.values for attribute in world.attributes]
        self.message_space = MultiDiscrete([size] * len(self.words))
        self.eval()

    def send(self, utterance):
        return [
            np.array(
                [len(known) - known.index(word) for known, word in zip(self.words, text.split(), strict=True)]
            )
            for text in utterance.texts
        ]

    def receive(self, messages):
        vectors = torch.zeros(len(messages), len(self.words), ENDS.embedding_width)
        for row, message in enumerate(messages):
            vectors[row, range(len(message)), message] = 3.0
        return SoftPrompt(vectors)

    def message_bits(self, message):
        return 3.0 * len(message)


class Saying(Spelling):
    """Sends whatever it is told to."""

    def __init__(self, world, space, say):
        super().__init__(world)
        self.message_space, self.say = space, say

    def send(self, utterance):
        return [self.say(text) for text in utterance.texts]

    def receive(self, messages):
        return SoftPrompt(torch.zeros(len(messages), 0, ENDS.embedding_width))
