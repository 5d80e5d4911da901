"""The parts of an admission: its rule, its counts, and the file of its trials."""

from collections import Counter

import numpy as np
import pytest
import torch

from parley.agents.player import ReceiverSettings
from parley.agents.receiver import Receiver
from parley.channels.base import TextInput
from parley.evaluation.admission import trials as trials_module
from parley.evaluation.admission.grid import Question, questions
from parley.evaluation.admission.rule import Cell, SenderTrial, best_cell, best_sender
from parley.evaluation.admission.trials import Trials, _score
from parley.evaluation.admission.trials_file import TrialsFile
from parley.evaluation.playing.plan import PlayConfig
from parley.evaluation.statistics import wilson

NUM_EPISODES = 3
COUNTS = ("successes", "swap_consistent", "exact_successes")
LETTERS = Question(shots=0, readout="label", wording="again")
PLAIN = Question(shots=1, readout="likelihood", wording="plain")


def cell(shots=0, wording="plain", successes=40, swap_consistent=40, exact_successes=50):
    return Cell(
        shots=shots,
        readout="label",
        wording=wording,
        calibration="none",
        n=60,
        successes=successes,
        swap_consistent=swap_consistent,
        exact_successes=exact_successes,
    )


def test_a_score_is_the_lower_of_the_two_lower_ends():
    assert cell(successes=50, swap_consistent=30).score == wilson(30, 60).ci_low
    assert cell(successes=30, swap_consistent=50).score == wilson(30, 60).ci_low
    assert cell(exact_successes=0).score == cell(exact_successes=60).score


def test_a_cell_is_fit_above_the_floor_of_the_gate():
    # Wilson's lower end of 25 of 60 is 0.3006, of 24 of 60 it is 0.2857
    assert cell(successes=25, swap_consistent=25).fit
    assert not cell(successes=24, swap_consistent=60).fit
    assert not cell(successes=60, swap_consistent=24).fit


def test_the_highest_score_is_chosen_then_the_fewest_shots_then_the_first():
    low, high = cell(successes=20), cell(shots=3, successes=45, swap_consistent=45)
    assert best_cell([low, high]) == high
    few, many = cell(shots=1, successes=45, swap_consistent=50), high
    assert best_cell([many, few]) == few
    first, second = cell(wording="again"), cell(wording="plain")
    assert best_cell([first, second]) == first
    assert best_cell([second, first]) == second


def test_the_most_exact_sender_is_chosen_then_the_fewest_shots():
    none, one, three = (SenderTrial(shots=k, exact=e, n=50) for k, e in [(0, 10), (1, 40), (3, 40)])
    assert best_sender([none, three, one]) == one


def test_the_grid_has_fewer_shots_first_and_three_wordings_at_most():
    asked = questions()
    assert [question.shots for question in asked] == sorted(question.shots for question in asked)
    of_each = [q.wording for q in asked if q.shots == 0 and q.readout == "likelihood"]
    assert of_each == ["plain", "repeat", "copy"]
    assert Question(shots=0, readout="label", wording="plain").calibrations == ("none",)
    assert PLAIN.calibrations == ("none", "content_free")
    assert PLAIN.settings.calibration == "content_free", "under which the raw scores can be read as well"


@pytest.fixture
def tried(lm, small_world):
    return Trials(
        (lm, lm), small_world, PlayConfig(episodes=NUM_EPISODES, episodes_at_once=2, num_candidates=3)
    )


@pytest.mark.parametrize("question", [PLAIN, LETTERS], ids=str)
def test_the_counts_are_those_of_episodes_played_one_by_one(tried, question):
    """In full passes, each calibration by a receiver of its own."""
    sender, plan = tried.sender(0), tried.plan
    for found in tried.try_receiver(question, sender, lambda episodes: None):
        settings = question.calibrated(found.calibration)
        receiver = Receiver(tried.models[1], settings, tried.examples)
        counts = Counter(n=NUM_EPISODES)
        for episode, other in zip(plan.episodes, plan.swap_targets, strict=True):
            seen, right = episode.candidates, [episode.target, other, episode.target]
            texts = [*sender.describe(seen[right[:2]]), tried.world.describe(seen[episode.target])]
            options = [tried.world.options(seen)] * 3
            picks = receiver.choose_uncached(options, TextInput(texts)).argmax(-1).tolist()
            counts.update(dict(zip(COUNTS, np.equal(picks, right).tolist(), strict=True)))
        assert {name: getattr(found, name) for name in ("n", *COUNTS)} == counts


def test_exact_descriptions_are_told_beside_what_the_sender_says(tried, monkeypatch):
    def understood(pair, episodes, heard):
        """A receiver that picks the candidate of that description, behind three messages each."""
        options = [pair.world.options(episode.candidates) for episode in episodes for _ in range(3)]
        picks = [[text == option for option in row] for text, row in zip(heard.texts, options, strict=True)]
        return {"none": torch.tensor(picks, dtype=torch.float32)}

    def next_one(trials, pair, channel, episodes):
        """A sender that speaks of the candidate after the target."""
        return [tried.world.options(e.candidates)[(e.target + 1) % 3] for e in episodes]

    monkeypatch.setattr(trials_module, "_score", understood)
    monkeypatch.setattr(Trials, "_said", next_one)
    (found,) = tried.try_receiver(LETTERS, tried.sender(0), lambda episodes: None)
    assert (found.successes, found.swap_consistent, found.exact_successes) == (0, 0, NUM_EPISODES)


def test_trials_are_of_the_validation_split(tried):
    seen = np.stack([episode.candidates for episode in tried.plan.episodes])
    assert tried.world.in_split(seen, "validation").all()


def test_a_receiver_of_one_position_is_seen_as_such(tried, monkeypatch):
    def first(pair, episodes, heard):
        return {"none": torch.tensor([[2.0, 1.0, 0.0]]).repeat(len(episodes), 1)}

    monkeypatch.setattr(trials_module, "_score", first)
    found = tried.examine(PLAIN, "none", tried.sender(0), lambda episodes: None)
    assert found == {"picks": [3, 0, 0], "cyclic_consistency": {"same": 0, "n": 3}}


def test_a_receiver_of_one_candidate_is_the_same_in_all_orders(tried, monkeypatch):
    orders = set()

    def by_content(pair, episodes, heard):
        orders.update(tuple(map(tuple, episode.candidates.tolist())) for episode in episodes[:1])
        indices = np.stack([pair.world.index(episode.candidates) for episode in episodes])
        return {"none": torch.tensor(indices, dtype=torch.float32)}

    monkeypatch.setattr(trials_module, "_score", by_content)
    found = tried.examine(PLAIN, "none", tried.sender(0), lambda episodes: None)
    assert found["cyclic_consistency"] == {"same": 3, "n": 3}
    largest = [int(tried.world.index(e.candidates).argmax()) for e in tried.plan.episodes]
    assert found["picks"] == np.bincount(largest, minlength=3).tolist()
    assert len(orders) == 2 * 3, "each of the two rounds in three orders"


def test_equal_scores_are_broken_by_chance(tried):
    picked = tried._choose(torch.zeros(300, 3), range(300))
    assert np.bincount(picked).min() > 50
    best = torch.tensor([[0.0, 1.0, 1.0]]).repeat(300, 1)
    assert set(tried._choose(best, range(300)).tolist()) == {1, 2}


def test_raw_scores_come_from_the_calibrated_pass(tried):
    pair, channel = tried._pair(tried.sender(0), PLAIN)
    episodes, heard = tried.plan.episodes[:2], channel.receive(["red", "blue"])
    both = _score(pair, episodes, heard)
    pair.receiver = Receiver(tried.models[1], ReceiverSettings(readout="likelihood", shots=1), tried.examples)
    torch.testing.assert_close(
        both["none"], pair.receiver.choose(pair.read([e.candidates for e in episodes]), heard)
    )
    assert (both["none"] - both["content_free"]).abs().min() > 0


def test_a_trials_file_keeps_what_was_tried_and_drops_a_cut_line(tmp_path):
    path = tmp_path / "new" / "x.trials.jsonl"
    assert TrialsFile(path, {"seed": 0}).outcome("one", lambda: {"n": 1}) == {"n": 1}
    with path.open("a") as file:
        file.write('{"trial": "two", "outc')
    resumed = TrialsFile(path, {"seed": 0})
    assert resumed.outcome("one", lambda: pytest.fail("it was tried before")) == {"n": 1}
    assert resumed.outcome("two", lambda: 2) == 2
    assert TrialsFile(path, {"seed": 0}).outcome("two", lambda: None) == 2
    with pytest.raises(
        ValueError, match=r"other settings: seed is 0 there and 1 here\. Finish it under those"
    ):
        TrialsFile(path, {"seed": 1})


def test_a_flipped_bit_in_a_trials_file_is_noticed(tmp_path):
    path = tmp_path / "x.trials.jsonl"
    TrialsFile(path, {"seed": 0}).outcome("one", lambda: {"n": 1})
    path.write_text(path.read_text().replace('"n": 1', '"n": 3'))
    with pytest.raises(ValueError, match=r"x\.trials\.jsonl is damaged.*line 2 is not what its SHA-256"):
        TrialsFile(path, {"seed": 0})


@pytest.mark.parametrize("content", ["{}\n", "[]\n", "no JSON\n", '{"settings": {}}\n{"trial": 1}\n'])
def test_a_damaged_trials_file_is_refused(tmp_path, content):
    path = tmp_path / "x.trials.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"x\.trials\.jsonl is damaged, remove it to begin anew"):
        TrialsFile(path, {})
