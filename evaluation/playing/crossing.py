"""What crosses a channel in some episodes: under all conditions at once, in an order that tells nothing.

The sender is told of everything that any condition needs, once and in a shuffled order; distinct messages are
received once and in another. So neither the number of calls nor a place in a batch tells a condition, an
episode, or what was sent for whom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from parley.agents.pair import Pair, ReceiverView
from parley.channels.base import Message, ReceiverInput
from parley.channels.canonical import decode, describe_space, encode, log2_size, make_space
from parley.channels.conditions import Condition, Told
from parley.channels.conditions.random import random_message
from parley.channels.prices import NUM_PROBES, PriceList, underpriced
from parley.envs.batched import BatchedEnv
from parley.envs.rules import RECEIVER, SENDER
from parley.evaluation.playing.entry import Entry, conditions_of
from parley.evaluation.playing.plan import EpisodePlan, PlayConfig, message_rng, order_rng
from parley.evaluation.playing.stopwatch import timed
from parley.evaluation.sealing.breach import Breach, keeps

SAMPLE = 200
"""Episodes whose messages stand for the distribution of all, where a condition asks for it."""

T = TypeVar("T")


class Delivery(NamedTuple):
    """What is delivered under one condition, one entry an episode."""

    messages: list[Message]
    receiver_input: ReceiverInput
    bits: list[float]
    rngs: list[np.random.Generator]


class Crossing:
    """One channel in a run: its environments, its prices, and the sample of its messages.

    Args:
        pair: who plays.
        name: under which the channel plays.
        entry: the channel, in eval mode.
        plan: the episodes.
        config: their seed, and how many are played at once.
        sent: the messages, where they were sent beforehand; by default the sender speaks.
    """

    def __init__(
        self,
        pair: Pair,
        name: str,
        entry: Entry,
        plan: EpisodePlan,
        config: PlayConfig,
        sent: Mapping[Told, bytes] | None = None,
    ) -> None:
        self._pair, self._name, self._plan, self._config = pair, name, plan, config
        self._channel, self.conditions = entry.channel, conditions_of(entry)
        with keeps("messages_in_space"):
            self._space = make_space(describe_space(self._channel.message_space))
        self.envs = {condition.name: BatchedEnv(plan.game, self._space) for condition in self.conditions}
        self._sent = sent
        self._prices = PriceList()
        self._sample: dict[Told, bytes] = {}
        self._sample_messages: list[tuple[int, Message]] = []
        self._check_prices()

    def _check_prices(self) -> None:
        """Ask for prices of uniform messages, mostly of one: the check before the run may be seen through.

        Raises:
            Breach: if the channel charges less than its space needs.
        """
        rng = order_rng(self._config, 0, self._name, "prices")
        drawn = (random_message(self._space, rng) for _ in range(NUM_PROBES))
        with keeps("bits_are_honest"):
            lesson = underpriced(log2_size(self._space), map(self._channel.message_bits, drawn))
        if lesson:
            raise Breach("bits_are_honest", lesson)

    def cross(self, rows: range) -> tuple[dict[str, Delivery], float]:
        """Play the senders' part of some episodes.

        Args:
            rows: the episodes.

        Returns:
            The deliveries by condition, and the seconds of sending and receiving all of them.

        Raises:
            Breach: if the channel breaks a promise.
        """
        return timed(lambda: self._receive(rows, self._deliver(rows, self.said(rows))), self._pair.device)

    def _shuffled(self, items: list[T], rows: range, what: str) -> list[T]:
        order = order_rng(self._config, rows.start, self._name, what).permutation(len(items))
        return [items[place] for place in order]

    def told(self, rows: range) -> list[Told]:
        """All that the sender is told of for some episodes, each once."""
        asked = [condition.told(row, self._plan) for condition in self.conditions for row in rows]
        return list(dict.fromkeys([*asked, *self._sampled()]))

    def _sampled(self) -> list[Told]:
        if not any(condition.needs_sample for condition in self.conditions):
            return []
        return [Told(row, int(self._plan.targets[row])) for row in range(min(SAMPLE, self._config.episodes))]

    def said(self, rows: range) -> dict[Told, bytes]:
        """What is sent about all that the sender is told of for some episodes, as canonical bytes."""
        wanted = [told for told in self.told(rows) if told not in self._sample]
        shuffled = self._shuffled(wanted, rows, "send")
        said = dict(self._sample)
        for start in range(0, len(shuffled), self._config.episodes_at_once):
            batch = shuffled[start : start + self._config.episodes_at_once]
            said |= zip(batch, self._send(batch), strict=True)
        if not self._sample:
            self._sample = {told: said[told] for told in self._sampled()}
        return said

    def _send(self, told: Sequence[Told]) -> list[bytes]:
        if self._sent is not None:
            missing = [one for one in told if one not in self._sent]
            if missing:
                raise ValueError(f"the messages must hold those of {self._name!r} about {missing[0]}")
            return [self._sent[one] for one in told]
        episodes = [self._plan.about(one) for one in told]
        observed, _ = BatchedEnv(self._plan.game, self._space).reset(options={"episodes": episodes})
        view = ReceiverView(observed[RECEIVER]["candidates"], [episode.target for episode in episodes])
        utterance = self._pair.speak(self._channel, observed[SENDER]["target"], view)
        with keeps("raises_nothing"):
            messages = self._channel.send(utterance)
        if len(messages) != len(told):
            raise Breach("one_message_each", f"send made {len(messages)} messages of {len(told)} utterances")
        with keeps("messages_in_space"):
            return [encode(self._space, message) for message in messages]

    def _deliver(
        self, rows: range, said: Mapping[Told, bytes]
    ) -> dict[str, tuple[list[Message], list[np.random.Generator]]]:
        """What arrives under each condition, by way of the environment."""
        delivered = {}
        for condition in self.conditions:
            name = condition.name
            rngs = [message_rng(self._config, row, self._name, name) for row in rows]
            messages = [
                condition.deliver(
                    self._decoded(said[condition.told(row, self._plan)]),
                    self._space,
                    rng,
                    self._others(condition, row),
                )
                for row, rng in zip(rows, rngs, strict=True)
            ]
            env = self.envs[name]
            env.reset(options={"episodes": [self._plan.episode(row, condition) for row in rows]})
            observed = env.step({SENDER: messages}).observations[RECEIVER]["message"]
            delivered[name] = (observed, rngs)
        return delivered

    def _decoded(self, message: bytes) -> Message:
        with keeps("messages_in_space"):
            return decode(self._space, message)

    def _others(self, condition: Condition, row: int) -> list[Message]:
        """The sample, without the episode's own message."""
        if not condition.needs_sample:
            return []
        if not self._sample_messages:
            self._sample_messages = [
                (told.episode, self._decoded(sent)) for told, sent in self._sample.items()
            ]
        return [message for episode, message in self._sample_messages if episode != row]

    def _receive(
        self, rows: range, delivered: Mapping[str, tuple[list[Message], list[np.random.Generator]]]
    ) -> dict[str, Delivery]:
        content_free = {condition.name for condition in self.conditions if condition.content_free}
        keys = {
            name: [encode(self._space, message) for message in messages]
            for name, (messages, _) in delivered.items()
        }
        distinct = {key: None for name, row in keys.items() if name not in content_free for key in row}
        received, place = self._receive_distinct(list(distinct), rows) if distinct else (None, {})
        found = {}
        for name, (messages, rngs) in delivered.items():
            bits = [self._price(key, message) for key, message in zip(keys[name], messages, strict=True)]
            if name in content_free:
                receiver_input = self._channel.null_input(len(messages))
            else:
                assert received is not None, "what is not free of content was received"
                receiver_input = received.take(torch.tensor([place[key] for key in keys[name]]))
            found[name] = Delivery(messages, receiver_input, bits, rngs)
        return found

    def _receive_distinct(self, keys: list[bytes], rows: range) -> tuple[ReceiverInput, dict[bytes, int]]:
        """What receivers get for distinct messages, in an order of the judge's."""
        shuffled = self._shuffled(keys, rows, "receive")
        messages = [decode(self._space, key) for key in shuffled]
        with keeps("receiver_input"):
            received = self._channel.receive(messages)
        return received, {key: place for place, key in enumerate(shuffled)}

    def _price(self, key: bytes, message: Message) -> float:
        with keeps("bits_are_honest"):
            bits = float(self._channel.message_bits(message))
        if breach := self._prices.add(key, bits):
            raise Breach("bits_are_honest", breach)
        return bits
