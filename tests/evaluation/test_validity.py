"""Checks of validity: each fails on its fault, passes on a sound run, and says when it lacks a field."""

from dataclasses import replace

import numpy as np
import pytest
from complete_runs import candidates_of
from recorded import run

from parley.evaluation.results import build_results
from studies.simulated import CHANNEL, Truth, records_of, simulate

GOOD = Truth.of_success(0.8)


@pytest.fixture(scope="module")
def sound():
    return list(records_of(simulate(GOOD, 200, np.random.default_rng(0)), 5))


def checks(records, provenance=None, **options):
    results = build_results(records, provenance or {}, **options)
    rules = (results["validity"], results["channels"][CHANNEL]["validity"])
    return {item["name"]: item for rule in rules for item in rule["criteria"]}


def failing(records, provenance=None, **options):
    return {name for name, item in checks(records, provenance, **options).items() if item["passed"] is False}


def change(records, condition, channel=CHANNEL, **values):
    def meant(record):
        return record.channel == channel and record.condition == condition

    return [replace(r, **values) if meant(r) else r for r in records]


def test_a_sound_run_meets_every_check(sound):
    found = checks(sound, {"episodes": 200, "breaches": {}})
    assert [item["passed"] for item in found.values()] == [True] * 9
    assert list(found) == [
        "environment_loaded", "no_text_leak", "episodes_differ", "contract_kept", "injection_active",
        "controls_with_p0", "shuffle_deranges", "charged_honestly", "swap_craters",
    ]  # fmt: skip


def test_a_failed_check_invalidates_whatever_the_gates_say(sound):
    results = build_results(sound, {"episodes": 199}, gates=(1,))
    assert results["verdict"] == "invalid"
    assert "200 episodes were played and 199 were asked for" in results["sentence"]
    assert results["sentence"].startswith("Invalid: the figures do not show what they were meant to show")


def test_a_count_that_was_left_open_is_not_asked_for(sound):
    assert failing(sound, {"episodes": 400}, sequential=True) == set()
    assert failing(sound, {"episodes": {"file": "a"}}) == set()


def test_conditions_must_share_their_episodes(sound):
    skipped = [r for r in sound if r.condition != "null" or r.episode_id != 3]
    assert failing(skipped) == {"environment_loaded"}
    assert "simulated, null: not the episodes of" in checks(skipped)["environment_loaded"]["reason"]


def test_targets_must_agree(sound):
    other = [
        replace(r, target=(r.target + 1) % 5, success=r.choice == (r.target + 1) % 5)
        if r.channel == "silence" and r.episode_id == 7
        else r
        for r in sound
    ]
    assert failing(other) == {"environment_loaded"}
    assert (
        "targets differ from those of simulated, normal in 1 episodes"
        in checks(other)["environment_loaded"]["reason"]
    )


def test_targets_are_spread(sound):
    def at_zero(r):
        return replace(r, target=0, success=r.choice == 0, intended=None)

    assert "environment_loaded" in failing([at_zero(r) for r in sound])


@pytest.mark.parametrize(
    ("missing", "unsure"),
    [
        ("target", {"environment_loaded", "episodes_differ"}),
        ("probabilities", {"injection_active", "episodes_differ"}),
        ("message", {"shuffle_deranges"}),
        ("bits", {"charged_honestly"}),
    ],
)
def test_what_lacks_a_field_cannot_be_told(sound, missing, unsure):
    records = [replace(r, num_candidates=5, **{missing: None}) for r in sound]
    found = checks(records)
    assert {name for name, item in found.items() if item["passed"] is None} == unsure | {"contract_kept"}
    assert build_results(records, {})["verdict"] != "invalid"


def test_silence_that_knows_is_a_leak(sound):
    leak = [
        replace(r, choice=r.target, success=True, probabilities=[float(i == r.target) for i in range(5)])
        if r.channel == "silence" and r.episode_id % 3 == 0
        else r
        for r in sound
    ]
    assert "no_text_leak" in failing(leak)
    assert "without a message the receiver finds the target" in build_results(leak, {})["sentence"]


def test_silence_below_chance_is_no_leak(sound):
    def wrong(r):
        choice = (r.target + 1) % 5
        return replace(r, choice=choice, success=False, probabilities=[float(i == choice) for i in range(5)])

    records = [wrong(r) if r.channel == "silence" else r for r in sound]
    assert "no_text_leak" not in failing(records)


def test_a_prefix_that_never_arrives(sound):
    null = {r.episode_id: r for r in sound if r.condition == "null"}

    def as_null(r):
        other = null[r.episode_id]
        return replace(r, choice=other.choice, success=other.success, probabilities=other.probabilities)

    records = [as_null(r) if (r.channel, r.condition) == (CHANNEL, "normal") else r for r in sound]
    assert "injection_active" in failing(records)


@pytest.mark.parametrize("condition", ["null", "random", "matched", "shuffle"])
def test_the_controls_stay_at_chance(sound, condition):
    def right(r):
        return replace(
            r, choice=r.target, success=True, probabilities=[float(i == r.target) for i in range(5)]
        )

    records = [right(r) if r.condition == condition else r for r in sound]
    assert failing(records) == {"controls_with_p0"}


def test_a_placeholder_is_no_derangement(sound):
    assert failing(change(sound, "shuffle", message=[99])) == {"shuffle_deranges"}
    own = {r.episode_id: r.message for r in sound if r.condition == "normal" and r.channel == CHANNEL}
    kept = [replace(r, message=own[r.episode_id]) if r.condition == "shuffle" else r for r in sound]
    assert failing(kept) == {"shuffle_deranges"}
    assert checks(sound, sequential=True)["shuffle_deranges"]["passed"] is None


def test_messages_cost_what_they_are_charged(sound):
    long = change(sound, "normal", message="seventeen letters", bits=128)
    assert "charged_honestly" in failing(long)
    free = [replace(r, bits=0.5) for r in sound]
    assert failing(free) == {"charged_honestly"}
    assert (
        "bits a message were transmitted and 0.5 were charged" in checks(free)["charged_honestly"]["reason"]
    )


def test_what_helps_under_swap_is_not_what_the_message_says():
    primed = list(records_of(simulate(Truth.of_lift(0.3), 400, np.random.default_rng(0)), 5))
    assert {"swap_craters", "controls_with_p0"} <= failing(primed)


def test_nothing_craters_where_nothing_stands():
    useless = list(records_of(simulate(Truth(), 400, np.random.default_rng(0)), 5))
    assert failing(useless) == set()
    assert "nothing to crater" in checks(useless)["swap_craters"]["reason"]
    assert build_results(useless, {})["verdict"] == "fail"


def test_a_message_of_half_a_character_is_counted(sound):
    found = checks(change(sound, "normal", message="\ud800", bits=8))
    assert found["charged_honestly"]["passed"] is False


@pytest.mark.parametrize(("found", "n", "passed"), [(106, 400, True), (107, 400, False), (1000, 4000, False)])
def test_silence_leaks_where_its_exact_p_says_so_whatever_n_is(found, n, passed):
    """106 of 400 are neither shown at chance nor a leak; of 4,000 a quarter is within the margin."""
    results = build_results(run(n, p0=found, normal=6 * n // 10), {})
    leak = results["validity"]["criteria"][1]
    assert (leak["name"], leak["passed"]) == ("no_text_leak", passed)


@pytest.mark.parametrize(("found", "passed"), [(117, True), (118, False), (10, True)])
def test_silence_that_is_looked_at_often_leaks_later(found, passed):
    leak = build_results(run(400, p0=found, normal=240), {}, sequential=True)["validity"]["criteria"][1]
    assert (leak["name"], leak["passed"]) == ("no_text_leak", passed)


def copied(records, first, *, times=2):
    """The same lines under new numbers, as if they were other episodes."""
    return [
        replace(r, episode_id=first * copy + r.episode_id)
        for r in records
        for copy in range(times)
        if r.episode_id < first
    ]


def test_copies_are_no_episodes(sound):
    records = [
        replace(r, candidates=candidates_of(r.episode_id)) if r.channel == "silence" else r for r in sound
    ]
    assert checks(records)["episodes_differ"]["passed"] is True
    results = build_results(copied(records, 100), {})
    assert results["verdict"] == "invalid"
    assert (
        "of 200 episodes 100 show what an earlier one showed, and in 100 of these the target is the same "
        "too, where chance would give 20" in results["sentence"]
    )
    plain = [replace(r, candidates=None) for r in copied(records, 100)]
    assert failing(plain) == set(), "the probabilities of this receiver tell episodes too badly apart"


def test_a_small_world_may_show_the_same_candidates_again(sound):
    """Where the target is drawn anew each time, nothing is copied."""
    always = [replace(r, candidates=candidates_of(0)) if r.channel == "silence" else r for r in sound]
    found = checks(always)["episodes_differ"]
    assert found["passed"] is True
    assert found["reason"].startswith("Of 200 episodes 199 show what an earlier one showed, and in ")


def test_a_prefix_that_hardly_moves_the_receiver_did_not_arrive(sound):
    null = {r.episode_id: r for r in sound if r.condition == "null"}

    def nearly_null(r):
        other = null[r.episode_id]
        moved = [0.99 * p + 0.01 / 5 for p in other.probabilities]
        return replace(r, choice=other.choice, success=other.success, probabilities=moved)

    records = [nearly_null(r) if (r.channel, r.condition) == (CHANNEL, "normal") else r for r in sound]
    found = checks(records)["injection_active"]
    assert found["passed"] is False
    assert 0 < found["statistic"] < 0.01
