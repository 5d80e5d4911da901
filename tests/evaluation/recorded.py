"""Records made by hand, without any model."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from parley.evaluation.records import EpisodeRecord

NUM_CANDIDATES = 5


def outcomes(
    channel: str, condition: str, successes: int, n: int, *, first_wins: int = 0, **extra: object
) -> Iterator[EpisodeRecord]:
    """n records of which `successes` succeed: episodes first_wins, first_wins + 1, ... (modulo n).

    Targets go round the candidates; a receiver that misses picks the next one, which is also the one that a
    swapped message names.
    """
    plain = _outcomes(channel, condition, successes, n, first_wins)
    return (replace(record, **extra) for record in plain) if extra else iter(plain)  # type: ignore[arg-type]


@cache
def _outcomes(
    channel: str, condition: str, successes: int, n: int, first_wins: int
) -> tuple[EpisodeRecord, ...]:
    """The same records each time: most tests change one condition of many."""
    winners = {(first_wins + index) % n for index in range(successes)}
    return tuple(_record(channel, condition, number, number in winners) for number in range(n))


def _record(channel: str, condition: str, episode_id: int, success: bool) -> EpisodeRecord:
    target = episode_id % NUM_CANDIDATES
    other = (target + 1) % NUM_CANDIDATES
    return EpisodeRecord(
        channel=channel,
        condition=condition,
        episode_id=episode_id,
        success=success,
        choice=target if success else other,
        target=target,
        intended={"normal": target, "swap": other}.get(condition) if channel != "silence" else None,
        num_candidates=NUM_CANDIDATES,
        role={"silence": "baseline", "text": "ceiling"}.get(channel, "judged"),  # type: ignore[arg-type]
    )


def run(
    n: int,
    *,
    channel: str = "latent_vq",
    p0: int | None = None,
    **successes: int | None,
) -> list[EpisodeRecord]:
    """A channel and silence on n episodes; a condition that is None is not played."""
    records: list[EpisodeRecord] = []
    for condition, count in successes.items():
        if count is not None:
            records.extend(outcomes(channel, condition, count, n))
    if p0 is not None:
        records.extend(outcomes("silence", "normal", p0, n))
    return records


def perfect(n: int, *, channel: str = "latent_vq", p0: int | None = None) -> list[EpisodeRecord]:
    """Always right with its own message, chance without, never right under swap."""
    fifth = n // 5
    floor = fifth if p0 is None else p0
    controls = dict.fromkeys(("null", "random", "matched", "shuffle"), fifth)
    return run(n, channel=channel, p0=floor, normal=n, **controls, swap=0)


def attempt_02(channel: str = "latent") -> list[EpisodeRecord]:
    """The failed experiment's own table, PRIOR_ART.md section 1: 50 records a condition."""
    return run(50, channel=channel, p0=10, normal=11, null=12, random=14, shuffle=16)
