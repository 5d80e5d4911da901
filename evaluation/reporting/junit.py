"""junit.xml: what decides a verdict, as the test results that continuous integration shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from parley.evaluation.results import Results

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Case(NamedTuple):
    """A criterion, the rule it is of, and whether its answer has a part in the verdict."""

    rule: str
    criterion: Mapping[str, Any]
    decides: bool


def render_junit(results: Results) -> bytes:
    """Write what decides as JUnit's XML.

    A suite a channel (the baseline has nothing to judge) and one for the whole run; a case a criterion of the
    gates that decide and of the checks of validity. A case is a failure if it makes the verdict fail or
    invalid, and skipped if it is undetermined, or says no of a channel that is not judged or of which the
    pair lets nothing be said: so a file holds a failure exactly if the verdict is fail or invalid.

    Args:
        results: as from build_results.

    Returns:
        XML 1.0 in UTF-8; characters that it forbids are replaced by U+FFFD.
    """
    channels = {
        name: channel for name, channel in results["channels"].items() if channel["role"] != "baseline"
    }
    judged = any(channel["role"] == "judged" for channel in channels.values())
    unfit = results["verdict"] == "unfit"
    root = Element("testsuites", {"name": "parley"})
    run = [_Case("validity", criterion, judged) for criterion in results["validity"]["criteria"]]
    suite = _add_suite(root, "run", run, "no channel of the run is judged")
    properties = Element("properties")
    suite.insert(0, properties)  # the schema wants them before the cases
    for name, value in _said(results).items():
        SubElement(properties, "property", {"name": name, "value": _allowed(value)})
    for name, channel in channels.items():
        decides = channel["role"] == "judged" and not unfit
        cases = list(_cases(channel, results["gates"], decides))
        why = "the receiver is unfit" if channel["role"] == "judged" else f"its role is {channel['role']}"
        _add_suite(root, f"channel {name}", cases, why)
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    indent(root)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _said(results: Results) -> dict[str, str]:
    return {
        "verdict": results["verdict"],
        "sentence": results["sentence"],
        "gates": ", ".join(map(str, results["gates"])),
    }


def _cases(channel: Mapping[str, Any], gates: Sequence[int], decides: bool) -> Iterator[_Case]:
    for rule in (*(f"gate{number}" for number in gates), "validity"):
        for criterion in channel[rule]["criteria"]:
            yield _Case(rule, criterion, decides)


def _add_suite(root: Element, name: str, cases: Sequence[_Case], why: str) -> Element:
    """One suite; `why` says of cases that do not decide why not."""
    failures = sum(case.decides and case.criterion["passed"] is False for case in cases)
    skipped = sum(case.criterion["passed"] is not True for case in cases) - failures
    counts = {"tests": len(cases), "failures": failures, "errors": 0, "skipped": skipped}
    suite = SubElement(
        root, "testsuite", {"name": _allowed(name)} | {key: str(value) for key, value in counts.items()}
    )
    for case in cases:
        passed, reason = case.criterion["passed"], case.criterion["reason"]
        names = {"classname": f"{name}.{case.rule}", "name": case.criterion["name"]}
        element = SubElement(suite, "testcase", {key: _allowed(value) for key, value in names.items()})
        if passed is False and case.decides:
            SubElement(element, "failure", {"type": case.rule, "message": _allowed(reason)})
        elif passed is not True:
            said = "Undetermined" if passed is None else f"No, but {why} and this does not decide"
            SubElement(element, "skipped", {"message": _allowed(f"{said}: {reason}")})
    return suite


def _allowed(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
