"""Gate 1, criterion by criterion, at its boundaries and on channels that try to cheat."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import attempt_02, outcomes, perfect, run

from parley.evaluation.aggregation.run_data import gather
from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.gates.version_1 import original_rule, version_1

NAMES = [
    "normal_above_floor",
    "null_at_p0",
    "random_at_p0",
    "shuffle_at_p0",
    "normal_beats_shuffle",
    "swap_below_p0",
]


def judge(records, channel="latent_vq", rule=version_1):
    outcomes = gather(records)
    return rule(outcomes.channels[channel], outcomes.p0, Thresholds())


def said(records, channel="latent_vq", rule=version_1):
    return {item.name: item.passed for item in judge(records, channel, rule).criteria}


def test_a_perfect_channel_passes_every_criterion():
    rule = judge(perfect(50))
    assert [item.name for item in rule.criteria] == NAMES
    assert all(item.passed is True for item in rule.criteria)
    assert rule.passed is True


def test_the_failed_experiment_fails_with_its_published_numbers():
    rule = judge(attempt_02(), "latent")
    criteria = {item.name: item for item in rule.criteria}
    assert rule.passed is False
    assert criteria["normal_above_floor"].passed is False
    assert round(criteria["normal_above_floor"].statistic, 3) == 0.128
    assert criteria["swap_below_p0"].passed is None
    for control in ("null", "random", "shuffle"):
        assert criteria[f"{control}_at_p0"].passed is True


@pytest.mark.parametrize(("successes", "passed"), [(21, False), (22, True)])
def test_floor_at_fifty_episodes(successes, passed):
    # PRIOR_ART.md section 3: 22 of 50.
    assert said(run(50, normal=successes))["normal_above_floor"] is passed


@pytest.mark.parametrize(("n", "passed"), [(1, None), (2, True)])
def test_floor_cannot_be_told_of_one_episode(n, passed):
    assert said(run(n, normal=n))["normal_above_floor"] is passed
    assert said(run(n, normal=0))["normal_above_floor"] is (None if n == 1 else False)


@pytest.mark.parametrize("control", ["null", "random", "shuffle"])
@pytest.mark.parametrize(("successes", "passed"), [(50, False), (51, True), (113, True), (114, False)])
def test_control_at_p0_at_its_boundaries(control, successes, passed):
    # GATE1.md: P0 80 of 400 has the interval 16.4 to 24.2; 51 and 113 are the last that reach it.
    assert said(run(400, p0=80, **{control: successes}))[f"{control}_at_p0"] is passed


def test_a_control_says_on_which_side_it_lies():
    reasons = [judge(run(400, p0=80, null=count)).criteria[1].reason for count in (200, 0, 80)]
    assert ["lies above" in reasons[0], "lies below" in reasons[1], "overlaps" in reasons[2]] == [True] * 3


@pytest.mark.parametrize(("wins", "passed"), [(7, None), (8, True)])
def test_mcnemar_needs_eight_shuffles_that_fail(wins, passed):
    # 2 / 2**7 = .0156 and 2 / 2**8 = .0078 against .01
    records = [*outcomes("latent_vq", "normal", 20, 20), *outcomes("latent_vq", "shuffle", 20 - wins, 20)]
    assert said(records)["normal_beats_shuffle"] is passed


def test_too_few_shuffles_that_fail_cannot_be_told_even_where_normal_loses():
    records = [*outcomes("latent_vq", "normal", 0, 20), *outcomes("latent_vq", "shuffle", 13, 20)]
    assert said(records)["normal_beats_shuffle"] is None


def test_a_normal_that_loses_significantly_does_not_beat_shuffle():
    records = run(100, normal=10, shuffle=60)
    criterion = judge(records).criteria[4]
    assert criterion.statistic < 1e-9
    assert criterion.passed is False


def test_normal_beats_shuffle_is_paired():
    """30 wins and 20 losses on 100 episodes are not significant; 12 wins and no loss are."""
    crossed = [
        *outcomes("latent_vq", "normal", 50, 100),
        *outcomes("latent_vq", "shuffle", 40, 100, first_wins=30),
    ]
    nested = [*outcomes("latent_vq", "normal", 50, 100), *outcomes("latent_vq", "shuffle", 38, 100)]
    assert said(crossed)["normal_beats_shuffle"] is False
    assert said(nested)["normal_beats_shuffle"] is True


def test_only_shared_episodes_are_paired():
    shuffle = list(outcomes("latent_vq", "shuffle", 0, 100))
    records = [*outcomes("latent_vq", "normal", 100, 100), *shuffle[:8]]
    assert "Of 8 shared episodes 8 succeed only under normal" in judge(records).criteria[4].reason
    assert said([*outcomes("latent_vq", "normal", 100, 100), *shuffle[:7]])["normal_beats_shuffle"] is None


def test_no_shared_episode_cannot_be_told():
    records = [*outcomes("latent_vq", "normal", 50, 100)][:50] + [*outcomes("latent_vq", "shuffle", 0, 100)][
        50:
    ]
    criterion = judge(records).criteria[4]
    assert (criterion.passed, criterion.statistic) == (None, None)
    assert criterion.reason == "Normal and shuffle share no episode."


@pytest.mark.parametrize(
    ("n", "successes", "passed"),
    [(50, 1, True), (50, 2, False), (400, 50, True), (400, 51, False), (30, 0, None), (35, 0, True)],
)
def test_swap_craters_at_its_boundaries(n, successes, passed):
    # GATE1.md, "How many episodes": P0 at 20%.
    assert said(run(n, p0=n // 5, swap=successes))["swap_below_p0"] is passed


@pytest.mark.parametrize("missing", ["normal", "null", "random", "shuffle", "swap", "silence"])
def test_a_missing_condition_cannot_be_told(missing):
    records = [
        record
        for record in perfect(100)
        if missing not in ("silence" if record.channel == "silence" else record.condition,)
    ]
    needs = {
        "normal": {"normal_above_floor", "normal_beats_shuffle"},
        "shuffle": {"shuffle_at_p0", "normal_beats_shuffle"},
        "swap": {"swap_below_p0"},
        "silence": {"null_at_p0", "random_at_p0", "shuffle_at_p0", "swap_below_p0"},
    }.get(missing, {f"{missing}_at_p0"})
    rule = judge(records)
    assert {item.name for item in rule.criteria if item.passed is None} == needs
    assert all("was not played" in item.reason for item in rule.criteria if item.passed is None)
    assert all(item.statistic is None for item in rule.criteria if item.passed is None)
    assert rule.passed is None


def test_a_failure_outweighs_what_cannot_be_told():
    assert judge(run(50, normal=21, p0=10)).passed is False


@pytest.mark.parametrize("lift", [0, 20, 40, 80, 160])
def test_a_priming_channel_that_lifts_every_condition_alike_fails(lift):
    count = 80 + lift
    records = run(400, p0=80, normal=count, null=count, random=count, shuffle=count, swap=count)
    assert judge(records).passed is False


def test_a_channel_of_no_content_with_luck_still_fails_on_pairs_and_swap():
    """Normal is lifted by chance to 138 of 400, the controls are not: the swap of no content is normal."""
    records = run(400, p0=80, normal=138, null=80, random=80, shuffle=113, swap=138)
    assert {name for name, passed in said(records).items() if passed is False} == {"swap_below_p0"}


def test_a_crater_faked_by_harmful_messages_fails_where_it_should():
    """Every wrong message does harm and the right one helps little: the floor and the control at P0 fail."""
    records = run(400, p0=80, normal=100, null=80, random=80, shuffle=0, swap=0)
    answers = said(records)
    assert answers["swap_below_p0"] is True
    assert answers["normal_beats_shuffle"] is True
    assert {name for name, passed in answers.items() if passed is False} == {
        "normal_above_floor",
        "shuffle_at_p0",
    }
    assert said(records, rule=original_rule)["shuffle_below_p0"] is True


def test_a_harmful_shuffle_fails_even_beside_a_high_normal():
    records = run(400, p0=80, normal=360, null=80, random=80, shuffle=20, swap=10)
    assert {name for name, passed in said(records).items() if passed is False} == {"shuffle_at_p0"}


def test_the_original_rule_refuses_an_honest_channel():
    answers = said(perfect(400), rule=original_rule)
    assert answers == {"normal_above_floor": True, "shuffle_below_p0": False}


@pytest.mark.parametrize(
    ("name", "value"), [("min_ci_low", 0.0), ("confidence", 1.0), ("mcnemar_alpha", 5.0)]
)
def test_thresholds_lie_between_zero_and_one(name, value):
    with pytest.raises(ValueError, match=f"{name} must be between 0 and 1, got {value}"):
        Thresholds(**{name: value})


def test_thresholds_are_those_of_the_issue():
    assert (Thresholds().min_ci_low, Thresholds().confidence, Thresholds().mcnemar_alpha) == (
        0.30,
        0.95,
        0.01,
    )


def test_a_reason_shows_enough_decimals_to_tell_two_numbers_apart():
    just_below = Thresholds(min_ci_low=0.869479)
    outcomes = gather(run(400, normal=361))
    criterion = version_1(outcomes.channels["latent_vq"], None, just_below).criteria[0]
    numbers = [word for word in criterion.reason.split() if word.strip(",").endswith("%")]
    assert criterion.passed is (criterion.statistic >= 0.869479)
    assert numbers[1] != numbers[2]


COUNTS = st.integers(0, 60)


@settings(max_examples=25, deadline=None)
@given(counts=st.lists(COUNTS, min_size=6, max_size=6), seed=st.integers(0, 99), other=COUNTS)
def test_neither_order_nor_other_channels_change_a_gate(counts, seed, other):
    conditions = ("normal", "null", "random", "shuffle", "swap")
    records = run(60, p0=counts[5], **dict(zip(conditions, counts[:5], strict=True)))
    others = [
        *run(60, channel="b", normal=other),
        *outcomes("text", "swap", other, 60),
        *outcomes("a", "null", other, 60),
    ]
    shuffled = [*records, *others]
    random.Random(seed).shuffle(shuffled)
    assert judge(shuffled) == judge(records)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 120), p0=st.integers(0, 120), shuffle=st.integers(0, 120))
def test_cannot_be_told_means_that_no_outcome_passes(n, p0, shuffle):
    """Where the best outcome passes, none of the criteria says "cannot tell", and conversely."""
    p0, shuffle = min(p0, n), min(shuffle, n)
    best = said([*run(n, p0=p0, normal=n, shuffle=shuffle, swap=0)])
    worst = said([*run(n, p0=p0, normal=0, shuffle=shuffle, swap=n)])
    for name in ("normal_above_floor", "normal_beats_shuffle", "swap_below_p0"):
        assert best[name] in (True, None)
        assert worst[name] is (None if best[name] is None else False)
