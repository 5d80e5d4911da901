"""A receiver that is read by likelihood: its records and the checks of validity are those of any other."""

import pytest

from parley.agents.examples import draw_examples
from parley.agents.pair import Pair
from parley.agents.player import ReceiverSettings
from parley.agents.receiver import Receiver
from parley.envs.game import DEFAULT_GAME, EpisodeConfig, find_game
from parley.evaluation.playing.entries import enter
from parley.evaluation.playing.play import Entry, PlayConfig, make_plan, play
from parley.evaluation.results import build_results

CONFIG = PlayConfig(episodes=4, num_candidates=3)


@pytest.fixture(scope="module")
def pair(pocket_pair):
    game = find_game(DEFAULT_GAME, pocket_pair.world, EpisodeConfig(split="train"))
    settings = ReceiverSettings(readout="likelihood", calibration="content_free")
    receiver = Receiver(pocket_pair.receiver.lm, settings, draw_examples(game, 0))
    return Pair(pocket_pair.sender, receiver, pocket_pair.world)


@pytest.fixture(scope="module")
def records(pair):
    text = enter("text", pair, None).channel
    entries = {"text": Entry(text, "judged", ("normal", "null")), "silence": enter("silence", pair, None)}
    return [record for batch in play(pair, entries, CONFIG) for record in batch]


def test_probabilities_are_those_of_the_calibrated_scores(pair, records):
    plan = make_plan(pair.world, CONFIG)
    played = [r for r in records if (r.channel, r.condition) == ("text", "normal")]
    channel = enter("text", pair, None).channel
    options = [pair.world.options(plan.episodes[record.episode_id].receiver_view) for record in played]
    delivered = channel.receive([record.message for record in played])
    plain = pair.receiver.readout.answer_uncached(pair.receiver, options, delivered)
    assert not (plain.logits == plain.read).any(), "they are calibrated"
    for record, expected in zip(played, plain.logits.softmax(-1).tolist(), strict=True):
        assert record.probabilities == pytest.approx(expected, abs=1e-4)
        assert record.choice == max(range(3), key=record.probabilities.__getitem__)


def test_every_check_of_validity_can_be_made(records):
    results = build_results(records, {})
    found = {c["name"]: c for c in results["validity"]["criteria"]}
    found |= {c["name"]: c for c in results["channels"]["text"]["validity"]["criteria"]}
    assert found["environment_loaded"]["passed"] is True
    assert found["injection_active"]["statistic"] > 0.01
    assert found["charged_honestly"]["passed"] is True
    assert results["diagnostics"]["text"]["nll"]["normal"] > 0
