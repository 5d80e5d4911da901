"""A sealed channel is the open one, says of itself what can be used, and runs beside no other package."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import torch

import parley.plugins.registry
from parley.channels.registry import CHANNELS, channel_class
from parley.channels.testing import ENDS
from parley.evaluation.playing.entries import enter
from parley.evaluation.playing.entry import Entry
from parley.evaluation.playing.play import PlayConfig, play
from parley.evaluation.sealing.cards import read_cards
from parley.evaluation.sealing.sealed import SealedChannel, _read_facts
from parley.evaluation.sealing.training_world import training_part
from parley.plugins.registry import PluginError

FACTS: dict[str, Any] = {
    "name": "mine", "role": "judged", "conditions": None, "settings": {"k": 4}, "space": {"kind": "Discrete"},
    "features": [0.5, "prompt", "states"], "trainable": False, "sees_scene": False, "at_start": False,
    "num_slots": 4, "codes_per_slot": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "lesson"),
    [
        ({"role": "king"}, "role must be one of judged"),
        ({"conditions": ["normal"]}, "conditions are the judge's to choose"),
        ({"role": "reference", "conditions": ["shuffle"]}, "conditions are the judge's to choose"),
        ({"settings": {"name": "\ud800"}}, "surrogates not allowed"),
        ({"settings": {"scale": float("nan")}}, "not JSON compliant"),
        ({"settings": []}, "settings must be of type dict"),
        ({"features": ["deep", "prompt", "states"]}, "depth must be from 0 to 1, got 'deep'"),
        ({"features": [0.5, "dream", "states"]}, "of must be one of prompt, message, got 'dream'"),
        ({"features": [0.5, "prompt", "dreams"]}, "what must be one of states, cache, expected"),
        ({"num_slots": True}, "num_slots must be of type int"),
        ({"num_slots": -1}, "num_slots must be from 0"),
        ({"codes_per_slot": 0}, "codes_per_slot must be from 1"),
        ({"sees_scene": 0}, "sees_scene must be of type bool"),
    ],
)
def test_what_a_channel_says_of_itself_is_checked(wrong, lesson):
    assert _read_facts(json.dumps(FACTS).encode()).features.depth == 0.5
    assert _read_facts(json.dumps(FACTS | {"role": "reference", "conditions": ["normal"]}).encode())
    with pytest.raises(ValueError, match=lesson):
        _read_facts(json.dumps(FACTS | wrong).encode())


def codec(pair: Any) -> Entry:
    """Of random weights, the same in every process."""
    kind = channel_class("latent_vq")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Entry(kind(kind.Config(), pair.interface).eval())


def test_a_sealed_channel_is_the_open_one_to_the_last_bit(pocket_pair):
    """Text asks for words and hands over words; a codec looks at states and hands over vectors."""
    config = PlayConfig(episodes=4, episodes_at_once=3, seed=3)
    makers = {"text": partial(enter, "text", pocket_pair, None), "latent_vq": partial(codec, pocket_pair)}
    here = {name: make() for name, make in makers.items()}  # before the others, which share what it imports
    interface, device = pocket_pair.interface, pocket_pair.device
    apart = {name: SealedChannel(name, make, interface, device).entry for name, make in makers.items()}
    found = []
    for entries in (here, apart):
        batches = list(play(pocket_pair, entries, config))
        found.append([replace(record, seconds=None) for batch in batches for record in batch])
    for entry in apart.values():
        entry.channel.close()
    assert len(found[0]) == 2 * 7 * 4
    assert found[0] == found[1]
    assert apart["latent_vq"].channel.settings["codebook_size"] == 64


MARKS = """
import os
from parley.channels import register
from parley.channels.text import TextChannel

with open({path!r}, "a") as file:
    file.write(f"{{os.getpid()}}\\n")

@register("{name}")
class Mine(TextChannel):
    role = {role}
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package that brings a channel, and marks every process that imports it."""
    CHANNELS.own()
    for name, value in (
        ("_known", dict(CHANNELS._known)),
        ("_left_out", []),
        ("_begun", set(CHANNELS._begun)),
    ):
        monkeypatch.setattr(CHANNELS, name, value)
    monkeypatch.syspath_prepend(tmp_path)
    points: list[EntryPoint] = []
    monkeypatch.setattr(
        parley.plugins.registry, "entry_points", lambda group: [p for p in points if p.group == group]
    )

    def install(name: str, role: str = '"judged"', source: str = MARKS) -> Callable[[], list[int]]:
        path = tmp_path / f"{name}.pids"
        (tmp_path / f"{name}_package.py").write_text(source.format(path=str(path), name=name, role=role))
        points.append(EntryPoint(name, f"{name}_package", "parley.channels"))
        return lambda: [int(line) for line in path.read_text().split()] if path.exists() else []

    return install


def test_the_judge_imports_no_channel_of_others(installed):
    mine, hers = installed("mine"), installed("hers", '"reference"')
    cards = read_cards(["text", "mine", "hers"], [], ENDS)
    assert {name: card.role for name, card in cards.items()} == {
        "text": "ceiling", "mine": "judged", "hers": "reference",
    }  # fmt: skip
    assert os.getpid() not in {*mine(), *hers()}
    assert len({*mine()} & {*hers()}) == 1, "they meet where all are listed alone"
    assert "mine_package" not in sys.modules
    with pytest.raises(ValueError, match="unknown channel 'nothing'"):
        read_cards(["text", "nothing"], [], ENDS)


def test_a_channel_runs_beside_no_other_package(installed, pocket_pair):
    hers = installed("hers")
    before = hers()
    make = partial(enter, "silence", pocket_pair, None)
    SealedChannel("silence", make, pocket_pair.interface, pocket_pair.device).close()
    assert hers() == before


def test_a_class_that_breaks_takes_nobody_along(installed):
    installed("mine", "property(lambda _: 1 / 0)")
    installed("gone", source="import os; os._exit(0)")
    cards = read_cards(["text", "gone", "mine"], [], ENDS)
    assert cards["text"].breach is None
    assert cards["gone"].breach is not None
    assert cards["gone"].breach.promise == "runs"
    assert cards["mine"].breach is not None
    with pytest.raises(PluginError, match="plug-ins cannot be listed, because of one of them: runs: "):
        read_cards(None, [], ENDS)


def test_only_training_referents_are_listed(few_objects):
    part = training_part(few_objects)
    assert (part.referents("train") == few_objects.referents("train")).all()
    for other in ("validation", "test"):
        with pytest.raises(PermissionError, match=f"the training referents alone, got split '{other}'"):
            part.referents(other)
    assert len(few_objects.referents("test")) > 0, "the judge's own is as it was"
