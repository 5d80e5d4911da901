"""What crosses: everything once, in an order that tells nothing, and by nothing that others share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from parley.channels.base import Utterance
from parley.channels.conditions import Told, condition_names, find_condition
from parley.channels.text import TextChannel
from parley.evaluation.playing.crossing import Crossing
from parley.evaluation.playing.entry import Entry
from parley.evaluation.playing.plan import PlayConfig, make_plan
from parley.evaluation.playing.play import play
from parley.evaluation.playing.untouched import checksums
from parley.evaluation.sealing.breach import Breach

CONFIG = PlayConfig(episodes=8, episodes_at_once=4, seed=3)
ROUNDS = (range(4), range(4, 8))


class Diary(TextChannel):
    """Words, and a note of every batch that is asked for."""

    def __init__(self, interface: Any) -> None:
        super().__init__(self.Config(), interface)
        self.sent: list[list[str]] = []
        self.received: list[list[str]] = []

    def send(self, utterance: Utterance) -> list[str]:
        messages = super().send(utterance)
        self.sent.append(messages)
        return messages

    def receive(self, messages: Sequence[str]) -> Any:
        self.received.append(list(messages))
        return super().receive(messages)


def crossing(pair: Any, config: PlayConfig = CONFIG, **options: Any) -> tuple[Diary, Crossing]:
    channel = Diary(pair.interface).eval()
    return channel, Crossing(
        pair, "diary", Entry(channel, "judged"), make_plan(pair.world, config), config, **options
    )


def test_everything_is_sent_once_and_every_distinct_message_received_once(pocket_pair):
    channel, made = crossing(pocket_pair)
    plan = make_plan(pocket_pair.world, CONFIG)
    for rows in ROUNDS:
        sent, told = len(channel.sent), made.told(rows)
        delivered, _ = made.cross(rows)
        assert len(set(told)) == len(told)
        assert list(delivered) == condition_names()
        new = [message for batch in channel.sent[sent:] for message in batch]
        assert all(len(batch) <= CONFIG.episodes_at_once for batch in channel.sent)
        assert len(new) == len(told) - (0 if rows.start == 0 else CONFIG.episodes), "the sample is kept"
        messages = {
            message for name, found in delivered.items() if name != "null" for message in found.messages
        }
        assert Counter(channel.received[-1]) == Counter(messages)
    assert len(channel.received) == len(ROUNDS)
    for name, found in made.cross(ROUNDS[0])[0].items():
        words = [plan.about(find_condition(name).told(row, plan)) for row in ROUNDS[0]]
        if name in ("normal", "null", "shuffle", "swap", "repeat"):
            wanted = pocket_pair.sender.describe(np.stack([episode.sender_view for episode in words]))
            assert found.messages == wanted, name


def test_the_place_in_a_batch_tells_no_condition(pocket_pair):
    """Over 40 seeds, messages of the target stand as early as those of other conditions."""
    places: dict[str, list[float]] = {"normal": [], "swap": [], "random": []}
    plan = make_plan(pocket_pair.world, CONFIG)
    for seed in range(40):
        config = replace(CONFIG, seed=seed, episodes_at_once=8)
        made = Crossing(pocket_pair, "diary", Entry(Diary(pocket_pair.interface).eval()), plan, config)
        order = made._shuffled(list(range(24)), range(8), "receive")
        for number, name in enumerate(places):
            places[name] += [place for place, item in enumerate(order) if item // 8 == number]
    for found in places.values():
        assert np.mean(found) == pytest.approx(11.5, abs=3 * 7 / np.sqrt(40 * 8))


def test_orders_differ_between_sending_receiving_and_rounds(pocket_pair):
    _, made = crossing(pocket_pair)
    items = list(range(50))
    orders = [made._shuffled(items, rows, what) for rows in ROUNDS for what in ("send", "receive")]
    assert len(set(map(tuple, [items, *orders]))) == 5
    assert made._shuffled(items, ROUNDS[0], "send") == orders[0], "the same run draws the same"


def test_a_sample_is_without_the_episodes_own_message(pocket_pair, monkeypatch):
    seen: list[list[str]] = []
    matched = type(find_condition("matched"))
    deliver = matched.deliver

    def noted(self: Any, message: Any, space: Any, rng: Any, sample: Any = ()) -> Any:
        seen.append(list(sample))
        return deliver(self, message, space, rng, sample)

    monkeypatch.setattr(matched, "deliver", noted)
    _, made = crossing(pocket_pair)
    made.cross(ROUNDS[0])
    plan = make_plan(pocket_pair.world, CONFIG)
    own = pocket_pair.sender.describe(np.stack([episode.sender_view for episode in plan.episodes]))
    for row, sample in zip(ROUNDS[0], seen, strict=True):
        assert Counter(sample) == Counter(own[:row] + own[row + 1 :])


def test_messages_that_were_sent_before_are_heard_and_none_is_asked_for(pocket_pair):
    _, speaking = crossing(pocket_pair)
    sent: dict[Told, bytes] = {}
    for rows in ROUNDS:
        sent |= speaking.said(rows)
    channel, hearing = crossing(pocket_pair, sent=sent)
    for rows in ROUNDS:
        assert hearing.cross(rows)[0]["swap"].messages == speaking.cross(rows)[0]["swap"].messages
    assert channel.sent == []
    with pytest.raises(ValueError, match="the messages must hold those of 'diary' about Told"):
        crossing(pocket_pair, sent={})[1].cross(ROUNDS[0])


class Changing(TextChannel):
    role = "judged"

    def message_bits(self, message: str) -> float:
        return super().message_bits(message) + np.random.default_rng().random()


class Free(TextChannel):
    role = "judged"

    def message_bits(self, message: str) -> float:
        return 2000.0 if len(message) > 200 else 0.5


@pytest.mark.parametrize(
    ("kind", "lesson"),
    [
        (Changing, "bits_are_honest: the same message costs"),
        (Free, "bits_are_honest: .* different messages crossed, some for 0.5 bits"),
    ],
)
def test_the_judge_adds_up_prices_itself(pocket_pair, kind, lesson):
    channel = kind(kind.Config(), pocket_pair.interface).eval()
    with pytest.raises(Breach, match=lesson):
        list(play(pocket_pair, {"mine": Entry(channel)}, CONFIG))


class Spoils(TextChannel):
    """Finds what the receiver has read, and changes it once it is asked."""

    def receive(self, messages: Sequence[str]) -> Any:
        self.spoil()
        return super().receive(messages)


def test_who_changes_what_others_share_is_named_and_the_others_play_on(pocket_pair, monkeypatch):
    """In one process nothing else keeps a channel from it; what was read is read again."""
    read: list[Any] = []
    kept = pocket_pair.read
    monkeypatch.setattr(pocket_pair, "read", lambda views: read.append(kept(views)) or read[-1])
    spoiler = Spoils(Spoils.Config(), pocket_pair.interface).eval()
    spoiler.spoil = lambda: read[-1].layers[0][0].view(-1)[0].add_(1)
    honest = TextChannel(TextChannel.Config(), pocket_pair.interface).eval()
    config = replace(CONFIG, episodes=4)
    breaches: dict[str, Breach] = {}
    entries = {"first": Entry(honest), "spoiler": Entry(spoiler), "last": Entry(honest)}
    records = [r for batch in play(pocket_pair, entries, config, breaches=breaches) for r in batch]
    assert {name: str(breach) for name, breach in breaches.items()} == {
        "spoiler": "changes_nothing: it changed what the receiver has read"
    }
    shares = [
        [(r.choice, r.probabilities) for r in records if (r.channel, r.condition) == (name, "swap")]
        for name in ("first", "last")
    ]
    assert shares[0] == shares[1]
    assert len(shares[0]) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.bool, torch.int8])
def test_a_checksum_notices_one_number(dtype):
    tensor = torch.zeros(3, 4).to(dtype).t()
    before = checksums({"mine": [tensor]})
    assert checksums({"mine": [tensor.clone()]}) == before
    tensor[1, 1] = 1
    assert checksums({"mine": [tensor]}) != before
