"""From the criteria of every channel to one verdict, and to one sentence that needs no statistics."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from evaluation.criteria import Rule
from evaluation.tally import Arm, ChannelTally, Tally

Verdict = Literal["pass", "fail", "inconclusive"]
EXIT_CODES: dict[str, int] = {"pass": 0, "fail": 1, "inconclusive": 4}


class Judged(NamedTuple):
    """A channel beside what Gate 1 says of it."""

    channel: ChannelTally
    gate1: Rule
    original_rule: Rule


def overall_verdict(judged: Mapping[str, Judged]) -> Verdict:
    """Gate 1's verdict on a run; only trained channels decide.

    Args:
        judged: the channels by name.

    Returns:
        "fail" if a trained channel fails, else "inconclusive" if one cannot be told or there is none, else
        "pass".
    """
    said = [entry.gate1.passed for entry in judged.values() if entry.channel.status == "trained"]
    if False in said:
        return "fail"
    return "inconclusive" if None in said or not said else "pass"


def plain_sentence(judged: Mapping[str, Judged], p0: Arm | None) -> str:
    """The verdict in one sentence for a reader who knows no statistics.

    Args:
        judged: the channels by name.
        p0: silence, None if it was not played.

    Returns:
        One sentence that starts with the verdict.
    """
    trained = {name: entry for name, entry in judged.items() if entry.channel.status == "trained"}
    if not trained:
        return "Inconclusive: no trained channel was played, so there is nothing to judge."
    verdict = overall_verdict(judged)
    if verdict == "pass":
        assert p0 is not None, "a pass needs silence"
        return _pass_sentence(trained, p0)
    if verdict == "fail":
        failed = _reasons(trained, passed=False)
        return f"Fail: it is not shown that {_names(failed)} {_carry(failed)} meaning: {_join(failed)}."
    unsure = _reasons(trained, passed=None)
    return (
        f"Inconclusive: nothing failed, but it cannot be told whether {_names(unsure)} {_carry(unsure)} "
        f"meaning: {_join(unsure)}."
    )


def notes(tally: Tally) -> list[str]:
    """What a reader must know beside the verdict.

    Args:
        tally: the run.

    Returns:
        Sentences: channels that are untrained, and conditions that did not play the same episodes.
    """
    said = [
        f"{name} is untrained: it neither passes nor fails."
        for name, channel in tally.channels.items()
        if channel.status == "untrained"
    ]
    widest = max((arm for channel in tally.channels.values() for arm in channel.arms.values()), key=_size)
    others = {
        name: [
            c for c, arm in channel.arms.items() if not np.array_equal(arm.episode_ids, widest.episode_ids)
        ]
        for name, channel in tally.channels.items()
    }
    named = "; ".join(f"{name}: {', '.join(conditions)}" for name, conditions in others.items() if conditions)
    if named:
        said.append(
            f"Not every condition played the same episodes, and rates may differ for that reason alone. "
            f"Other than the {widest.n} episodes of the longest: {named}."
        )
    return said


def _size(arm: Arm) -> int:
    return arm.n


def _pass_sentence(trained: Mapping[str, Judged], p0: Arm) -> str:
    rates = [entry.channel.arms["normal"] for entry in trained.values()]
    shares = _list([f"{arm.successes / arm.n:.1%}" for arm in rates])
    wrong = [entry.channel.arms["swap"] for entry in trained.values()]
    swapped = _list([f"{arm.successes / arm.n:.1%}" for arm in wrong])
    return (
        f"Pass: {_names(trained)} {_carry(trained)} meaning: with the message the receiver finds the target "
        f"in {shares} of episodes, without any in {p0.successes / p0.n:.1%}, and with a message about "
        f"another candidate in {swapped}."
    )


def _reasons(trained: Mapping[str, Judged], *, passed: bool | None) -> dict[str, str]:
    """The first reason of each channel whose gate says `passed`, without its capital and full stop."""
    first = {
        name: next(item.reason for item in entry.gate1.criteria if item.passed is passed)
        for name, entry in trained.items()
        if entry.gate1.passed is passed
    }
    return {name: reason[0].lower() + reason[1:].removesuffix(".") for name, reason in first.items()}


def _join(reasons: Mapping[str, str]) -> str:
    if len(reasons) == 1:
        return next(iter(reasons.values()))
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())


def _names(channels: Mapping[str, object]) -> str:
    return _list(list(channels))


def _carry(channels: Mapping[str, object]) -> str:
    return "carries" if len(channels) == 1 else "carry"


def _list(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
