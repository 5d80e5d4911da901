"""results.json: the verdict, the documented keys, and what is null where."""

import json
import math
import random
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import attempt_02, outcomes, perfect, run

from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.records import EpisodeRecord
from parley.evaluation.results import build_results

SCHEMA = Path(__file__).parents[2] / "docs" / "results_schema.md"


def played_as(records, role):
    return [replace(record, role=role) for record in records]


def build(records, **provenance):
    return build_results(records, provenance)


def test_a_perfect_channel_passes():
    results = build(perfect(400))
    assert results["verdict"] == "pass"
    assert results["settled"] is True
    assert results["channels"]["latent_vq"]["gate1"]["passed"] is True
    assert results["sentence"] == (
        "Pass: latent_vq carries meaning: with the message the receiver finds the target in 100.0% of "
        "episodes, without any in 20.0%, and with a message about another candidate it picks that one in "
        "100.0%."
    )


def test_the_failed_experiment_fails_with_exactly_its_published_intervals():
    # PRIOR_ART.md section 1
    results = build(attempt_02())
    published = {
        "normal": (12.8, 35.2),
        "null": (14.3, 37.4),
        "random": (17.5, 41.7),
        "shuffle": (20.8, 45.8),
    }
    found = {
        name: (round(100 * row["ci_low"], 1), round(100 * row["ci_high"], 1))
        for name, row in results["channels"]["latent"]["conditions"].items()
    }
    assert found == published
    p0 = results["p0"]
    assert (p0["n"], p0["successes"], p0["rate"]) == (50, 10, 0.2)
    assert (round(100 * p0["ci_low"], 1), round(100 * p0["ci_high"], 1)) == (11.2, 33.0)
    assert results["verdict"] == "fail"
    assert results["sentence"] == (
        "Fail: it is not shown that latent carries meaning: normal succeeds in 22.0% of 50 episodes; its "
        "true rate may be as low as 12.8%, below the 30.0% asked. The four conditions normal, null, random "
        "and shuffle of latent are indistinguishable (smallest corrected p = 0.38)."
    )


def test_conditions_that_differ_are_not_called_alike():
    results = build(run(400, p0=80, normal=130, null=80, random=80, shuffle=80, swap=60))
    assert results["verdict"] == "fail"
    assert "told apart" not in results["sentence"]


def without(records, channel, condition):
    return [r for r in records if (r.channel, r.condition) != (channel, condition)]


@pytest.mark.parametrize(
    ("records", "verdict", "word"),
    [
        (perfect(1), "inconclusive", "too few episodes"),
        (perfect(100), "pass", "latent_vq carries"),
        (perfect(50), "inconclusive", "silence succeeds in 20.0% of 50 episodes: neither shown"),
        (without(perfect(100), "latent_vq", "swap"), "inconclusive", "condition swap was not played"),
        (without(perfect(100), "silence", "normal"), "inconclusive", "silence (P0) was not played"),
        (without(attempt_02(), "latent", "null"), "fail", "30.0% asked"),
        (perfect(100, channel="text"), "inconclusive", "no channel that is judged"),
        (run(100, p0=20), "inconclusive", "no channel that is judged"),
        ([*perfect(100), *outcomes("latent", "normal", 20, 100)], "fail", "that latent carries"),
        ([*perfect(100), *outcomes("latent", "normal", 90, 100)], "inconclusive", "whether latent carries"),
        ([*perfect(100), *outcomes("text", "normal", 20, 100)], "pass", "latent_vq carries"),
        (
            [*perfect(100), *outcomes("a", "normal", 20, 100), *outcomes("b", "normal", 20, 100)],
            "fail",
            "a and b carry",
        ),
        (
            run(400, p0=200, normal=400, null=80, random=80, shuffle=80, swap=0),
            "invalid",
            "without a message",
        ),
        (
            run(400, p0=80, normal=400, null=160, random=80, shuffle=80, swap=0),
            "invalid",
            "null succeeds in 40.0%",
        ),
        (
            run(400, p0=80, normal=160, null=80, random=80, shuffle=80, swap=160),
            "invalid",
            "under swap success",
        ),
    ],
)
def test_verdict(records, verdict, word):
    results = build(records)
    assert results["verdict"] == verdict
    assert word in results["sentence"]
    assert results["sentence"].lower().startswith(verdict)
    assert results["sentence"].count("\n") == 0


def test_an_untrained_channel_is_named_and_neither_passes_nor_fails():
    untrained = played_as(
        run(100, channel="latent", normal=20, null=20, random=20, shuffle=20, swap=20), "untrained"
    )
    results = build([*perfect(100), *untrained])
    latent = results["channels"]["latent"]
    assert results["verdict"] == "pass"
    assert latent["role"] == "untrained"
    assert latent["gate1"]["passed"] is None
    assert latent["gate1"]["original_rule"]["passed"] is None
    assert latent["gate1"]["criteria"][0]["passed"] is False
    assert results["notes"] == ["latent is untrained: it neither passes nor fails."]
    two = build([*perfect(100), *untrained, *played_as(run(100, channel="kv", normal=20), "untrained")])
    assert two["notes"][0] == "kv and latent are untrained: they neither pass nor fail."
    alone = build([*untrained, *outcomes("silence", "normal", 20, 100)])
    assert alone["verdict"] == "inconclusive"
    assert "no channel that is judged" in alone["sentence"]


@pytest.mark.parametrize(
    ("channel", "role"),
    [
        ("text", "ceiling"),
        ("text", "judged"),
        ("latent_vq", "judged"),
        ("morse", "judged"),
        ("latent_vq", "untrained"),
        ("index", "reference"),
    ],
)
def test_a_judged_channel_alone_decides(channel, role):
    results = build(played_as(run(100, channel=channel, normal=10), role))
    assert results["channels"][channel]["role"] == role
    others = "unfit" if role == "ceiling" else "inconclusive"
    assert results["verdict"] == ("fail" if role == "judged" else others)


def test_references_are_computed_for_information():
    results = build([*perfect(100), *without(perfect(100, channel="text"), "silence", "normal")])
    assert results["channels"]["text"]["gate1"]["passed"] is True
    assert results["channels"]["silence"]["gate1"]["passed"] is None


def test_an_episode_counts_once():
    with pytest.raises(ValueError, match="episode_id 1 is there twice for channel 'a', condition 'null'"):
        build(
            [
                *outcomes("a", "null", 1, 2),
                EpisodeRecord(channel="a", condition="null", episode_id=1, success=True),
            ]
        )


def test_no_records_raise():
    with pytest.raises(ValueError, match="records: at least 1 episode is needed, got 0"):
        build([])


def test_bits_are_the_mean_under_normal_and_null_if_unknown():
    records = [
        EpisodeRecord(channel="text", condition="normal", episode_id=i, success=True, bits=b)
        for i, b in enumerate((8, 16.0, 30))
    ]
    swap = EpisodeRecord(channel="text", condition="swap", episode_id=0, success=False, bits=1000)
    assert build([*records, swap])["channels"]["text"]["bits"] == 18.0
    unknown = EpisodeRecord(channel="text", condition="normal", episode_id=9, success=True)
    assert build([*records, unknown])["channels"]["text"]["bits"] is None
    assert build([swap])["channels"]["text"]["bits"] is None


def test_swap_consistency_counts_picks_of_what_the_message_names():
    def swap(episode_id, choice, intended):
        return EpisodeRecord(
            channel="a", condition="swap", episode_id=episode_id, success=False,
            choice=choice, target=4, intended=intended,
        )  # fmt: skip

    records = [swap(0, 1, 1), swap(1, 2, 2), swap(2, 3, 1), swap(3, None, 1), swap(4, 1, None)]
    found = build(records)["channels"]["a"]["swap_consistency"]
    assert (found["n"], found["successes"]) == (3, 2)
    assert found["rate"] == pytest.approx(2 / 3)
    normal = EpisodeRecord(channel="a", condition="normal", episode_id=0, success=True, choice=1, intended=1)
    assert build([normal, swap(0, None, 1)])["channels"]["a"]["swap_consistency"] is None


def test_communication_matters_counts_normal_where_silence_fails():
    silence = outcomes("silence", "normal", 10, 50)
    normal = outcomes("latent", "normal", 11, 50, first_wins=8)
    found = build([*silence, *normal])["communication_matters"]
    found = {name: subsets["conditioned"] for name, subsets in found.items()}
    assert (found["latent"]["n"], found["latent"]["successes"]) == (40, 9)
    assert found["silence"]["successes"] == 0


def test_communication_matters_of_the_failed_experiment():
    # PRIOR_ART.md section 1: 3 of 38, 7.9%
    records = [*outcomes("silence", "normal", 12, 50), *outcomes("latent", "normal", 11, 50, first_wins=4)]
    found = build(records)["communication_matters"]["latent"]["conditioned"]
    assert (found["n"], found["successes"], round(100 * found["rate"], 1)) == (38, 3, 7.9)


def test_communication_matters_is_null_where_it_is_undefined():
    assert build(run(5, normal=1))["communication_matters"]["latent_vq"]["conditioned"] is None
    assert build(run(5, normal=1, p0=5))["communication_matters"]["latent_vq"]["conditioned"] is None
    assert build(run(5, null=1, p0=1))["communication_matters"]["latent_vq"]["conditioned"] is None


def test_what_was_not_played_is_absent_or_null():
    results = build(run(50, normal=30))
    assert list(results["channels"]["latent_vq"]["conditions"]) == ["normal"]
    assert results["p0"] is None
    assert build(outcomes("a", "normal", 1, 2, num_candidates=None))["chance"] is None


def test_num_candidates_comes_from_records_or_provenance():
    record = EpisodeRecord(
        channel="a", condition="null", episode_id=0, success=True, probabilities=[0.25] * 4
    )
    assert build([record])["chance"] == 0.25
    assert build(run(5, normal=1), num_candidates=5)["chance"] == 0.2
    with pytest.raises(
        ValueError, match="num_candidates must be 4, the number of the records' candidates, got 5"
    ):
        build([record], num_candidates=5)
    with pytest.raises(ValueError, match="num_candidates must be an integer of at least 2, got 1"):
        build([record], num_candidates=1)
    other = EpisodeRecord(channel="a", condition="null", episode_id=1, success=True, probabilities=[0.5, 0.5])
    with pytest.raises(ValueError, match="candidates must be as many in all records, got 4 and 2"):
        build([record, other])


def test_conditions_on_other_episodes_are_noted():
    records = [r for r in perfect(100) if r.condition != "null" or r.episode_id < 90]
    assert build(perfect(100))["notes"] == []
    (note,) = build(records)["notes"]
    assert note.endswith("Other than the 100 episodes of the longest: latent_vq: null.")


def test_thresholds_are_those_that_judged():
    strict = Thresholds(min_ci_low=0.9, confidence=0.99)
    results = build_results(run(100, normal=90), {}, strict)
    assert results["verdict"] == "fail"
    assert results["thresholds"] == asdict(strict)
    # Wilson at 99%: z = 2.5758, (90 + z*z/2 - z*sqrt(9 + z*z/4)) / (100 + z*z)
    assert round(results["channels"]["latent_vq"]["conditions"]["normal"]["ci_low"], 3) == 0.796


def test_strict_json_with_every_documented_key():
    results = build(perfect(50), seeds={"evaluation": 0}, loss=math.nan, nested=[math.inf, (1, 2)])
    again = json.loads(json.dumps(results, allow_nan=False))
    assert again == json.loads(json.dumps(results))
    assert again["provenance"] == {"seeds": {"evaluation": 0}, "loss": None, "nested": [None, [1, 2]]}
    top, channel = documented("# results.json"), documented("## `channels.<name>`")
    assert set(results) == top
    for entry in results["channels"].values():
        assert set(entry) == channel
        assert set(entry["gate1"]) == {"version", "passed", "criteria", "original_rule"}
    assert documented("## `communication_matters.<name>`") == set(results["communication_matters"]["silence"])
    assert results["schema_version"] == 5
    latent = results["channels"]["latent_vq"]
    assert list(latent["conditions"]) == ["normal", "null", "random", "matched", "shuffle", "swap"]
    assert set(latent["conditions"]["swap"]) == {"n", "successes", "rate", "ci_low", "ci_high"}
    gate = latent["gate1"]
    rules = [gate, gate["original_rule"], latent["gate2"], latent["gate3"]]
    criteria = [
        item for rule in [*rules, latent["validity"], results["validity"]] for item in rule["criteria"]
    ]
    assert all(set(c) == {"name", "statistic", "threshold", "passed", "reason"} for c in criteria)
    assert {c["name"] for c in criteria} == documented("## A criterion")


def documented(heading):
    section = SCHEMA.read_text(encoding="utf-8").split(heading)[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)}


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), bits=st.lists(st.floats(0, 1e6), min_size=10, max_size=10))
def test_the_order_of_records_changes_nothing(seed, bits):
    records = [
        *[
            EpisodeRecord(channel="z", condition="normal", episode_id=i, success=i < 5, bits=b)
            for i, b in enumerate(bits)
        ],
        *perfect(10),
        *outcomes("text", "normal", 9, 10),
    ]
    expected = json.dumps(build(records))
    random.Random(seed).shuffle(records)
    assert json.dumps(build(records)) == expected
    assert list(build(records)["channels"]) == ["text", "latent_vq", "z", "silence"]
