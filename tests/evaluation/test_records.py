"""Reading and writing recorded episodes."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.channels.conditions import condition_names
from parley.evaluation.aggregation.run_data import gather_file
from parley.evaluation.records import EpisodeRecord, RecordWriter, read_records
from parley.evaluation.records.episodes_file import drop_cut_line

GOOD = {"channel": "kv", "condition": "normal", "episode_id": 0, "success": True}


def write_lines(folder, *lines):
    path = folder / "episodes.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


INDICES = st.one_of(st.none(), st.integers(0, 4))
RECORDS = st.fixed_dictionaries(
    {
        "channel": st.sampled_from(["text", "latent_vq", "größe"]),
        "condition": st.sampled_from(["normal", "swap"]),
        "episode_id": st.integers(-(2**63), 2**63 - 1),
        "success": st.booleans(),
        "choice": INDICES,
        "intended": INDICES,
        "bits": st.one_of(st.none(), st.floats(0, 1e9), st.integers(0, 100)),
        "message": st.one_of(st.none(), st.text(), st.lists(st.integers())),
        "tokens": st.one_of(st.none(), st.integers(0, 2**53)),
        "seconds": st.one_of(st.none(), st.floats(0, 1e9), st.integers(0, 100)),
        "probabilities": st.one_of(st.none(), st.just([0.2] * 5)),
        "num_candidates": st.sampled_from([None, 5]),
        "candidates": st.sampled_from([None, ["small red cube", "b", "c", "größe", ""]]),
        "role": st.sampled_from(["judged", "untrained", "reference", "ceiling"]),
    }
)


def key(fields):
    return fields["channel"], fields["condition"], fields["episode_id"]


@settings(max_examples=20, deadline=None)
@given(drawn=st.lists(RECORDS, min_size=1, max_size=4, unique_by=key))
def test_what_is_written_is_read(tmp_path_factory, drawn):
    records = [EpisodeRecord(**fields) for fields in drawn]
    path = tmp_path_factory.mktemp("records") / "episodes.jsonl"
    with RecordWriter(path) as writer:
        writer.write(records)
    assert list(read_records(path)) == records


def test_every_batch_is_on_disk_before_the_next(tmp_path):
    path = tmp_path / "episodes.jsonl"
    with RecordWriter(path) as writer:
        for episode_id in range(3):
            writer.write([EpisodeRecord(**{**GOOD, "episode_id": episode_id})])
            assert len(list(read_records(path))) == episode_id + 1


def test_reading_streams(tmp_path):
    path = write_lines(tmp_path, GOOD, "broken")
    records = read_records(path)
    assert next(records) == EpisodeRecord(**GOOD)
    with pytest.raises(ValueError, match="line 2"):
        next(records)


def test_unknown_fields_are_left_out(tmp_path):
    path = write_lines(tmp_path, {**GOOD, "hours": 1.5, "seconds": 2, "words": [1, 2]})
    assert list(read_records(path)) == [EpisodeRecord(**GOOD, seconds=2)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{nonsense", "not JSON"),
        ('{"channel": "text", "condition": "nor', "not JSON"),
        ("[" * 200_000, "not JSON"),
        ("", "blank"),
        ("[1, 2]", "record must be a JSON object, got [1, 2]"),
        ("7", "record must be a JSON object, got 7"),
        ({"channel": "text", "condition": "normal"}, "missing episode_id, success"),
        ({**GOOD, "condition": 3}, "condition must be a string, got 3"),
        ({**GOOD, "probabilities": [0.2, True]}, "probabilities must be a list of numbers"),
        ({**GOOD, "probabilities": [1]}, "probabilities must be a list of at least 2 numbers"),
        ({**GOOD, "channel": 3}, "channel must be a string, got 3"),
        ({**GOOD, "channel": " "}, "channel must be a printable name, got ' '"),
        ({**GOOD, "channel": "a\nb"}, "channel must be a printable name"),
        ({**GOOD, "episode_id": "0"}, "episode_id must be an integer, got '0'"),
        ({**GOOD, "episode_id": 1.0}, "episode_id must be an integer, got 1.0"),
        ({**GOOD, "episode_id": True}, "episode_id must be an integer, got True"),
        ({**GOOD, "episode_id": 2**63}, "episode_id must be an integer of 64 bits"),
        ({**GOOD, "success": 1}, "success must be true or false, got 1"),
        ({**GOOD, "success": None}, "success must be true or false, got None"),
        ({**GOOD, "role": None}, "role must be a string, got None"),
        (
            {**GOOD, "role": "trained"},
            "role must be one of judged, untrained, reference, ceiling, baseline, got",
        ),
        ({**GOOD, "bits": -1}, "bits must be a number from 0 to"),
        (
            '{"channel":"a","condition":"null","episode_id":0,"success":true,"bits":NaN}',
            "NaN is not a JSON number",
        ),
        ('{"channel":"a","condition":"null","episode_id":0,"success":true,"bits":1e999}', "bits must be"),
        ({**GOOD, "choice": -1}, "choice must be the index of a candidate, at least 0, got -1"),
        ({**GOOD, "target": 1.5}, "target must be an integer or null, got 1.5"),
        ({**GOOD, "intended": 2, "probabilities": [0.5, 0.5]}, "intended must be less than 2"),
        (
            {**GOOD, "probabilities": 0.2},
            "probabilities must be a list or null, got 0.2",
        ),
        ({**GOOD, "probabilities": [0.2, "x"]}, "probabilities must be a list of numbers, got [0.2, 'x']"),
        ({**GOOD, "probabilities": [0.2, 1.2]}, "probabilities must be a list of at least 2 numbers"),
        ({**GOOD, "choice": 1, "target": 2}, "success is true, but choice is 1 and target 2"),
        (
            {**GOOD, "success": False, "choice": 2, "target": 2},
            "success is false, but choice is 2 and target 2",
        ),
        (
            {**GOOD, "condition": "swap", "intended": 1, "target": 1},
            "intended must differ from target under swap",
        ),
        (
            {**GOOD, "intended": 1, "target": 2},
            "intended must be the target under normal, got 1 and 2",
        ),
        (
            {**GOOD, "condition": "null", "intended": 1},
            "intended must be null under null, whose message names no candidate of the episode, got 1",
        ),
        (
            {**GOOD, "choice": 0, "probabilities": [0.4, 0.6]},
            "choice must be the most probable candidate, got 0 of probability 0.4 where another has 0.6",
        ),
        ({**GOOD, "probabilities": [0.5, 0.6]}, "probabilities must sum to 1, got 1.1"),
        ({**GOOD, "tokens": 1.0}, "tokens must be an integer or null, got 1.0"),
        ({**GOOD, "tokens": -1}, "tokens must be an integer from 0 to 9007199254740992, got -1"),
        ({**GOOD, "tokens": True}, "tokens must be an integer or null, got True"),
        ({**GOOD, "seconds": -0.5}, "seconds must be a number from 0 to 9007199254740992, got -0.5"),
        ({**GOOD, "seconds": "1"}, "seconds must be a number or null, got '1'"),
        (
            '{"channel":"a","condition":"null","episode_id":0,"success":true,"seconds":1e999}',
            "seconds must be a number from 0 to 9007199254740992, got inf",
        ),
        ({**GOOD, "num_candidates": 1}, "num_candidates must be an integer of at least 2, got 1"),
        ({**GOOD, "num_candidates": 2.0}, "num_candidates must be an integer or null, got 2.0"),
        ({**GOOD, "candidates": "ab"}, "candidates must be a list or null, got 'ab'"),
        ({**GOOD, "candidates": ["a", 1]}, "candidates must be a list of strings, got ['a', 1]"),
        ({**GOOD, "candidates": ["a"]}, "candidates must be a list of at least 2 strings, got ['a']"),
        (
            {**GOOD, "num_candidates": 3, "probabilities": [0.5, 0.5]},
            "probabilities must be 3, the number of candidates, got 2",
        ),
        (
            {**GOOD, "num_candidates": 3, "candidates": ["a", "b"]},
            "candidates must be 3, the number of candidates, got 2",
        ),
        (
            {**GOOD, "probabilities": [0.5, 0.5], "candidates": ["a", "b", "c"]},
            "candidates must be 2, the number of candidates, got 3",
        ),
        ({**GOOD, "choice": 2, "num_candidates": 2}, "choice must be less than 2, the number of candidates"),
        ({**GOOD, "target": 3, "candidates": ["a", "b"]}, "target must be less than 2"),
        (
            {**GOOD, "condition": "reordered"},
            "condition reordered is of the baseline alone, got it of channel 'kv'",
        ),
    ],
)
def test_a_malformed_line_is_named_by_its_number(tmp_path, line, message):
    path = write_lines(tmp_path, {**GOOD, "episode_id": 10}, {**GOOD, "episode_id": 11}, line)
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 3: ")) as caught:
        list(read_records(path))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({**GOOD, "episode_id": 11, "role": "reference"}, "role must be the same in all records of channel"),
        ({**GOOD, "episode_id": 11, "num_candidates": 4}, "candidates must be as many in all records, got 5"),
        ({**GOOD, "episode_id": 11, "candidates": ["a", "b"]}, "candidates must be as many in all records"),
        ({**GOOD, "episode_id": 10}, "episode_id 10 is there twice"),
    ],
)
def test_a_line_that_contradicts_another_is_named_by_its_number(tmp_path, line, message):
    path = write_lines(tmp_path, {**GOOD, "episode_id": 10, "role": "judged", "num_candidates": 5}, line)
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 2: {message}")):
        gather_file(path)


def test_rounding_contradicts_nothing():
    close = EpisodeRecord(**GOOD, choice=0, probabilities=[0.499999, 0.500001])
    assert close.size == 2


def test_bytes_that_are_no_text_are_named_by_their_line(tmp_path):
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\xff\xfe\x00\n")
    with pytest.raises(ValueError, match="line 2: not JSON"):
        list(read_records(path))


def test_an_episode_may_be_recorded_once(tmp_path):
    path = write_lines(
        tmp_path,
        GOOD,
        {**GOOD, "condition": "null"},
        {**GOOD, "channel": "latent"},
        {**GOOD, "success": False},
    )
    message = "line 4: episode_id 0 is there twice for channel 'kv', condition 'normal'"
    with pytest.raises(ValueError, match=message):
        list(read_records(path))


def test_an_unknown_condition_lists_the_valid_and_suggests_the_nearest(tmp_path):
    path = write_lines(tmp_path, {**GOOD, "condition": "shufle"})
    with pytest.raises(ValueError, match="line 1: unknown condition") as caught:
        list(read_records(path))
    assert all(condition in str(caught.value) for condition in condition_names())
    assert "did you mean 'shuffle'?" in str(caught.value)


def test_the_baseline_alone_plays_reordered_candidates(tmp_path):
    record = {**GOOD, "channel": "silence", "role": "baseline", "condition": "reordered"}
    assert next(read_records(write_lines(tmp_path, record))) == EpisodeRecord(**record)
    assert "reordered" not in condition_names()
    assert "reordered" in condition_names(baseline=True)


@pytest.mark.parametrize(
    ("channel", "said", "role"),
    [
        ("silence", {}, "baseline"),
        ("silence", {"trained": None}, "baseline"),
        ("text", {}, "ceiling"),
        ("text", {"trained": True}, "judged"),
        ("text", {"trained": False}, "untrained"),
        ("kv", {}, "judged"),
        ("kv", {"trained": True, "reference": False}, "judged"),
        ("kv", {"trained": False}, "untrained"),
        ("index", {"trained": True, "reference": True}, "reference"),
        ("index", {"trained": False, "reference": True}, "untrained"),
        ("cipher", {"trained": None, "reference": True}, "reference"),
    ],
)
def test_the_role_of_older_records_follows_from_what_they_say(tmp_path, channel, said, role):
    [record] = read_records(write_lines(tmp_path, {**GOOD, "channel": channel, **said}))
    assert record.role == role


def test_a_batch_with_a_record_that_is_not_json_is_not_written_at_all(tmp_path):
    path = tmp_path / "episodes.jsonl"
    batch = [EpisodeRecord(**GOOD), EpisodeRecord(**{**GOOD, "episode_id": 1}, message={1})]
    with RecordWriter(path) as writer, pytest.raises(ValueError, match="episode 1 is not JSON"):
        writer.write(batch)
    assert path.read_text() == ""


def test_writing_goes_on_after_what_is_there(tmp_path):
    path = write_lines(tmp_path, GOOD)
    with RecordWriter(path, append=True) as writer:
        writer.write([EpisodeRecord(**{**GOOD, "episode_id": 1})])
    assert [record.episode_id for record in read_records(path)] == [0, 1]


@pytest.mark.parametrize("length", [0, 1, 20, 65_535, 65_536, 200_000])
def test_a_cut_last_line_is_dropped(tmp_path, length):
    path = tmp_path / "episodes.jsonl"
    for whole in (b"", b"a\n", b"a\nbc\n", b"x" * 70_000 + b"\n"):
        path.write_bytes(whole + b"c" * length)
        drop_cut_line(path)
        assert path.read_bytes() == whole


def test_a_far_condition_suggests_nothing():
    with pytest.raises(ValueError, match=r"unknown condition 'zzz'\. The"):
        EpisodeRecord(**{**GOOD, "condition": "zzz"})


def test_an_empty_file_raises(tmp_path):
    path = write_lines(tmp_path)
    with pytest.raises(ValueError, match="the file is empty; at least one episode is needed"):
        list(read_records(path))


def test_a_missing_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(read_records(tmp_path / "none.jsonl"))


def test_a_message_that_is_not_json_is_named(tmp_path):
    record = EpisodeRecord(**GOOD, message={1, 2})
    with (
        RecordWriter(tmp_path / "episodes.jsonl") as writer,
        pytest.raises(ValueError, match="the record of kv, normal, episode 0 is not JSON"),
    ):
        writer.write([record])
