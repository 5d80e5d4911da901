"""Whether to go on is the judge's to say, of all that was played so far."""

from recorded import perfect

from parley.evaluation import judge
from parley.evaluation.aggregation.run_data import RunAggregator


def test_the_judge_is_asked_about_all_records_so_far(monkeypatch):
    outcomes, asked = RunAggregator(), []

    def ask(records, provenance, *, gates, sequential):
        asked.append((records.p0.n, provenance, gates, sequential))
        return {"settled": records.p0.n >= 20}

    monkeypatch.setattr(judge, "build_results", ask)
    answers = []
    for record in perfect(30):
        outcomes.add(record)
        if record.channel == "silence" and (record.episode_id + 1) % 10 == 0:
            answers.append(judge.is_settled(outcomes, {"num_candidates": 5}, (1, 3)))
    assert answers == [False, True, True]
    assert asked == [(n, {"num_candidates": 5}, (1, 3), True) for n in (10, 20, 30)]


def test_by_default_the_gate_s_own_judge_is_asked():
    """A perfect channel is settled within 400 episodes, and by no means within 4."""
    answers = []
    for n in (4, 400):
        outcomes = RunAggregator()
        for record in perfect(n):
            outcomes.add(record)
        answers.append(judge.is_settled(outcomes, {"num_candidates": 5}, (1,)))
    assert answers == [False, True]


def test_it_is_looked_as_often_as_the_rule_s_page_says():
    assert judge.LOOK_EVERY == 50
