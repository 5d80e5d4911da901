"""In which order is played, from where a run goes on, and where it ends."""

from dataclasses import replace

import pytest

from parley.channels.conditions import condition_names
from parley.evaluation.playing.entries import enter
from parley.evaluation.playing.play import Entry, PlayConfig, Turn, num_batches, num_plays, play, turns

ROUND = 2 + len(condition_names())  # the baseline's two, and those of a channel


@pytest.fixture(scope="module")
def pair(pocket_pair):
    return pocket_pair


def untimed(records):
    return [replace(record, seconds=None) for record in records]


def test_a_run_that_goes_on_plays_what_is_missing_and_nothing_else(pair):
    few = {name: enter(name, pair, None) for name in ("silence", "latent_vq")}
    config = PlayConfig(episodes=5, episodes_at_once=3)
    whole = untimed(record for batch in play(pair, few, config) for record in batch)
    keys = [(channel, condition, row) for channel, condition, rows in turns(few, config) for row in rows]
    assert keys == [(r.channel, r.condition, r.episode_id) for r in whole]
    assert len(whole) == 5 * ROUND
    for done in (1, 6, 20, 21, 30, 35):
        rest = untimed(record for batch in play(pair, few, config, done=done) for record in batch)
        assert rest == whole[done:]


def test_nothing_is_read_or_sent_for_what_was_played_before(pair, monkeypatch):
    reads = []
    read = pair.read
    monkeypatch.setattr(pair, "read", lambda candidates: reads.append(len(candidates)) or read(candidates))
    entries = {"text": enter("text", pair, None)}
    list(play(pair, entries, PlayConfig(episodes=7, episodes_at_once=2), done=4 * len(condition_names())))
    assert reads == [2, 1]


@pytest.mark.parametrize(
    ("look_every", "done", "asked_at", "stop_at", "played"),
    [
        (None, 0, [4, 8, 10], None, 10),
        (None, 0, [4, 8], 8, 8),
        (5, 0, [5, 10], None, 10),
        (5, 0, [5], 5, 5),
        (5, 9, [5], 5, 5),  # 4 episodes twice, then the fifth under one of two conditions
        (5, 10, [5], 5, 5),  # all that was played before is asked about once
        (5, 11, [10], None, 10),
    ],
)
def test_play_ends_when_it_is_settled(pair, look_every, done, asked_at, stop_at, played):
    entries = {"text": Entry(enter("text", pair, None).channel, "ceiling", ("normal", "swap"))}
    taken, asked = [done], []

    def settled():
        assert taken[0] % 2 == 0, "asked between rounds only"
        asked.append(taken[0] // 2)
        return taken[0] // 2 == stop_at

    config = PlayConfig(episodes=10, episodes_at_once=4)
    for batch in play(pair, entries, config, done=done, look_every=look_every, settled=settled):
        taken[0] += len(batch)
    assert asked == asked_at
    assert taken[0] == 2 * played


def test_turns_are_rounds_of_all_conditions(pair):
    entries = {name: enter(name, pair, None) for name in ("silence", "text")}
    config = PlayConfig(episodes=5, episodes_at_once=4)
    listed = list(turns(entries, config, look_every=3))
    assert listed[:2] == [Turn("silence", "normal", range(3)), Turn("silence", "reordered", range(3))]
    assert listed[2:ROUND] == [Turn("text", condition, range(3)) for condition in condition_names()]
    assert listed[ROUND] == Turn("silence", "normal", range(3, 5))


def test_progress_knows_how_many_batches_there_are(pair):
    entries = {name: enter(name, pair, None) for name in ("silence", "text")}
    config = PlayConfig(episodes=5, episodes_at_once=2)
    assert len(list(play(pair, entries, config))) == num_batches(entries, config) == 3 * ROUND
    assert num_plays(entries, config) == 5 * ROUND
