"""What is measured beside the episodes explains a verdict: no run is lost for it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import MultiDiscrete

from parley.channels.base import TextInput, Utterance
from parley.channels.text import TextChannel
from parley.evaluation.diagnostics.diagnose import diagnose
from parley.evaluation.playing import examine
from parley.evaluation.playing.entry import Entry
from parley.evaluation.playing.plan import PlayConfig
from parley.evaluation.sealing.breach import Breach


def test_what_cannot_be_diagnosed_is_played_all_the_same(pocket_pair, monkeypatch, caplog):
    raised = {"mine": RuntimeError("more\ncodes than memory"), "hers": Breach("finite", "it is not")}

    def found(pair: Any, entries: Any) -> Any:
        raise raised[next(iter(entries))]

    monkeypatch.setattr(examine, "examine", found)
    entries = {
        name: Entry(TextChannel(TextChannel.Config(), pocket_pair.interface).eval())
        for name in ("mine", "hers", "gone")
    }
    breaches = {"gone": Breach("runs", "it went")}
    assert examine.measure(pocket_pair, entries, PlayConfig(), breaches) == ({}, {})
    assert {name: breach.promise for name, breach in breaches.items()} == {"hers": "finite", "gone": "runs"}
    assert caplog.messages == ["mine is not diagnosed: RuntimeError: more codes than memory"]


def test_codes_that_begin_elsewhere_and_are_very_many_are_diagnosed(pocket_pair):
    class Far(TextChannel):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.message_space = MultiDiscrete([1 << 40], start=[-7])

        def send(self, utterance: Utterance) -> list[Any]:
            return [np.array([len(text) - 7]) for text in utterance.texts]

        def receive(self, messages: Sequence[Any]) -> Any:
            return TextInput([str(message) for message in messages])

    referents = pocket_pair.world.referents("test")[:8]
    codes = diagnose(pocket_pair, Far(TextChannel.Config(), pocket_pair.interface).eval(), referents)["codes"]
    assert codes["codebook_size"] == 1 << 40
    assert 1 <= codes["perplexity"] <= 8
