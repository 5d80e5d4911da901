"""What continuous integration is told."""

from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from complete_runs import GUESSED, PRIMED, UNDERSTOOD, complete
from hypothesis import given
from hypothesis import strategies as st
from recorded import attempt_02, outcomes, perfect, run

from parley.evaluation.aggregation.run_data import gather
from parley.evaluation.gates.verdict import EXIT_CODES
from parley.evaluation.reporting.junit import _allowed, render_junit
from parley.evaluation.results import build_results

RUNS = {
    "understood": complete(UNDERSTOOD, 200, seed=1),
    "guessed": complete(GUESSED),
    "primed": complete(PRIMED),
    "few": complete(UNDERSTOOD, 12),
    "original": attempt_02(),
    "perfect": perfect(50),
    "normal alone": run(40, normal=30),
    "references": [*outcomes("text", "normal", 1, 40), *outcomes("silence", "normal", 39, 40)],
    "unfit": [*run(60, normal=12), *outcomes("text", "normal", 13, 60)],
    "untrained": [replace(r, role="untrained") for r in outcomes("latent", "normal", 5, 40)],
    "leak": [*complete(UNDERSTOOD), *outcomes("text", "normal", 0, 60)],
}
TALLIES = {name: gather(records) for name, records in RUNS.items()}


def parsed(results):
    return ElementTree.fromstring(render_junit(results))


@pytest.mark.parametrize("gates", [(1,), (1, 2), (3,), (1, 2, 3)])
@pytest.mark.parametrize("name", RUNS)
def test_a_failure_stands_there_exactly_if_the_verdict_is_fail_or_invalid(name, gates):
    results = build_results(TALLIES[name], {"num_candidates": 5}, gates=gates)
    failures = parsed(results).findall(".//failure")
    assert bool(failures) is (results["verdict"] in ("fail", "invalid"))


def test_the_runs_above_have_every_verdict():
    verdicts = {build_results(tallied, {"num_candidates": 5})["verdict"] for tallied in TALLIES.values()}
    assert verdicts == set(EXIT_CODES)


def test_a_suite_a_channel_and_a_case_a_criterion_that_decides():
    results = build_results([*RUNS["understood"], *outcomes("text", "normal", 199, 200)], {}, gates=(1, 3))
    root = parsed(results)
    assert [suite.get("name") for suite in root] == ["run", "channel text", "channel latent_vq"]
    for name in ("text", "latent_vq"):
        channel = results["channels"][name]
        wanted = [
            (f"channel {name}.{rule}", criterion["name"])
            for rule in ("gate1", "gate3", "validity")
            for criterion in channel[rule]["criteria"]
        ]
        suite = next(suite for suite in root if suite.get("name") == f"channel {name}")
        assert [(case.get("classname"), case.get("name")) for case in suite.iter("testcase")] == wanted
    properties = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert properties == {"verdict": results["verdict"], "sentence": results["sentence"], "gates": "1, 3"}


def test_counts_are_those_of_the_cases():
    for tallied in TALLIES.values():
        root = parsed(build_results(tallied, {"num_candidates": 5}))
        for counted in (*root, root):
            cases = list(counted.iter("testcase"))
            outcomes = Counter(case[0].tag if len(case) else "passed" for case in cases)
            assert int(counted.get("tests")) == len(cases)
            assert int(counted.get("failures")) == outcomes["failure"]
            assert int(counted.get("skipped")) == outcomes["skipped"]
            assert counted.get("errors") == "0"


def test_reasons_stand_beside_what_is_not_passed():
    results = build_results(attempt_02(), {"num_candidates": 5})
    cases = {(c.get("classname"), c.get("name")): c for c in parsed(results).iter("testcase")}
    reasons = {c["name"]: c["reason"] for c in results["channels"]["latent"]["gate1"]["criteria"]}
    failed = cases["channel latent.gate1", "normal_above_floor"][0]
    assert (failed.tag, failed.get("type")) == ("failure", "gate1")
    assert failed.get("message") == reasons["normal_above_floor"]
    unsure = cases["channel latent.gate1", "swap_consistency"][0]
    assert (unsure.tag, unsure.get("message")) == ("skipped", f"Undetermined: {reasons['swap_consistency']}")


def test_what_is_not_judged_never_fails():
    results = build_results(RUNS["untrained"], {"num_candidates": 5})
    skipped = [s.get("message") for s in parsed(results).iter("skipped")]
    assert any(
        message.startswith("No, but its role is untrained and this does not decide: ") for message in skipped
    )
    references = parsed(build_results(RUNS["references"], {"num_candidates": 5}))
    messages = " ".join(s.get("message") for s in references.iter("skipped"))
    assert "No, but its role is ceiling and this does not decide: " in messages
    assert "No, but no channel of the run is judged and this does not decide: " in messages


def test_between_an_unfit_pair_no_channel_fails():
    root = parsed(build_results(RUNS["unfit"], {"num_candidates": 5}))
    suite = next(suite for suite in root if suite.get("name") == "channel latent_vq")
    skipped = [item.get("message") for item in suite.iter("skipped")]
    assert any(
        message.startswith("No, but the receiver is unfit and this does not decide: ") for message in skipped
    )


@pytest.mark.parametrize("name", ["<script>\"'&", "a]]>b", "\U0001f600 name"])
def test_names_are_escaped(name):
    root = parsed(build_results(run(40, channel=name, normal=30, p0=8), {}))
    assert root[1].get("name") == f"channel {name}"


@given(st.text())
def test_text_is_what_xml_allows(text):
    element = ElementTree.Element("a", {"b": _allowed(text)})
    again = ElementTree.fromstring(ElementTree.tostring(element)).get("b")
    assert len(again) == len(_allowed(text)) == len(text)
    assert again == "".join(letter if _may_stand(letter) else "\ufffd" for letter in text)


def _may_stand(letter):
    """XML 1.0, fifth edition, production 2: Char."""
    code = ord(letter)
    return code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
