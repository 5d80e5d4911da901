"""The folder of a run: what may be continued, what is refused, what is removed and what is kept."""

import json
import re
from dataclasses import replace

import pytest

from parley.channels.base import ChannelConfig
from parley.channels.conditions import find_condition
from parley.channels.latent import VectorQuantizedChannel, VectorQuantizedConfig
from parley.channels.testing import ENDS
from parley.channels.text import SilenceChannel, TextChannel, TextConfig
from parley.evaluation.playing.play import Entry, PlayConfig, make_plan, turns
from parley.evaluation.playing.run_folder import (
    check_folder,
    define,
    prepare_folder,
    records_so_far,
    was_sequential,
)
from parley.evaluation.records import EpisodeRecord, RecordWriter
from parley.evaluation.records.beside import read_object

CONFIG = PlayConfig(episodes=4, episodes_at_once=3, num_candidates=3)
PROVENANCE = {
    "world": "small",
    "models": {role: {"name": "pocket", "sha256": f"hash of {role}"} for role in ("sender", "receiver")},
    "players": {"sender": {"shots": 0}, "receiver": {"shots": 1}, "examples_seed": 0, "source": "a file"},
    "checkpoints": {"latent_vq": {"file": "somewhere", "sha256": "hash of weights", "training": {}}},
    "precision": "float32",
    "versions": {"torch": "2"},
}


@pytest.fixture(scope="module")
def entries():
    return {
        "silence": Entry(SilenceChannel(ChannelConfig(), ENDS), "baseline"),
        "text": Entry(TextChannel(TextConfig(), ENDS), "ceiling", ("normal", "swap")),
        "latent_vq": Entry(VectorQuantizedChannel(VectorQuantizedConfig(k=2), ENDS), "judged", ("normal",)),
    }


@pytest.fixture(scope="module")
def plan(small_world):
    return make_plan(small_world, CONFIG)


@pytest.fixture(scope="module")
def whole(entries, plan):
    """All records of a run in which the receiver always takes the first candidate."""
    found = []
    for name, condition, rows in turns(entries, CONFIG):
        for row in rows:
            target = plan.episode(row, find_condition(condition)).target
            found.append(
                EpisodeRecord(
                    channel=name,
                    condition=condition,
                    episode_id=row,
                    success=target == 0,
                    choice=0,
                    target=target,
                    role=entries[name].role,
                )
            )
    return found


@pytest.fixture
def definition(entries):
    return define(PROVENANCE, CONFIG, entries, None)


@pytest.fixture
def so_far(tmp_path, entries, plan):
    path = tmp_path / "episodes.jsonl"

    def read(records, cut=b""):
        with RecordWriter(path) as writer:
            writer.write(records)
        with path.open("ab") as file:
            file.write(cut)
        return list(records_so_far(path, entries, CONFIG, plan, None))

    read.path = path
    return read


def begin(folder, definition, resume=False):
    check_folder(folder, resume)
    prepare_folder(folder, definition, resume)


def fill(folder, *names):
    for name in names:
        (folder / name).write_text("something")


def names_in(folder):
    return {path.name for path in folder.iterdir()}


# what a run is


def test_a_run_is_its_episodes_its_contestants_and_its_models(definition):
    assert definition["play"] == {
        "episodes": 4,
        "seed": 0,
        "num_candidates": 3,
        "resample_probability": 0.5,
        "episodes_at_once": 3,
        "game": "referential",
    }
    assert definition["channels"] == ["silence", "text", "latent_vq"]
    assert definition["entries"]["latent_vq"]["checkpoint"] == "hash of weights"
    assert definition["entries"]["latent_vq"]["role"] == "judged"
    assert definition["entries"]["latent_vq"]["settings"]["k"] == 2
    assert definition["entries"]["text"]["checkpoint"] is None
    assert definition["entries"]["text"]["conditions"] == ["normal", "swap"]
    assert definition["entries"]["silence"]["conditions"] == ["normal", "reordered"]
    assert definition["models"] == {"sender": "hash of sender", "receiver": "hash of receiver"}
    assert definition["precision"] == "float32"
    assert json.loads(json.dumps(definition)) == definition


def test_what_differs_is_named_with_both_values(tmp_path, entries, definition):
    begin(tmp_path, definition)
    fill(tmp_path, "episodes.jsonl")
    other = define(
        PROVENANCE | {"precision": "bfloat16"},
        replace(CONFIG, seed=1),
        dict(reversed(entries.items())),
        50,
    )
    message = (
        f"the run in {tmp_path} has other settings: "
        "channels is ['silence', 'text', 'latent_vq'] there and ['latent_vq', 'text', 'silence'] here; "
        "look_every is None there and 50 here; play.seed is 0 there and 1 here; "
        "precision is 'float32' there and 'bfloat16' here"
    )
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        begin(tmp_path, other, resume=True)
    assert (tmp_path / "run.json").read_bytes() == before
    assert (tmp_path / "episodes.jsonl").exists()


@pytest.mark.parametrize("change", ["checkpoint", "model", "players", "settings", "missing"])
def test_other_contestants_are_another_run(tmp_path, entries, definition, change):
    begin(tmp_path, definition)
    fill(tmp_path, "episodes.jsonl")
    provenance, playing = json.loads(json.dumps(PROVENANCE)), dict(entries)
    if change == "checkpoint":
        provenance["checkpoints"]["latent_vq"]["sha256"] = "another"
    elif change == "model":
        provenance["models"]["receiver"]["sha256"] = "another"
    elif change == "players":
        provenance["players"]["receiver"]["shots"] = 3
    elif change == "settings":
        playing["text"] = entries["text"]._replace(channel=TextChannel(TextConfig(max_length=9), ENDS))
    else:
        del playing["latent_vq"]
    words = {
        "checkpoint": "entries.latent_vq.checkpoint is 'hash of weights' there and 'another' here",
        "model": "models.receiver is 'hash of receiver' there and 'another' here",
        "players": "players.receiver.shots is 1 there and 3 here",
        "settings": "entries.text.settings.max_length is 256 there and 9 here",
        "missing": "entries.latent_vq.role is 'judged' there and None here",
    }
    with pytest.raises(ValueError, match=re.escape(words[change])):
        begin(tmp_path, define(provenance, CONFIG, playing, None), resume=True)


def test_versions_file_names_and_training_notes_do_not_make_another_run(entries, definition):
    moved = json.loads(json.dumps(PROVENANCE)) | {"versions": {"torch": "3"}, "command": "another"}
    moved["checkpoints"]["latent_vq"] |= {"file": "elsewhere", "training": {"seed": 3}}
    assert define(moved, CONFIG, entries, None) == definition


# what a folder may hold


def test_an_unfinished_run_is_not_overwritten(tmp_path, definition):
    begin(tmp_path / "a" / "b", definition)
    fill(tmp_path / "a" / "b", "episodes.jsonl")
    message = f"{tmp_path / 'a' / 'b'} holds an unfinished run; continue it with --resume, or name another"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_folder(tmp_path / "a" / "b", resume=False)
    begin(tmp_path / "a" / "b", definition, resume=True)
    assert names_in(tmp_path / "a" / "b") == {"run.json", "episodes.jsonl"}


def test_episodes_of_an_unknown_run_are_not_continued(tmp_path, definition):
    fill(tmp_path, "episodes.jsonl", "results.json")
    message = (
        f"{tmp_path} holds episodes but no run.json that says what they are of, so they cannot be continued"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        check_folder(tmp_path, resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_without_episodes_a_run_begins_whatever_was_meant_before(tmp_path, definition, resume):
    begin(tmp_path, definition | {"world": "another"})
    (tmp_path / "episodes.jsonl").write_text("")
    begin(tmp_path, definition, resume=resume)
    assert read_object(tmp_path / "run.json") == definition


RESULTS = ("results.json", "report.md", "report.html", "junit.xml", "success.png", "atlas-latent_vq.png")


@pytest.mark.parametrize("resume", [False, True])
def test_new_episodes_never_lie_beside_old_results(tmp_path, definition, resume):
    begin(tmp_path, definition)
    fill(tmp_path, "episodes.jsonl", "notes.txt", *RESULTS)
    begin(tmp_path, definition, resume=resume)
    kept = {"run.json", "notes.txt"} | ({"episodes.jsonl"} if resume else set())
    assert names_in(tmp_path) == kept


def test_a_run_of_an_earlier_version_is_replaced(tmp_path, definition):
    fill(tmp_path, "episodes.jsonl", *RESULTS)
    begin(tmp_path, definition)
    assert names_in(tmp_path) == {"run.json"}


def test_a_folder_of_something_else_loses_nothing(tmp_path, definition):
    fill(tmp_path, "holiday.png", "report.doc")
    begin(tmp_path, definition)
    assert names_in(tmp_path) == {"run.json", "holiday.png", "report.doc"}


@pytest.mark.parametrize(
    ("content", "words"), [("{", "run.json is damaged: "), ("[1]", "a JSON object, got [1]")]
)
def test_a_damaged_definition_is_named(tmp_path, definition, content, words):
    fill(tmp_path, "episodes.jsonl")
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=re.escape(words)):
        begin(tmp_path, definition, resume=True)
    with pytest.raises(ValueError, match=re.escape(words)):
        was_sequential(tmp_path / "episodes.jsonl")


def test_recorded_episodes_say_whether_their_number_was_left_open(tmp_path, entries, definition):
    path = tmp_path / "episodes.jsonl"
    assert was_sequential(path) is False
    begin(tmp_path, definition)
    assert was_sequential(path) is False
    begin(tmp_path, define(PROVENANCE, CONFIG, entries, 50))
    assert was_sequential(path) is True


# what was played so far


def test_what_was_played_is_read_again_without_its_cut_end(so_far, whole):
    assert len(whole) == 4 * 5
    for length in (0, 1, 3, 7, 20):
        for cut in (b"", b'{"channel": "te', b"\xff", json.dumps({"channel": "text"}).encode()):
            assert so_far(whole[:length], cut) == whole[:length]
            assert so_far.path.read_bytes().count(b"\n") == length
            assert so_far.path.stat().st_size == 0 or so_far.path.read_bytes().endswith(b"\n")


def test_before_the_first_episode_there_is_nothing_to_read(tmp_path, entries, plan):
    assert list(records_so_far(tmp_path / "none", entries, CONFIG, plan, None)) == []


def test_a_file_of_another_run_is_refused_by_its_line(so_far, whole):
    swapped = [whole[1], whole[0], *whole[2:]]
    with pytest.raises(ValueError, match=r"line 1: episode_id must be 0 in this run, got 1, so it cannot be"):
        so_far(swapped)
    with pytest.raises(ValueError, match=r"line 4: condition must be 'reordered' in this run, got 'normal'"):
        so_far([*whole[:3], replace(whole[0], episode_id=3)])
    with pytest.raises(ValueError, match=r"line 3: channel must be 'silence' in this run, got 'text'"):
        so_far([*whole[:2], whole[6]])
    other = (whole[1].target + 1) % 3
    with pytest.raises(
        ValueError, match=rf"line 2: target must be {whole[1].target} in this run, got {other}"
    ):
        so_far([whole[0], replace(whole[1], target=other, success=other == 0)])
    untrained = [replace(record, role="untrained") for record in whole if record.channel == "latent_vq"]
    with pytest.raises(ValueError, match=r"line 13: role must be 'judged' in this run, got 'untrained'"):
        so_far([*whole[:12], *untrained])


def test_a_line_in_the_middle_that_is_damaged_is_named(so_far, whole):
    with pytest.raises(ValueError, match="line 2: not JSON"):
        so_far(whole[:1], b'{"channel": "te\n' + b"{}\n")


def test_more_than_a_run_holds_is_refused(so_far, whole):
    with pytest.raises(ValueError, match="line 21: the run ends before it, so it cannot be continued"):
        so_far([*whole, replace(whole[0], episode_id=4)])
