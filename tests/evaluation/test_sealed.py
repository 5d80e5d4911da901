"""What a judge that seals says to the gate: unsealed, a chosen seed, and contracts that were broken."""

import io
from dataclasses import replace

import pytest
from recorded import outcomes, perfect
from rich.console import Console

from parley.evaluation.aggregation.run_data import RunOutcomes
from parley.evaluation.reporting.junit import render_junit
from parley.evaluation.reporting.page import render_html
from parley.evaluation.reporting.report import render_report
from parley.evaluation.reporting.terminal import print_table
from parley.evaluation.results import build_results

BROKEN = {"breaches": {"leaky": "sees_no_scene: it was told where the target stands."}}
SAID = "leaky: the contract was broken, sees_no_scene: it was told where the target stands"


def shown(results):
    console = Console(file=io.StringIO(), width=120)
    print_table(results, console)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("said", "beside"),
    [
        ({}, "Pass: "),
        ({"sealed": True, "seed_chosen": False, "breaches": {}}, "Pass: "),
        ({"sealed": False}, "Pass, unsealed: "),
        ({"sealed": False, "seed_chosen": True}, "Pass, unsealed, evaluation seed chosen: "),
    ],
)
def test_what_stands_beside_the_verdict(said, beside):
    results = build_results(perfect(400), said)
    assert results["sentence"].startswith(beside)
    assert results["verdict"] == "pass"
    word = beside.removesuffix(": ")
    assert ", ".join(["Pass", *results["qualifiers"]]) == word
    assert render_report(results).startswith(f"# Gate 1: {word.lower()}\n")
    assert f"<title>Gate 1: {word.lower()}</title>" in render_html(results)
    assert f"{word}: " in shown(results)


def test_a_broken_contract_is_invalid_and_named():
    results = build_results([*perfect(400), *outcomes("leaky", "normal", 390, 400)], BROKEN)
    assert results["verdict"] == "invalid"
    assert SAID in results["sentence"]
    kept = {name: found["validity"]["criteria"][0] for name, found in results["channels"].items()}
    assert {item["name"] for item in kept.values()} == {"contract_kept"}
    assert (kept["leaky"]["passed"], kept["latent_vq"]["passed"]) == (False, True)


def test_a_channel_that_broke_its_contract_is_named_before_what_follows_from_that():
    """It raised after 100 of 400 episodes: that they are fewer is no fault of the others."""
    cut = [*outcomes("leaky", "normal", 100, 400)][:100]
    results = build_results([*perfect(400), *cut], {"episodes": 400, **BROKEN})
    assert SAID in results["sentence"]
    assert results["validity"]["criteria"][0]["passed"] is True
    assert not any("optional stopping" in note for note in results["notes"])


def test_a_broken_contract_is_named_before_a_leak():
    leak = [replace(r, choice=r.target, success=True) if r.channel == "silence" else r for r in perfect(400)]
    assert "without a message the receiver finds the target" in build_results(leak, {})["sentence"]
    assert SAID in build_results(leak, BROKEN)["sentence"]


def test_a_channel_without_records_is_invalid_all_the_same():
    results = build_results(perfect(400), BROKEN)
    assert (results["verdict"], results["channels"]["leaky"]["conditions"]) == ("invalid", {})
    assert SAID in results["sentence"]
    for page in (render_report(results), render_html(results), shown(results)):
        assert "leaky" in page
    assert b"<failure" in render_junit(results)


def test_a_run_without_any_record_is_invalid():
    results = build_results(RunOutcomes(channels={}, num_candidates=None), BROKEN)
    assert results["verdict"] == "invalid"
    assert SAID in results["sentence"]
    render_report(results)
    render_html(results)


def test_a_reference_that_broke_its_contract_decides_nothing():
    reference = outcomes("leaky", "normal", 390, 400, role="reference")
    results = build_results([*perfect(400), *reference], BROKEN)
    assert results["verdict"] == "pass"
    assert results["channels"]["leaky"]["validity"]["passed"] is False


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"sealed": "yes"}, "sealed must be true or false, got 'yes'"),
        ({"seed_chosen": 1}, "seed_chosen must be true or false, got 1"),
        ({"breaches": ["kv"]}, "breaches must be an object of sentences by channel"),
        ({"breaches": {"kv": 1}}, "breaches must be an object of sentences by channel"),
    ],
)
def test_what_a_run_says_of_itself_is_checked(said, message):
    with pytest.raises(ValueError, match=message):
        build_results(perfect(20), said)
