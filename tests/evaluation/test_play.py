"""Playing: the same episodes for all, the environment as the wire, controls that do what they say."""

from collections import Counter

import numpy as np
import pytest
import torch

from channels.base import Prefix
from channels.controls import CONDITIONS
from envs.episode import EpisodeConfig
from envs.referential_v0 import RECEIVER, SENDER, env
from envs.world import objects_world
from evaluation.contestants import chosen_channels, enter
from evaluation.play import Contestant, PlayConfig, num_batches, play, write_script

WORLD = objects_world()


@pytest.fixture(scope="module")
def pair(pocket_pair):
    return pocket_pair


@pytest.fixture(scope="module")
def records(pair):
    contestants = {name: enter(name, pair, None) for name in chosen_channels(["all"])}
    batches = play(pair, contestants, PlayConfig(episodes=40, episodes_at_once=16))
    return [record for batch in batches for record in batch]


def test_every_channel_and_condition_plays_the_same_episodes(records):
    played = {}
    for record in records:
        played.setdefault((record.channel, record.condition), []).append((record.episode_id, record.target))
    assert {channel for channel, _ in played} >= {"text", "silence", "latent", "latent_vq"}
    assert all(episodes == played["silence", "normal"] for episodes in played.values())
    assert [number for number, _ in played["silence", "normal"]] == list(range(40))
    assert Counter(channel for channel, _ in played) == {
        name: 1 if name == "silence" else len(CONDITIONS) for name, _ in played
    }


def test_the_script_holds_test_episodes_another_candidate_and_a_derangement():
    script = write_script(WORLD, PlayConfig(episodes=200))
    assert all(WORLD.in_split(episode.candidates, "test").all() for episode in script.episodes)
    targets = np.array([episode.target for episode in script.episodes])
    assert (script.foils != targets).all()
    assert set(script.foils) == set(range(5))
    assert (script.partners != np.arange(200)).all()
    assert sorted(script.partners) == list(range(200))


def test_candidates_are_the_more_alike_the_less_is_drawn_anew():
    """An attribute is drawn anew in a candidate with this chance, so two candidates share the others."""
    differing = []
    for chance in (0.15, 0.5, 1.0):
        script = write_script(WORLD, PlayConfig(episodes=60, resample_probability=chance))
        candidates = np.stack([episode.candidates for episode in script.episodes])
        differing.append((candidates[:, 1:] != candidates[:, :1]).mean())
    assert differing[0] + 0.1 < differing[1] < differing[2] - 0.1
    assert PlayConfig().candidates == EpisodeConfig(split="test", num_candidates=5, resample_probability=0.5)


def test_confusable_candidates_are_played_by_the_environment_too(pair):
    config = PlayConfig(episodes=6, resample_probability=0.15, num_candidates=4)
    batches = list(play(pair, {"text": enter("text", pair, None)}, config))
    assert {len(record.probabilities) for batch in batches for record in batch} == {4}
    targets = [episode.target for episode in write_script(pair.world, config).episodes]
    assert [record.target for record in batches[0]] == targets


def test_another_seed_is_another_script_and_the_same_seed_the_same():
    one, same, other = (write_script(WORLD, PlayConfig(episodes=20, seed=seed)) for seed in (0, 0, 1))
    first = [episode.candidates.tolist() for episode in one.episodes]
    assert first == [episode.candidates.tolist() for episode in same.episodes]
    assert first != [episode.candidates.tolist() for episode in other.episodes]


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

    partners = write_script(pair.world, PlayConfig(episodes=40)).partners
    normal, shuffled = messages("normal"), messages("shuffle")
    assert all(shuffled[i] == normal[int(partners[i])] for i in range(40))


def test_records_do_not_depend_on_how_many_are_played_at_once(pair, records):
    contestants = {name: enter(name, pair, None) for name in ("silence", "text", "latent_vq")}
    config = PlayConfig(episodes=40, episodes_at_once=40)
    again = {
        (r.channel, r.condition, r.episode_id): r for batch in play(pair, contestants, config) for r in batch
    }
    for record in records:
        if record.condition != "random" and record.channel in contestants:
            other = again[record.channel, record.condition, record.episode_id]
            assert record.message == other.message
            assert record.probabilities == pytest.approx(other.probabilities, abs=1e-4)


def test_progress_knows_how_many_batches_there_are(pair):
    contestants = {name: enter(name, pair, None) for name in ("silence", "text")}
    config = PlayConfig(episodes=5, episodes_at_once=2)
    assert len(list(play(pair, contestants, config))) == num_batches(contestants, config) == 3 * 6


def test_untrained_channels_are_named_so(records):
    trained = {record.channel: record.trained for record in records}
    assert trained["latent"] is False
    assert trained["latent_vq"] is False
    assert trained["text"] is None
    assert trained["silence"] is None


def test_bits_are_charged_for_what_crossed(records):
    for record in records:
        if record.channel == "latent_vq":
            assert record.bits == 24.0
        if record.channel == "text":
            assert record.bits == 8 * (len(record.message) + 1)
        if record.channel == "silence":
            assert record.bits == 0.0


def test_the_turn_based_environment_gives_the_same_result(pair, records):
    """One episode at a time, through the AEC interface, as anybody would play it."""
    script = write_script(pair.world, PlayConfig(episodes=40))
    channel = enter("text", pair, None).channel
    game = env(world=pair.world, config=EpisodeConfig(split="test"), message_space=channel.message_space)
    expected = {r.episode_id: r for r in records if (r.channel, r.condition) == ("text", "normal")}
    for number, episode in enumerate(script.episodes[:5]):
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
    import evaluation.play as module

    constant = "small red metal cube"
    speak = module.Table.speak
    monkeypatch.setattr(module.Table, "speak", lambda table, sent: speak(table, [constant] * len(sent)))
    contestants = {"text": enter("text", pair, None)}
    batches = play(pair, contestants, PlayConfig(episodes=60))
    normal = [record for batch in batches for record in batch if record.condition == "normal"]
    assert np.mean([record.success for record in normal]) < 0.5


def test_null_is_content_free_whatever_is_said(pair):
    channel = enter("latent_vq", pair, None).channel
    reception = channel.null_reception(3)
    assert isinstance(reception, Prefix)
    assert torch.equal(reception.vectors, torch.zeros(3, 4, 128))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"episodes": 1}, "episodes must be from 2 to"),
        ({"seed": -1}, "seed must be from 0 to"),
        ({"num_candidates": 1}, "num_candidates must be from 2 to 26, got 1"),
        ({"resample_probability": 0.0}, "resample_probability must be from 0.001 to 1, got 0.0"),
        ({"resample_probability": 1.1}, "resample_probability must be from 0.001 to 1, got 1.1"),
        ({"episodes_at_once": 0}, "episodes_at_once must be at least 1, got 0"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        PlayConfig(**settings)


def test_a_contestant_that_raises_ends_the_run_and_is_not_skipped(pair):
    contestant = enter("text", pair, None)

    class Broken(type(contestant.channel)):
        def receive(self, messages):
            raise RuntimeError("broken")

    broken = Broken(contestant.channel.config, pair.ends)
    with pytest.raises(RuntimeError, match="broken"):
        list(play(pair, {"text": Contestant(broken, None)}, PlayConfig(episodes=4)))
