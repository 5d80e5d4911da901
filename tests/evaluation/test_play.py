"""Playing: the same episodes for all, the environment as the wire, controls that do what they say."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from parley.channels.base import SoftPrompt
from parley.channels.conditions import condition_names, find_condition
from parley.channels.registry import channel_class
from parley.envs.batched import BatchedEnv
from parley.envs.game import EpisodeConfig
from parley.envs.referential_v0 import env
from parley.envs.rules import RECEIVER, SENDER, Rules
from parley.evaluation.playing import stopwatch
from parley.evaluation.playing.entries import chosen_channels, enter
from parley.evaluation.playing.play import Entry, PlayConfig, make_plan, play

EPISODES = 10
CONFIG = PlayConfig(episodes=EPISODES, episodes_at_once=4)


@pytest.fixture(scope="module")
def pair(pocket_pair):
    return pocket_pair


@pytest.fixture(scope="module")
def entries(pair):
    entered = {name: enter(name, pair, None) for name in chosen_channels(["all"])}
    oracle = channel_class("oracle_prefix")  # by default it takes as long as all the others
    quick = oracle(oracle.Config(steps=2), pair.interface).eval()
    return entered | {"oracle_prefix": entered["oracle_prefix"]._replace(channel=quick)}


@pytest.fixture(scope="module")
def records(pair, entries):
    return [record for batch in play(pair, entries, CONFIG) for record in batch]


def of(records, channel, condition="normal"):
    return [record for record in records if (record.channel, record.condition) == (channel, condition)]


def test_every_channel_and_condition_plays_the_same_episodes(records):
    played = {}
    for record in records:
        played.setdefault((record.channel, record.condition), []).append((record.episode_id, record.target))
    reordered = played.pop(("silence", "reordered"))
    assert [number for number, _ in reordered] == list(range(EPISODES))
    assert {channel for channel, _ in played} >= {"text", "silence", "latent", "latent_vq"}
    assert all(episodes == played["silence", "normal"] for episodes in played.values())
    assert [number for number, _ in played["silence", "normal"]] == list(range(EPISODES))
    assert Counter(channel for channel, _ in played) == {
        name: 1 if name == "silence" else len(condition_names()) for name, _ in played
    }


def test_silence_alone_reads_the_candidates_in_another_order(pair, records):
    plan = make_plan(pair.world, CONFIG)
    assert {record.channel for record in records if record.condition == "reordered"} == {"silence"}
    other = of(records, "silence", "reordered")
    laid_out = [plan.episode(row, find_condition("reordered")) for row in range(EPISODES)]
    assert [record.target for record in other] == [episode.target for episode in laid_out]
    channel = enter("silence", pair, None).channel
    context = pair.read([episode.candidates for episode in laid_out])
    direct = pair.receiver.choose(context, channel.receive([0] * EPISODES)).softmax(-1)
    for record, expected in zip(other, direct.tolist(), strict=True):
        assert record.probabilities == pytest.approx(expected, abs=1e-4)
    first = of(records, "silence")
    assert any(a.probabilities != b.probabilities for a, b in zip(first, other, strict=True))


def test_what_the_receiver_saw_is_recorded_once_an_episode(pair, records):
    plan = make_plan(pair.world, CONFIG)
    for record in records:
        assert record.num_candidates == 5
        shown = (record.channel, record.condition) == ("silence", "normal")
        candidates = plan.episodes[record.episode_id].candidates
        assert record.candidates == ([pair.world.describe(c) for c in candidates] if shown else None)


def test_tokens_are_the_positions_that_a_message_takes(pair, records):
    assert {record.tokens for record in records if record.channel == "silence"} == {0}
    assert {record.tokens for record in records if record.channel == "latent_vq"} == {4}
    for record in records:
        if record.channel == "text":
            [row] = pair.receiver.message_tokens([record.message])
            assert record.tokens == (4 if record.condition == "null" else len(row))


def test_seconds_hold_all_of_the_reading_a_share_of_the_sending_and_the_choosing(pair, monkeypatch):
    """With a clock on which the sender's work takes 100, reading 10 and choosing 1 of its seconds."""
    spent, elapsed = [0], {"send": 100, "read": 10, "choose": 1}
    monkeypatch.setattr(stopwatch, "perf_counter", lambda: spent[0])

    def slow(place, name):
        inner = getattr(place, name)

        def work(*arguments):
            spent[0] += elapsed[name]
            return inner(*arguments)

        monkeypatch.setattr(place, name, work)

    channel = enter("text", pair, None).channel
    anew = enter("text", pair, None).channel
    anew.at_start = True  # what was read before its prefix is of no use
    slow(channel, "send")
    slow(pair, "read")
    slow(pair.receiver, "choose")
    entries = {
        "a": Entry(channel, "judged", ("normal", "shuffle")),
        "silence": enter("silence", pair, None),
        "b": Entry(anew, "judged", ("normal",)),
    }
    played = [r for batch in play(pair, entries, PlayConfig(episodes=4)) for r in batch]
    seconds = {(r.channel, r.condition): r.seconds for r in played}
    assert seconds == {
        ("a", "normal"): (10 + 100 / 2 + 1) / 4,  # both deliver the same four messages, which are sent once
        ("a", "shuffle"): (10 + 100 / 2 + 1) / 4,
        ("silence", "normal"): (10 + 1) / 4,
        ("silence", "reordered"): (10 + 1) / 4,
        ("b", "normal"): 1 / 4,
    }


def test_confusable_candidates_are_played_by_the_environment_too(pair):
    config = PlayConfig(episodes=6, resample_probability=0.15, num_candidates=4)
    batches = list(play(pair, {"text": enter("text", pair, None)}, config))
    assert {len(record.probabilities) for batch in batches for record in batch} == {4}
    targets = [episode.target for episode in make_plan(pair.world, config).episodes]
    assert [record.target for record in batches[0]] == targets


def test_text_names_the_target_and_its_swap_the_foil(records):
    text = [record for record in records if record.channel == "text"]
    normal = [record for record in text if record.condition == "normal"]
    assert np.mean([record.success for record in normal]) > 0.9
    swap = [record for record in text if record.condition == "swap"]
    assert np.mean([record.choice == record.intended for record in swap]) > 0.9
    assert not any(record.intended == record.target for record in swap)


def test_shuffle_delivers_the_partner_s_message(pair, records):
    def messages(condition):
        return {r.episode_id: r.message for r in records if (r.channel, r.condition) == ("text", condition)}

    partners = make_plan(pair.world, CONFIG).partners
    normal, shuffled = messages("normal"), messages("shuffle")
    assert all(shuffled[i] == normal[int(partners[i])] for i in range(EPISODES))


def test_records_do_not_depend_on_how_many_are_played_at_once(pair, records):
    entries = {name: enter(name, pair, None) for name in ("silence", "text", "latent_vq")}
    config = replace(CONFIG, episodes_at_once=EPISODES)
    again = {
        (r.channel, r.condition, r.episode_id): r for batch in play(pair, entries, config) for r in batch
    }
    for record in records:
        if record.channel in entries:
            other = again[record.channel, record.condition, record.episode_id]
            assert record.message == other.message
            assert record.probabilities == pytest.approx(other.probabilities, abs=1e-4)


def test_records_say_what_a_channel_was_played_for(records):
    roles = {record.channel: record.role for record in records}
    assert roles["latent"] == roles["latent_vq"] == roles["index"] == "untrained"
    assert (roles["text"], roles["silence"], roles["priming"]) == ("ceiling", "baseline", "untrained")


def test_repeat_delivers_the_first_message_of_the_run_to_everybody(records):
    [first] = [record.message for record in of(records, "text") if record.episode_id == 0]
    assert {record.message for record in of(records, "text", "repeat")} == {first}
    assert {record.intended for record in of(records, "text", "repeat")} == {None}
    assert len({record.choice for record in of(records, "text", "repeat")}) > 1


def test_bits_are_charged_for_what_was_sent(records):
    for record in records:
        if record.channel == "latent_vq":
            assert record.bits == 24.0
        if record.channel == "text":
            assert record.bits == 8 * (len(record.message) + 1)
        if record.channel == "silence":
            assert record.bits == 0.0


def test_the_turn_based_environment_gives_the_same_result(pair, records):
    """One episode at a time, through the AEC interface, as anybody would play it."""
    plan = make_plan(pair.world, CONFIG)
    channel = enter("text", pair, None).channel
    game = env(world=pair.world, config=EpisodeConfig(split="test"), message_space=channel.message_space)
    expected = {r.episode_id: r for r in records if (r.channel, r.condition) == ("text", "normal")}
    for number, episode in enumerate(plan.episodes[:5]):
        game.reset(options={"episodes": [episode]})
        rewards = {}
        for agent in game.agent_iter():
            observation, reward, terminated, truncated, _ = game.last()
            rewards[agent] = reward
            if terminated or truncated:
                action = None
            elif agent == SENDER:
                action = channel.send(pair.sender.speak(observation["target"][None]))[0]
            else:
                context = pair.read([observation["candidates"]])
                logits = pair.receiver.choose(context, channel.receive([observation["message"]]))
                action = int(logits.argmax())
                assert action == expected[number].choice
            game.step(action)
        assert rewards[RECEIVER] == float(expected[number].success)


def test_the_receiver_gets_nothing_but_what_the_environment_lets_it_observe(pair, monkeypatch):
    """Whatever the sender means, a wire that replaces the message replaces what the receiver does."""
    import parley.evaluation.playing.play as module

    step = module.BatchedEnv.step

    def replaced(env, actions):
        if SENDER in actions:
            actions = {SENDER: ["small red metal cube"] * len(actions[SENDER])}
        return step(env, actions)

    monkeypatch.setattr(module.BatchedEnv, "step", replaced)
    entries = {"text": enter("text", pair, None)}
    batches = play(pair, entries, PlayConfig(episodes=60))
    normal = [record for batch in batches for record in batch if record.condition == "normal"]
    assert np.mean([record.success for record in normal]) < 0.5


def test_success_is_what_the_environment_pays(pair, monkeypatch):
    """One that pays for another choice than the target contradicts the record, and the run ends."""
    monkeypatch.setattr(Rules, "reward", lambda rules, episode, choice: float(choice != episode.target))
    with pytest.raises(ValueError, match=r"success is (true|false), but choice is \d and target \d"):
        next(play(pair, {"text": enter("text", pair, None)}, PlayConfig(episodes=4)))


def test_nothing_is_played_around_the_environment(pair, monkeypatch):
    """Without it nothing is observed, sent or paid."""
    for method in ("reset", "step"):
        with monkeypatch.context() as patch:
            patch.setattr(BatchedEnv, method, gone)
            with pytest.raises(RuntimeError, match="no environment"):
                next(play(pair, {"text": enter("text", pair, None)}, PlayConfig(episodes=4)))


def gone(*_, **__):
    raise RuntimeError("no environment")


def test_null_is_content_free_whatever_is_said(pair):
    channel = enter("latent_vq", pair, None).channel
    receiver_input = channel.null_input(3)
    assert isinstance(receiver_input, SoftPrompt)
    assert torch.equal(receiver_input.vectors, torch.zeros(3, 4, 128))


def test_ties_are_broken_by_lot_and_alike_when_a_run_resumes(pair, monkeypatch):
    """A receiver to whom all candidates are equal picks every place, however many play at once."""
    monkeypatch.setattr(pair.receiver, "choose", lambda context, _: torch.zeros(len(context.mask), 5))
    entries = {"silence": enter("silence", pair, None)}
    config = PlayConfig(episodes=30, episodes_at_once=30)
    whole = [record.choice for batch in play(pair, entries, config) for record in batch]
    assert set(whole[:30]) == set(whole[30:]) == set(range(5))
    assert whole[:30] != whole[30:]
    assert max(Counter(whole).values()) < 25  # of 60
    cut = play(pair, entries, replace(config, episodes_at_once=10), done=35)
    rest = {(r.condition, r.episode_id): r.choice for batch in cut for r in batch}
    batches = play(pair, entries, replace(config, episodes_at_once=10))
    every = {(r.condition, r.episode_id): r.choice for batch in batches for r in batch}
    names = ("normal", "reordered")
    assert every == dict(zip(((name, row) for name in names for row in range(30)), whole, strict=True))
    assert len(rest) == 25
    assert rest.items() <= every.items()


def test_a_contestant_that_raises_ends_the_run_and_is_not_skipped(pair):
    entry = enter("text", pair, None)

    class Broken(type(entry.channel)):
        def receive(self, messages):
            raise RuntimeError("broken")

    broken = Broken(entry.channel.config, pair.interface)
    with pytest.raises(RuntimeError, match="broken"):
        list(play(pair, {"text": Entry(broken)}, PlayConfig(episodes=4)))
