"""What is played to compare with decides nothing; who enters how, and who cannot play at all."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from recorded import outcomes, perfect, run
from rich.console import Console

from parley.agents.pair import Pair
from parley.agents.player import Profile
from parley.agents.sender import Sender
from parley.channels.base import ModelInterface
from parley.channels.checkpoint import save_channel
from parley.channels.conditions import condition_names
from parley.channels.registry import channel_class
from parley.channels.testing import ENDS
from parley.evaluation.aggregation.run_data import gather
from parley.evaluation.playing.entries import asked_by_name, enter
from parley.evaluation.playing.examine import count_flops, examine
from parley.evaluation.playing.play import MOST_NUMBERS, PlayConfig, _as_json, conditions_of, play
from parley.evaluation.playing.run_folder import define
from parley.evaluation.records import RecordWriter, read_records
from parley.evaluation.results import build_results
from parley.evaluation.sealing.roster import can_play

FEW = PlayConfig(episodes=6, episodes_at_once=4)


@pytest.fixture(scope="module")
def small_pair(lm, receiver, small_world):
    """Whose sender says one of a few lines; it is kept for all tests here."""
    said = ["tiny red cube", "very large dark sea blue round cone", "tiny blue"]
    sender = Sender(lm, small_world)
    with pytest.MonkeyPatch.context() as patch:  # of this sender alone: the pocket's keeps what it says
        patch.setattr(sender, "_describe", lambda rows: [said[int(row.sum()) % 3] for row in rows])
        yield Pair(sender, receiver, small_world)


def marked(records, **values):
    return [replace(record, **values) if record.channel != "silence" else record for record in records]


@pytest.mark.parametrize("role", ["reference", "untrained", "judged"])
def test_a_judged_channel_alone_is_judged(role):
    outcomes = gather(marked(perfect(10, channel="index"), role=role))
    assert outcomes.channels["index"].role == role
    assert outcomes.judged.keys() == ({"index"} if role == "judged" else set())


@pytest.mark.parametrize(("role", "verdict"), [("reference", "inconclusive"), ("judged", "pass")])
def test_it_decides_nothing_however_well_it_does(role, verdict):
    results = build_results(marked(perfect(100, channel="index"), role=role), {})
    assert results["channels"]["index"]["role"] == role
    assert results["verdict"] == verdict


def test_it_neither_saves_nor_spoils_what_is_judged():
    loser = run(100, channel="latent", normal=20, null=20, random=20, shuffle=20, swap=20)
    winner = marked(perfect(100, channel="index"), role="reference")
    assert build_results([*loser, *winner], {})["verdict"] == "fail"
    assert build_results([*perfect(100), *marked(loser, role="reference")], {})["verdict"] == "pass"


def test_a_channel_has_one_role():
    records = [*outcomes("index", "normal", 1, 2, role="reference"), *outcomes("index", "null", 1, 2)]
    wanted = "role must be the same in all records of channel 'index', got"
    with pytest.raises(ValueError, match=rf"{wanted} reference and judged \(episode_id 0\)"):
        gather(records)
    with pytest.raises(ValueError, match=rf"{wanted} judged and reference \(episode_id 1\)"):
        gather(records[::-1])


@pytest.mark.parametrize("role", ["judged", "reference"])
def test_an_episodes_file_keeps_the_role(tmp_path, role):
    path, records = tmp_path / "episodes.jsonl", list(outcomes("index", "normal", 1, 2, role=role))
    with RecordWriter(path) as writer:
        writer.write(records)
    assert list(read_records(path)) == records
    assert all(json.loads(line)["role"] == role for line in path.read_text().splitlines())


@pytest.mark.parametrize("name", ["cipher", "activation"])
def test_what_has_nothing_to_learn_decides_only_if_it_was_asked_for(small_pair, name):
    for named in (True, False):
        entry = enter(name, small_pair, None, named=named)
        assert entry.role == ("judged" if named else "reference")
        assert [condition.name for condition in conditions_of(entry)] == condition_names()
        assert not entry.channel.training


@pytest.mark.parametrize("name", ["index", "oracle_prefix", "priming"])
def test_a_reference_is_one_however_it_came(small_pair, name):
    for named in (True, False):
        entry = enter(name, small_pair, None, named=named)
        assert entry.role == ("untrained" if channel_class(name).trainable else "reference")


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(("name", "role"), [("text", "ceiling"), ("silence", "baseline")])
def test_ceiling_and_baseline_are_what_they_are_however_they_came(small_pair, name, role, named):
    entry = enter(name, small_pair, None, named=named)
    assert entry.role == role
    played = [condition.name for condition in conditions_of(entry)]
    assert played == condition_names(baseline=role == "baseline")


def test_an_untrained_channel_plays_as_it_is_meant_alone_unless_it_was_asked_for(small_pair):
    torch.manual_seed(3)
    drawn = torch.get_rng_state()
    asked, brought = (enter("latent_vq", small_pair, None, named=named) for named in (True, False))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [condition.name for condition in conditions_of(asked)] == condition_names()
    assert [condition.name for condition in conditions_of(brought)] == ["normal"]
    assert (asked.channel.ready, brought.channel.ready) == (True, False), "prepared, or as it begins"
    for entry in (asked, brought):
        assert entry.role == "untrained"
    by_default = enter("latent_vq", small_pair, None)
    assert [condition.name for condition in conditions_of(by_default)] == condition_names()


@pytest.mark.parametrize(("name", "role"), [("kv", "judged"), ("index", "reference")])
def test_what_was_trained_is_loaded_and_plays_in_full(small_pair, tmp_path, name, role):
    torch.manual_seed(5)
    channel = channel_class(name)(channel_class(name).Config(), small_pair.interface)
    path = tmp_path / "channel.safetensors"
    save_channel(path, channel, small_pair.fingerprints, {})
    for named in (True, False):
        entry = enter(name, small_pair, path, named=named)
        assert entry.role == role
        assert [condition.name for condition in conditions_of(entry)] == condition_names()
        loaded = entry.channel.state_dict()
        assert all(torch.equal(tensor, loaded[key]) for key, tensor in channel.state_dict().items())


def test_who_was_asked_for_by_name():
    assert asked_by_name(["all"]) == set()
    assert asked_by_name(["all,kv", "index"]) == {"kv", "index"}
    assert asked_by_name(["text", "text,"]) == {"text"}


def can(name: str, interface: ModelInterface, named: bool) -> tuple[bool, str]:
    shown = io.StringIO()
    incompatibility = channel_class(name).incompatibility(interface)
    return can_play(name, incompatibility, named, Console(file=shown, width=40)), shown.getvalue()


def test_what_cannot_stand_between_two_models_is_left_out_and_named():
    said = "activation is left out: it needs models of one width, got 24 and 20\n"
    assert can("activation", ENDS, named=False) == (False, said)
    apart = replace(ENDS, one_vocabulary=False)
    said = "cipher is left out: it needs one vocabulary for sender and receiver\n"
    assert can("cipher", apart, named=False) == (False, said)
    for name in ("text", "silence", "latent_vq", "cipher"):
        assert can(name, ENDS, named=False) == can(name, ENDS, named=True) == (True, "")


def test_or_is_refused_where_it_was_asked_for():
    wanted = "channel 'activation' cannot stand between these models: it needs models of one width, got 24"
    with pytest.raises(ValueError, match=wanted):
        can("activation", ENDS, named=True)


@pytest.fixture(scope="module")
def entries(small_pair):
    names = ("silence", "index", "kv", "activation", "priming")
    return {name: enter(name, small_pair, None, named=name != "kv") for name in names}


@pytest.fixture(scope="module")
def records(small_pair, entries):
    return [record for batch in play(small_pair, entries, FEW) for record in batch]


def of(records, channel, condition="normal"):
    return [record for record in records if (record.channel, record.condition) == (channel, condition)]


def test_roles_are_recorded(records, entries):
    assert {(r.channel, r.role) for r in records} == {
        ("silence", "baseline"), ("index", "untrained"), ("kv", "untrained"), ("activation", "judged"),
        ("priming", "untrained"),
    }  # fmt: skip
    assert {r.condition for r in records if r.channel == "kv"} == {"normal"}, "it came unasked and untrained"
    assert {r.condition for r in records if r.channel == "index"} == set(condition_names())


def test_index_names_the_target_its_foil_and_its_partner(records):
    targets = {record.episode_id: record.target for record in of(records, "index")}
    assert all(record.message == record.target for record in of(records, "index"))
    assert all(record.message == record.intended != record.target for record in of(records, "index", "swap"))
    partners = [record.message for record in of(records, "index", "shuffle")]
    assert sorted(partners) == sorted(targets.values())
    assert {type(record.message) for record in of(records, "index")} == {int}
    assert {record.bits for record in of(records, "index")} == {np.log2(5)}


def test_what_each_takes_of_the_receiver_s_input(records):
    taken = {name: {r.tokens for r in of(records, name)} for name in ("index", "activation", "priming")}
    assert taken == {"index": {4}, "activation": {0}, "priming": {4}}
    assert {record.tokens for record in of(records, "kv")} <= set(range(1, 9))
    assert len({record.tokens for record in of(records, "kv")}) > 1, "shorter messages take less"


def test_long_messages_are_not_recorded(records, tmp_path):
    assert MOST_NUMBERS == 256
    assert {record.message for record in of(records, "kv")} == {None}, "8 tokens of 192 numbers"
    assert all(len(record.message) == 32 for record in of(records, "activation"))
    assert np.shape(_as_json(np.ones((8, 32), dtype=np.float32))) == (8, 32)
    assert _as_json(np.ones(257, dtype=np.float32)) is None
    assert _as_json(np.ones(257, dtype=np.int64)) is None
    with RecordWriter(tmp_path / "episodes.jsonl") as writer:
        writer.write(records)
    assert list(read_records(tmp_path / "episodes.jsonl")) == records


def test_what_speaks_about_episodes_is_not_diagnosed_on_referents(small_pair, entries, monkeypatch):
    monkeypatch.setattr("parley.evaluation.diagnostics.flops.COUNTED_EPISODES", 1)
    diagnostics, pictures = examine(small_pair, entries)
    assert diagnostics.keys() == {"kv", "activation", "priming"}
    assert diagnostics["kv"]["prefix"] is None
    assert diagnostics["priming"]["prefix"]["cosine"] == pytest.approx(1, abs=1e-4)
    assert pictures == {}
    flops = count_flops(small_pair, entries, FEW)
    assert flops["silence"] == flops["activation"] < flops["index"] == flops["priming"]


def test_a_run_is_defined_by_the_roles(entries):
    players = Profile().settings
    provenance = {
        "world": "small", "checkpoints": {}, "models": {}, "players": players, "precision": "float32"
    }  # fmt: skip
    defined = define(provenance, FEW, entries, None)["entries"]
    assert {name: settings["role"] for name, settings in defined.items()} == {
        "silence": "baseline", "index": "untrained", "kv": "untrained", "activation": "judged",
        "priming": "untrained",
    }  # fmt: skip
