"""The plain loop of single episodes picks what `parley.evaluation.playing.play` records."""

import pytest

from benchmarks.evaluating import Stage, agreement, further
from benchmarks.loops import ForgetfulSender, play_one_by_one, told
from parley.agents.sender import Sender
from parley.channels.conditions import condition_names, find_condition
from parley.evaluation.playing.entries import enter
from parley.evaluation.playing.play import PlayConfig, make_plan, play

CONFIG = PlayConfig(episodes=6)


@pytest.fixture(scope="module")
def entries(pocket_pair):
    return {name: enter(name, pocket_pair, None) for name in ("silence", "text", "latent", "latent_vq")}


@pytest.mark.parametrize("name", ["text", "latent", "latent_vq"])
def test_the_choices_are_those_of_playing_side_by_side(pocket_pair, entries, name):
    plan = make_plan(pocket_pair.world, CONFIG)
    channel = entries[name].channel
    chosen = play_one_by_one(pocket_pair, channel, name, plan, CONFIG, range(1, 3))
    assert [(row, condition) for row, condition, _ in chosen] == [
        (r, c) for r in range(1, 3) for c in condition_names()
    ]
    played = [record for batch in play(pocket_pair, {name: entries[name]}, CONFIG) for record in batch]
    recorded = {(record.episode_id, record.condition): record.choice for record in played}
    assert {(row, condition): choice for row, condition, choice in chosen}.items() <= recorded.items()
    assert len(set(recorded.values())) > 1, "a receiver that always picks the same one would prove nothing"


def test_the_sender_is_told_another_target_where_the_condition_delivers_its_message(pocket_pair):
    plan = make_plan(pocket_pair.world, CONFIG)
    for row, episode in enumerate(plan.episodes):
        about = {name: told(plan, row, find_condition(name)) for name in condition_names()}
        for name in ("normal", "null"):
            assert about[name] == episode
        for name in ("shuffle", "random", "matched"):
            assert about[name] == plan.episodes[plan.partners[row]]
        assert about["repeat"] == plan.episodes[0]
        swapped = about["swap"]
        assert swapped.target == plan.swap_targets[row] != episode.target
        assert swapped.candidates is episode.candidates


@pytest.mark.parametrize(("kind", "read"), [(Sender, 1), (ForgetfulSender, 3)])
def test_a_forgetful_sender_reads_whenever_it_speaks(pair, small_world, monkeypatch, kind, read):
    reads, whole = [], Sender._read

    def counted(sender, referents, layer, of):
        reads.append(len(referents))
        return whole(sender, referents, layer, of)

    monkeypatch.setattr(Sender, "_read", counted)
    sender = kind(pair.sender.lm, small_world)
    for _ in range(3):
        sender.read(small_world.referents("train")[:2])
    assert reads == [2] * read


def test_agreement_counts_the_choices_that_differ(pocket_pair, entries, tmp_path, monkeypatch):
    stage = Stage(pocket_pair, entries, CONFIG, range(2), tmp_path)
    assert agreement(stage, "latent") == 1.0
    looped = stage.one_by_one("latent")
    wrong = [choice._replace(choice=choice.choice ^ 1) for choice in looped[:3]]
    monkeypatch.setattr(stage, "one_by_one", lambda _: wrong + looped[3:])
    assert agreement(stage, "latent") == pytest.approx(1 - 3 / len(looped))


def test_a_further_condition_is_what_the_whole_adds():
    assert further([1.0, 2.0], [2.0, 3.0], 5) == [0.25, 0.125]
