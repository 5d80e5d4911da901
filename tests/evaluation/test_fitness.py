"""Whether the pair can play at all: a receiver that cannot never makes a channel fail."""

from dataclasses import replace

import pytest
from recorded import outcomes, perfect, run

from parley.evaluation.results import build_results

FAILING = run(400, p0=80, normal=90, null=80, random=80, shuffle=80, swap=80)
OPEN = [record for record in perfect(400) if record.condition != "swap"]
INVALID = run(400, p0=200, normal=90, null=80, random=80, shuffle=80, swap=80)


def text(normal, followed, n=400):
    """The text channel: successes under normal, picks of what the message names under swap."""
    yield from outcomes("text", "normal", normal, n)
    if followed is not None:
        yield from outcomes("text", "swap", n - followed, n)


def judged(records, *, admission=None, **options):
    players = {} if admission is None else {"players": {"admission": admission}}
    return build_results(records, players, **options)


def admitted(fit, successes=20, swap_consistent=18):
    chosen = {"shots": 1, "n": 96, "successes": successes, "swap_consistent": swap_consistent}
    return {"episodes": 96, "fit": fit, "chosen": chosen, "cells": [chosen]}


@pytest.mark.parametrize("records", [FAILING, OPEN], ids=["fail", "inconclusive"])
@pytest.mark.parametrize("counts", [(90, 80), (400, 80), (90, 400), (90, None)])
def test_text_that_does_not_reach_the_floor_twice_makes_the_pair_unfit(records, counts):
    before = judged(records)
    results = judged([*records, *text(*counts)])
    assert (before["verdict"], results["verdict"]) == (
        "fail" if records is FAILING else "inconclusive",
        "unfit",
    )
    assert (results["fitness"]["fit"], results["fitness"]["shown_by"]) == (False, "text")
    assert results["channels"]["latent_vq"]["gate1"] == before["channels"]["latent_vq"]["gate1"]


@pytest.mark.parametrize("records", [FAILING, OPEN], ids=["fail", "inconclusive"])
def test_between_a_fit_pair_the_verdict_is_the_channel_s(records):
    results = judged([*records, *text(200, 190)])
    assert results["verdict"] == judged(records)["verdict"]
    assert results["fitness"]["fit"] is True
    assert results["notes"] == []


def test_the_sentence_says_with_figures_what_text_did_and_what_to_do():
    results = judged([*FAILING, *text(88, 80)])
    assert results["sentence"] == (
        "Receiver unfit: text succeeded in 22.0% of 400 episodes [18.2, 26.3] and followed the swap in 20.0% "
        "of 400 episodes [16.4, 24.2], where each interval must begin at 30.0% or above, so nothing can be "
        "said of latent_vq. Run parley admit to find prompts under which this pair can play, or take other "
        "models."
    )
    assert results["fitness"]["success"] == results["ceiling"]
    assert results["fitness"]["swap_consistency"] == results["channels"]["text"]["swap_consistency"]
    alone = judged(list(text(88, 80)))
    assert (alone["verdict"], "nothing can be said of any channel." in alone["sentence"]) == ("unfit", True)


def test_an_invalid_run_stays_invalid_and_a_channel_that_passes_passes():
    assert judged([*INVALID, *text(88, 80)])["verdict"] == "invalid"
    passing = judged([*perfect(400), *text(88, 80)])
    assert passing["verdict"] == "pass"
    assert passing["notes"] == [
        "Text succeeded in 22.0% of 400 episodes [18.2, 26.3] and followed the swap in 20.0% of 400 episodes "
        "[16.4, 24.2]: the pair is unfit to play with words. That latent_vq passed is evidence by itself."
    ]
    other = [replace(record, channel="other") for record in FAILING if record.channel == "latent_vq"]
    both = judged([*perfect(400), *other, *text(88, 80)])
    assert both["verdict"] == "unfit"
    assert "nothing can be said of other." in both["sentence"]
    assert "That latent_vq passed" in both["notes"][0]


def test_so_few_episodes_that_no_text_could_reach_the_floor_show_nothing():
    results = judged([*run(1, p0=0, normal=0), *text(1, 1, n=1)])
    assert (results["verdict"], results["fitness"]["fit"]) == ("inconclusive", None)
    (note,) = [note for note in results["notes"] if "this pair" in note]
    assert note.startswith("Whether this pair can play at all is not shown: ")
    assert judged([*run(2, p0=0, normal=0), *text(1, 2, n=2)])["verdict"] == "unfit"


def test_the_admission_answers_where_text_does_not():
    results = judged(FAILING, admission=admitted(False))
    assert (results["verdict"], results["fitness"]["shown_by"]) == ("unfit", "admission")
    assert results["sentence"].startswith(
        "Receiver unfit: on the validation episodes of the admission text succeeded in 20.8% of 96 episodes"
    )
    fit = judged(FAILING, admission=admitted(True, 90, 88))
    assert (fit["verdict"], fit["fitness"]["fit"], fit["notes"]) == ("fail", True, [])
    played = judged([*FAILING, *text(380, 380)], admission=admitted(False))
    assert (played["verdict"], played["fitness"]["shown_by"]) == ("fail", "text")


def test_where_nothing_shows_it_a_channel_that_failed_is_noted_and_one_that_passed_is_not():
    assert "parley admit" in judged(FAILING)["notes"][0]
    assert judged(perfect(400))["notes"] == []


@pytest.mark.parametrize(("counts", "settled"), [((50, 50), True), ((5, 10), True), ((20, 25), False)])
def test_until_decided_goes_on_while_a_failure_may_be_the_pair_s(counts, settled):
    failing = run(100, p0=20, normal=5, null=20, random=20, shuffle=20, swap=95)
    assert judged(failing, sequential=True)["settled"] is True
    normal, followed = counts
    results = judged([*failing, *text(2 * normal, 2 * followed, n=100)], sequential=True)
    assert results["settled"] is settled
