"""Gates 1, 2 and 3, at their boundaries and on channels that try to cheat."""

from dataclasses import replace

import numpy as np
import pytest
from recorded import outcomes, perfect, run

from parley.evaluation.gates.criterion import Thresholds
from parley.evaluation.gates.inference import Inference
from parley.evaluation.results import build_results
from studies.simulated import CHANNEL, SILENCE, Truth, records_of, simulate

CRITERIA = [
    "normal_above_floor",
    "silence_at_chance",
    "null_at_chance",
    "random_at_chance",
    "matched_at_chance",
    "shuffle_at_chance",
    "normal_beats_silence",
    "normal_beats_null",
    "normal_beats_random",
    "normal_beats_matched",
    "normal_beats_shuffle",
    "swap_consistency",
]
HONEST = {"p0": 80, "normal": 240, "null": 80, "random": 80, "matched": 80, "shuffle": 80, "swap": 40}
CONTROLS = ("null", "random", "matched", "shuffle")


def judged(records, channel="latent_vq", gate="gate1", **options):
    return build_results(records, {}, **options)["channels"][channel][gate]


def said(records, **options):
    return {item["name"]: item["passed"] for item in judged(records, **options)["criteria"]}


def honest(**changed):
    return run(400, **{**HONEST, **changed})


def test_an_honest_channel_passes_every_criterion():
    gate = judged(honest())
    assert [item["name"] for item in gate["criteria"]] == CRITERIA
    assert gate["passed"] is True
    assert gate["version"] == 3


def test_half_understood_passes():
    """GATE1.md: a channel understood in half of the episodes succeeds in 12.5% under swap, give or take."""
    assert judged(honest(normal=200, swap=51))["passed"] is True


def test_what_the_rule_does_not_ask_of_changes_nothing_in_it():
    """`repeat` is reported: neither its success nor its p-value has a part in the verdict."""
    plain, primed = honest(), [*honest(), *outcomes("latent_vq", "repeat", 400, 400)]
    assert judged(plain) == judged(primed)
    channel = build_results(primed, {})["channels"]["latent_vq"]
    assert channel["conditions"]["repeat"]["rate"] == 1
    assert channel["differences"]["repeat"]["corrected_p"] is None
    assert channel["differences"]["repeat"]["difference"] == pytest.approx(-0.4)


@pytest.mark.parametrize(("normal", "passed"), [(137, False), (138, True)])
def test_floor_at_four_hundred_episodes(normal, passed):
    assert said(honest(normal=normal))["normal_above_floor"] is passed


@pytest.mark.parametrize("control", ["p0", *CONTROLS])
@pytest.mark.parametrize(
    ("successes", "passed"),
    [(54, False), (55, None), (56, True), (100, True), (101, None), (107, None), (108, False)],
)
def test_a_control_at_chance_at_its_boundaries(control, successes, passed):
    # GATE1.md, How many episodes: 56 to 100 of 400; beyond 55 and 107, p < .001: it differs from chance
    name = "silence" if control == "p0" else control
    assert said(honest(**{control: successes}))[f"{name}_at_chance"] is passed


def test_a_control_says_what_is_shown():
    reasons = {count: judged(honest(null=count))["criteria"][2]["reason"] for count in (80, 103, 160)}
    assert (
        reasons[80] == "Null succeeds in 20.0% of 400 episodes: shown to be within 9 points of chance, 20.0%."
    )
    assert "neither shown to be within 9 points of chance, 20.0%, nor to have left it" in reasons[103]
    assert reasons[160].endswith("it differs from chance, 20.0%.")


def test_without_the_number_of_candidates_chance_is_unknown():
    records = [replace(record, num_candidates=None) for record in honest()]
    answers = said(records)
    assert {name for name, passed in answers.items() if passed is None} == set(CRITERIA[1:6])
    assert "among how many candidates" in judged(records)["criteria"][1]["reason"]


def test_a_chance_above_the_floor_cannot_be_asked():
    two = {"num_candidates": 2, "choice": None, "target": None, "intended": None}
    records = [replace(record, **two) for record in honest()]
    (_, silence, *_) = judged(records)["criteria"]
    assert silence["passed"] is None
    assert silence["reason"] == "Chance is 50.0%, not below the floor of 30.0%: the gate cannot be asked."


@pytest.mark.parametrize("n", [400, 800])
def test_a_little_more_than_silence_is_not_enough(n):
    """Normal of 36% against a silence of 24%, paired as favourably as can be."""
    chance = dict.fromkeys(CONTROLS, n // 5)
    answers = said(run(n, p0=24 * n // 100, normal=36 * n // 100, swap=0, **chance))
    assert answers["normal_above_floor"] is True
    assert answers["normal_beats_silence"] is False


@pytest.mark.parametrize(("normal", "passed"), [(133, False), (134, True)])
def test_the_gain_over_silence_at_its_boundary(normal, passed):
    assert said(honest(normal=normal))["normal_beats_silence"] is passed


def test_with_many_candidates_the_margin_is_small():
    """A silence of 20% is 10 points below the floor, and five times chance."""
    truth = Truth.of_success(0.9, 26, lifts={SILENCE: 0.2 - 1 / 26})
    results = build_results(records_of(simulate(truth, 400, np.random.default_rng(0)), 26), {})
    assert results["p0"]["rate"] == pytest.approx(0.2, abs=0.04)
    assert results["verdict"] == "invalid"
    silence = results["channels"][CHANNEL]["gate1"]["criteria"][1]
    assert silence["passed"] is False
    margins = [Thresholds().margin(1 / number) for number in (4, 5, 10, 26)]
    assert margins == pytest.approx([0.09, 0.09, 0.05, 1 / 52])


def test_what_many_episodes_show_within_the_margin_has_left_chance_all_the_same():
    assert said(run(4000, null=1000))["null_at_chance"] is False


@pytest.mark.parametrize("control", CONTROLS)
def test_normal_must_beat_every_control(control):
    assert said(honest(**{control: 240}))[f"normal_beats_{control}"] is False
    assert said(honest(**{control: 300}))[f"normal_beats_{control}"] is False


def test_p_values_are_corrected_over_channels_and_controls():
    """Nested successes: 8 discordant pairs give .0078; of three hypotheses that is .0234."""
    records = run(100, normal=20, null=12, random=12, shuffle=12)
    found = build_results(records, {})["channels"]["latent_vq"]["differences"]["null"]
    assert (found["p"], found["corrected_p"]) == (pytest.approx(0.0078125), pytest.approx(0.0234375))
    two = [*records, *run(100, channel="other", normal=20, null=12, random=12, shuffle=12)]
    found = build_results(two, {})["channels"]["other"]["differences"]["null"]
    assert found["corrected_p"] == pytest.approx(6 * 0.0078125)
    untrained = [replace(record, role="untrained") for record in run(100, channel="new", normal=20, null=12)]
    found = build_results([*records, *untrained], {})["channels"]
    assert found["new"]["differences"]["null"]["corrected_p"] is None
    assert found["latent_vq"]["differences"]["null"]["corrected_p"] == pytest.approx(0.0234375)


@pytest.mark.parametrize(("swap_consistent", "passed"), [(137, False), (138, True)])
def test_swap_consistency_at_its_boundary(swap_consistent, passed):
    def swap(record):
        wrong = (record.target + 2) % 5
        return replace(record, choice=record.intended if record.episode_id < swap_consistent else wrong)

    records = [swap(r) if r.condition == "swap" else r for r in honest(swap=0)]
    assert said(records)["swap_consistency"] is passed


def test_a_crater_by_harm_is_no_swap_consistency():
    """Success falls to 0 under swap because wrong messages do harm: nobody picks what they name."""
    records = [replace(r, choice=(r.target + 2) % 5) if r.condition == "swap" else r for r in honest(swap=0)]
    gate = judged(records)
    assert {item["name"] for item in gate["criteria"] if item["passed"] is False} == {"swap_consistency"}


@pytest.mark.parametrize("lift", [20, 40, 80, 160])
def test_a_priming_channel_that_lifts_every_condition_alike_never_passes(lift):
    count = 80 + lift
    results = build_results(honest(normal=count, swap=count, **dict.fromkeys(CONTROLS, count)), {})
    assert results["verdict"] in ("fail", "invalid")
    assert results["channels"]["latent_vq"]["gate1"]["passed"] is False


@pytest.mark.parametrize("missing", ["normal", *CONTROLS, "swap", "p0"])
def test_a_missing_condition_leaves_its_criteria_undetermined(missing):
    gate = judged(honest(**{missing: None}))
    unsure = {item["name"] for item in gate["criteria"] if item["passed"] is None}
    name = "silence" if missing == "p0" else missing
    assert unsure == {item for item in CRITERIA if name in item}, "records of before matched lack it"
    assert all("was not played" in i["reason"] for i in gate["criteria"] if i["passed"] is None)
    assert gate["passed"] is None


def test_records_that_do_not_say_what_was_picked_cannot_show_following():
    records = [replace(record, choice=None) for record in honest()]
    assert said(records)["swap_consistency"] is None
    assert "do not say what was picked" in judged(records)["criteria"][-1]["reason"]


def test_too_few_episodes_cannot_be_told():
    reason = judged(perfect(1))["criteria"][0]["reason"]
    assert reason.startswith("Too few episodes: even after 1 of 1 the true rate may be as low as 20.7%")
    few = run(20, normal=20, p0=15, **dict.fromkeys(CONTROLS, 15))
    reasons = {item["name"]: item["reason"] for item in judged(few)["criteria"]}
    assert said(few)["normal_beats_null"] is None
    assert "Too few episodes in which null fails" in reasons["normal_beats_null"]
    assert said(few)["normal_beats_silence"] is None
    assert "Too few episodes in which silence fails" in reasons["normal_beats_silence"]


@pytest.mark.parametrize(("normal", "passed"), [(217, False), (218, True)])
def test_gate_2_asks_for_half_of_text(normal, passed):
    records = [*honest(normal=normal), *outcomes("text", "normal", 396, 400)]
    gate = judged(records, gate="gate2")
    assert gate["passed"] is passed
    assert gate["criteria"][0]["threshold"] == pytest.approx(0.495)
    assert judged(records)["passed"] is True


def test_gate_2_needs_text():
    gate = judged(honest(), gate="gate2")
    assert gate["passed"] is None
    assert gate["criteria"][0]["reason"] == "The text channel was not played."


@pytest.mark.parametrize("missing", ["bits", "tokens", "seconds"])
def test_gate_3_asks_every_record_for_its_costs(missing):
    costs = {"bits": 24, "tokens": 4, "seconds": 0.5}
    records = [replace(r, **costs) for r in honest()]
    assert judged(records, gate="gate3")["passed"] is True
    assert build_results(records, {}, gates=(1, 3))["verdict"] == "pass"
    records[7] = replace(records[7], **{missing: None})
    gate = judged(records, gate="gate3")
    assert [i["name"] for i in gate["criteria"] if not i["passed"]] == [f"reports_{missing}"]
    assert build_results(records, {})["verdict"] == "pass"
    results = build_results(records, {}, gates=(1, 3))
    assert results["verdict"] == "invalid"
    assert f"not every record says its {missing}" in results["sentence"]


def test_the_gates_that_decide():
    records = [*honest(normal=180), *outcomes("text", "normal", 400, 400)]
    assert build_results(records, {})["verdict"] == "pass"
    assert build_results(records, {}, gates=(1, 2))["verdict"] == "fail"
    assert build_results(records, {}, gates=(2,))["verdict"] == "fail"
    for gates in ((), (4,), (1, 0)):
        with pytest.raises(ValueError, match="gates must be some of 1, 2, 3, got"):
            build_results(records, {}, gates=gates)


def sequential(records):
    results = build_results(records, {}, sequential=True)
    gate = results["channels"]["latent_vq"]["gate1"]
    return results, {item["name"]: item["passed"] for item in gate["criteria"]}


def test_in_sequence_a_criterion_says_no_only_where_it_is_shown():
    _, answers = sequential(honest(normal=130, null=110))
    assert answers["normal_above_floor"] is None, "the sequence reaches over the floor"
    assert answers["normal_beats_silence"] is None
    assert answers["null_at_chance"] is None
    _, answers = sequential(honest(normal=80, null=200))
    assert answers["normal_above_floor"] is False
    assert answers["null_at_chance"] is False
    assert answers["normal_beats_silence"] is False
    assert answers["normal_beats_null"] is None, "no difference shown is no difference disproved"


def test_in_sequence_a_clear_channel_is_settled():
    results, answers = sequential(honest(normal=360, swap=10))
    assert set(answers.values()) == {True}
    assert (results["verdict"], results["settled"], results["sequential"]) == ("pass", True, True)
    results, _ = sequential(run(100, p0=20, normal=90, swap=2, **dict.fromkeys(CONTROLS, 20)))
    assert (results["verdict"], results["settled"]) == ("inconclusive", False)


def test_in_sequence_intervals_are_wider_than_with_n_fixed():
    fixed = build_results(honest(), {})["channels"]["latent_vq"]["conditions"]["normal"]
    open_ended = sequential(honest())[0]["channels"]["latent_vq"]["conditions"]["normal"]
    assert open_ended["ci_low"] < fixed["ci_low"] < fixed["ci_high"] < open_ended["ci_high"]


def test_paired_p_without_a_difference_is_one():
    for open_ended in (False, True):
        assert Inference(thresholds=Thresholds(), sequential=open_ended).paired_p(0, 0, 10) == 1.0


@pytest.mark.parametrize(
    ("null", "passed"),
    [(46, False), (47, None), (66, None), (67, True), (86, True), (87, None), (118, False)],
)
def test_in_sequence_a_control_is_shown_at_chance_at_its_boundaries(null, passed):
    """From 67 to 86 of 400 the 90% sequence lies within 9 points of chance: two one-sided tests at 5%."""
    assert sequential(honest(null=null))[1]["null_at_chance"] is passed
