"""Which episodes are shown, and how their messages are spelled."""

import json
from dataclasses import replace

import numpy as np
import pytest
from complete_runs import GUESSED, UNDERSTOOD, candidates_of, complete, without
from hypothesis import given
from hypothesis import strategies as st
from recorded import perfect

from parley.evaluation.records import EpisodeRecord, RecordWriter
from parley.evaluation.reporting.gallery import NO_CONTENT, _spread, gather_gallery
from parley.evaluation.reporting.spelling import spell_message, visible
from parley.evaluation.results import build_results


def gallery(records, most=12):
    return gather_gallery(records, build_results(records, {}), most)


def test_a_scene_holds_what_was_played():
    records = complete()
    scene = gallery(records)[0]
    played = {
        r.condition: r for r in records if r.channel == "latent_vq" and r.episode_id == scene.episode_id
    }
    assert (scene.channel, scene.target) == ("latent_vq", played["normal"].target)
    assert scene.success is played["normal"].success
    assert scene.candidates == tuple(candidates_of(scene.episode_id))
    assert list(scene.plays) == ["normal", "null", "shuffle", "swap"]
    for condition, play in scene.plays.items():
        assert play.choice == played[condition].choice
        assert play.intended == played[condition].intended
        assert play.probabilities == tuple(played[condition].probabilities)
    assert scene.plays["swap"].message == f"code {played['swap'].message[0]}"
    assert scene.plays["null"].message == NO_CONTENT
    assert scene.swap_consistent is (played["swap"].choice == played["swap"].intended)


def test_half_of_a_trained_channel_s_part_are_failures_and_the_rest_is_spread():
    records = complete(GUESSED, 200)
    scenes = gallery(records, 20)
    assert len(scenes) == 20
    assert sum(scene.as_failure for scene in scenes) == 10
    assert all(not scene.success for scene in scenes if scene.as_failure)
    assert [scene.episode_id for scene in scenes] == sorted({scene.episode_id for scene in scenes})
    others = [scene.episode_id for scene in scenes if not scene.as_failure]
    assert min(others) < 5
    assert max(others) > 194
    assert np.diff(others).max() < 40


def test_few_failures_leave_room_for_other_episodes():
    records = complete(UNDERSTOOD)
    failed = {
        r.episode_id for r in records if (r.channel, r.condition) == ("latent_vq", "normal") and not r.success
    }
    assert 0 < len(failed) < 12
    scenes = gallery(records, 24)
    assert len(scenes) == 24
    assert {scene.episode_id for scene in scenes if scene.as_failure} == failed


def test_channels_share_the_room_and_trained_ones_come_first():
    untrained = [
        replace(r, channel="a_first", role="untrained") for r in complete(GUESSED) if r.channel != "silence"
    ]
    scenes = gallery([*untrained, *complete()], 25)
    names = [scene.channel for scene in scenes]
    assert names == ["latent_vq"] * 12 + ["a_first"] * 13
    assert not any(scene.as_failure for scene in scenes if scene.channel == "a_first")
    assert {scene.channel for scene in gallery([*untrained, *complete()], 1)} == {"latent_vq"}


@pytest.mark.parametrize(
    ("unknown", "candidate", "message", "probabilities"),
    [
        (("candidates",), "candidate 1", "code", True),
        (("message",), "thing", "–", True),
        (("probabilities",), "thing", "code", False),
        (("candidates", "probabilities", "num_candidates"), "candidate 1", "code", False),
    ],
)
def test_what_a_file_lacks_is_left_open(unknown, candidate, message, probabilities):
    scenes = gallery(without(complete(), *unknown))
    assert len(scenes) == 12
    scene = scenes[0]
    assert scene.candidates[0].startswith(candidate)
    assert scene.plays["normal"].message.startswith(message)
    assert (scene.plays["normal"].probabilities is not None) is probabilities
    assert all(len(s.candidates) > max(p.choice for p in s.plays.values()) for s in scenes), (
        "every pick has a candidate"
    )


def test_there_is_nothing_to_show_without_messages_and_probabilities():
    assert gallery(perfect(40)) == []
    assert gallery(without(complete(), "message", "probabilities")) == []


def test_unknown_picks_leave_swap_open():
    scene = gallery(without(complete(), "choice", "intended"))[0]
    assert scene.swap_consistent is None
    alone = [r for r in complete() if r.condition != "swap"]
    assert gallery(alone)[0].swap_consistent is None
    assert list(gallery(alone)[0].plays) == ["normal", "null", "shuffle"]


def test_candidates_are_not_those_of_another_order():
    reordered = [
        replace(r, condition="reordered", candidates=["wrong order"] * 5)
        for r in complete()
        if (r.channel, r.condition) == ("silence", "normal")
    ]
    plain = [r for r in complete() if r.condition != "reordered"]
    assert gallery([*reordered, *plain]) == gallery(plain)


def test_a_file_shows_the_same_as_its_records(tmp_path):
    records = complete()
    with RecordWriter(tmp_path / "episodes.jsonl") as writer:
        writer.write(records)
    results = build_results(records, {})
    assert gather_gallery(tmp_path / "episodes.jsonl", results) == gather_gallery(records, results)
    assert gather_gallery(str(tmp_path / "episodes.jsonl"), results, 2) == gather_gallery(records, results, 2)


def test_a_source_that_can_be_read_only_once_is_refused():
    records = complete(n=20)
    results = build_results(records, {})
    with pytest.raises(
        ValueError, match="source must be a path or records that can be read twice, got a list_iterator"
    ):
        gather_gallery(iter(records), results)


def test_at_least_one_scene_is_asked_for():
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        gallery(complete(n=20), 0)


@given(st.integers(1, 300), st.integers(1, 60))
def test_spread_is_even_and_reaches_both_ends(size, most):
    places = _spread(range(size), most)
    assert len(places) == len(set(places)) == min(size, most)
    assert places == sorted(places)
    assert places[0] == 0
    if len(places) > 1:
        assert places[-1] == size - 1
        assert set(np.diff(places)) <= {(size - 1) // (len(places) - 1), -(-(size - 1) // (len(places) - 1))}


# spelling


@pytest.mark.parametrize(
    ("message", "spelled"),
    [
        (None, "–"),
        ("small red cube", "“small red cube”"),
        ("", "“”"),
        ("two\nlines \u202egnp", "“two\\nlines \\u202egnp”"),
        ("lone \ud800", "“lone \\ud800”"),
        ("x" * 301, "“" + "x" * 300 + "… (301 letters)”"),
        (7, "code 7"),
        (0.5, "number 0.5"),
        ([48, 53, 13, 16], "codes 48 53 13 16"),
        ([48], "code 48"),
        ([1] * 33, "codes " + "1 " * 31 + "1 … (33 codes)"),
        ([0.12345, 1], "1 vector of 2 numbers, first 0.123, 1"),
        ([[0.5] * 128] * 4, "4 vectors of 128 numbers, first 0.5, 0.5, 0.5 …"),
        ([[1, 2]], "1 vector of 2 numbers, first 1, 2"),
        ([[1.0], [1.0, 2.0]], "[[1.0], [1.0, 2.0]]"),
        ([], "[]"),
        ([[]], "[[]]"),
        ([True, 1], "[true, 1]"),
        ({"a": None}, '{"a": null}'),
    ],
)
def test_messages_are_spelled_for_people(message, spelled):
    assert spell_message(message) == spelled


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=60,
)


@given(json_values)
def test_no_message_is_long_or_acts(message):
    spelled = spell_message(json.loads(json.dumps(message)))
    assert spelled
    assert spelled.isprintable()
    assert len(spelled) < 1000
    spelled.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_prints_is_left_as_it_is(text):
    assert visible(text) == text


def test_scenes_hold_no_vectors():
    vector = [[0.123456789] * 32] * 2
    records = [replace(r, message=vector) if r.message else r for r in complete(n=20)]
    assert "0.123456789" not in repr(gallery(records))
    assert isinstance(records[0], EpisodeRecord)
