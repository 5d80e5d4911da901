"""Channels that cheat or break are invalid by the promise's name, or understand nothing; honest ones play."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from parley.agents.pair import Pair
from parley.channels.promises import PROMISES
from parley.channels.registry import CHANNELS
from parley.evaluation.playing.play import PlayConfig, play
from parley.evaluation.playing.untouched import checksums, kept_tensors
from parley.evaluation.sealing.roster import Wanted, assemble
from studies.cheats.base import Case, catalogue
from studies.cheats.outcomes import Outcome, is_as_declared, outcome_of

EPISODES = 8


class Judged(NamedTuple):
    """What a run of some cheats came to."""

    promises: Mapping[str, str]  # that were broken
    normal: Mapping[str, float]  # success, 0 to 1
    roles: Mapping[str, str]
    shown: str


@pytest.fixture(scope="module")
def cases() -> Iterator[Mapping[str, Case]]:
    """All that can be shown in a moment; they are registered for the tests of this file alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CHANNELS, "_known", dict(CHANNELS._known))
        found = catalogue()
        CHANNELS._known.update({name: case.channel for name, case in found.items()})
        from studies.cheats.machine import sweep  # its import registers channels

        yield {name: case for name, case in found.items() if case.quick}
        sweep()


def judge(pair: Pair, names: list[str]) -> Judged:
    console = Console(file=StringIO(), width=200)
    config = PlayConfig(
        episodes=EPISODES, seed=15, episodes_at_once=EPISODES // 2
    )  # so that it is asked again
    roster = assemble(Wanted(channels=tuple(names)), pair, lambda: pair, console)
    try:
        batches = list(play(pair, roster.entries, config, breaches=roster.breaches))
    finally:
        roster.close()
    wins: dict[str, list[bool]] = {}
    for record in (record for batch in batches for record in batch if record.condition == "normal"):
        wins.setdefault(record.channel, []).append(record.success)
    return Judged(
        {name: breach.promise for name, breach in roster.breaches.items()},
        {name: sum(found) / EPISODES for name, found in wins.items()},
        {name: entry.role for name, entry in roster.entries.items()},
        console.file.getvalue(),  # type: ignore[attr-defined]
    )


def check(judged: Judged, cases: Mapping[str, Case]) -> None:
    """With so few episodes a cheat that understands nothing may be lucky, and no honest one fails twice."""
    for name, case in cases.items():
        assert judged.promises.get(name, "") == case.promise, name
        if case.verdict == "no pass":
            assert judged.normal[name] <= 0.75, name
        elif case.verdict == "pass":
            assert judged.normal[name] >= 0.75, name
        elif case.verdict == "left out":
            assert judged.roles.get(name) != "judged", name


def test_a_cheat_of_every_outcome(pocket_pair, cases):
    """One channel of each verdict, and of each broken promise that the judge finds; slow tests have all."""
    by_outcome: dict[Any, str] = {}
    for name, case in cases.items():
        found = "by the contract" if case.promise in PROMISES else case.promise
        by_outcome.setdefault((case.verdict, found), name)
    chosen = {name: cases[name] for name in by_outcome.values()}
    before = checksums(kept_tensors(pocket_pair, []))
    judged = judge(pocket_pair, list(chosen))
    check(judged, chosen)
    assert checksums(kept_tensors(pocket_pair, [])) == before
    for name in chosen.keys() - judged.roles.keys():
        assert f"{name} is left out: " in judged.shown


@pytest.mark.slow
def test_every_cheat(pocket_pair, cases):
    check(judge(pocket_pair, list(cases)), cases)


@pytest.mark.slow
def test_every_cheat_as_an_installed_package_brings_it(tmp_path):
    """The study itself: 400 episodes, and verdicts of the whole gate."""
    ended = subprocess.run(
        [sys.executable, "-m", "studies.cheats", "--folder", tmp_path / "run", "--results", tmp_path],
        check=False,
    )
    found = json.loads((tmp_path / "cheats.json").read_text())
    assert [row["name"] for row in found["rows"] if not row["as_declared"]] == []
    assert ended.returncode == 0
    assert (tmp_path / "cheats.md").read_text().startswith("# Cheats")


def test_every_cheat_says_what_it_tries_and_comes_to_something(cases):
    assert len(cases) >= 60
    for name, case in cases.items():
        assert case.tries.endswith("."), name
        assert (case.promise != "") == (case.verdict == "invalid"), name
        assert (case.because != "") == (case.verdict == "pass"), name


def results(name: str, passed: bool | None, role: str = "judged", valid: bool = True) -> dict[str, Any]:
    checks = {"criteria": [{"name": "contract_kept", "passed": valid}]}
    rate = {"normal": {"rate": 0.9}}
    channel = {"role": role, "conditions": rate, "bits": 8.0, "validity": checks, "gate1": {"passed": passed}}
    return {"provenance": {"breaches": {"leaky": "finite: it is not"}}, "channels": {name: channel}}


def test_outcomes_are_read_off_results(cases):
    assert outcome_of("words", results("words", True)) == Outcome("pass", "", 0.9, 8.0)
    assert outcome_of("words", results("words", None)).verdict == "inconclusive"
    assert outcome_of("words", results("words", True, valid=False))[:2] == ("invalid", "contract_kept")
    assert outcome_of("words", results("words", True, role="reference")).verdict == "left out"
    assert outcome_of("gone", results("words", True)).verdict == "left out"
    assert outcome_of("leaky", results("leaky", True)) == Outcome("invalid", "finite")
    assert is_as_declared(cases["not-a-number"], Outcome("invalid", "finite"))
    assert not is_as_declared(cases["not-a-number"], Outcome("invalid", "runs"))
    assert is_as_declared(cases["nothing-to-say"], Outcome("inconclusive"))
    assert not is_as_declared(cases["nothing-to-say"], Outcome("pass"))
