"""How many episodes are played side by side is a matter of speed: the verdict does not depend on it."""

from dataclasses import asdict

import pytest

from parley.channels.conditions import condition_names
from parley.evaluation.playing.entries import enter
from parley.evaluation.playing.play import PlayConfig, play
from parley.evaluation.results import build_results

EPISODES = 10
UNLIKE = ("seconds", "probabilities")


@pytest.fixture(scope="module")
def played(pocket_pair):
    """Records of the same episodes, one at a time and all at once; codes that mean nothing are judged."""
    pocket_pair.sender.describe(pocket_pair.world.referents("test"))  # one by one that takes seconds
    entries = {
        "silence": enter("silence", pocket_pair, None),
        "text": enter("text", pocket_pair, None)._replace(conditions=("normal", "swap")),
        "latent_vq": enter("latent_vq", pocket_pair, None)._replace(role="judged"),
    }
    configs = [PlayConfig(episodes=EPISODES, episodes_at_once=at_once) for at_once in (1, 100)]
    return [[r for batch in play(pocket_pair, entries, config) for r in batch] for config in configs]


def key(record):
    return record.channel, record.condition, record.episode_id


def test_every_choice_is_the_same_one_at_a_time_and_all_at_once(played):
    alone, together = (sorted(records, key=key) for records in played)
    assert len(alone) == EPISODES * (2 + 2 + len(condition_names()))
    for one, other in zip(alone, together, strict=True):
        assert one.choice == other.choice, key(one)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4), key(one)
        told, again = (
            {name: value for name, value in asdict(record).items() if name not in UNLIKE}
            for record in (one, other)
        )
        assert told == again


def test_the_verdict_and_every_criterion_are_the_same(played):
    alone, together = (build_results(records, {}) for records in played)
    assert alone["verdict"] == together["verdict"] == "fail"
    assert alone["sentence"] == together["sentence"]
    one, other = alone["channels"]["latent_vq"], together["channels"]["latent_vq"]
    assert one["gate1"] == other["gate1"]
