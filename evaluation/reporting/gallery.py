"""Episodes to look at: the candidates, what was said, and where the receiver went under each condition.

The file is read twice, line by line: once for which episodes there are, once for those that are shown.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from parley.channels.conditions import conditions, find_condition
from parley.evaluation.records import EpisodeRecord, read_records
from parley.evaluation.reporting.spelling import spell_message, visible
from parley.evaluation.results import Results

NO_CONTENT = "true zeros, without content"


@dataclass(frozen=True, kw_only=True)
class Play:
    """One episode under one condition.

    Args:
        message: what was delivered, spelled for a reader.
        choice: index of the candidate that was picked, None if it is not known.
        intended: index of the candidate that the message names, None if it is not known or names none.
        probabilities: the receiver's, one a candidate, None if they are not known.
    """

    message: str
    choice: int | None
    intended: int | None
    probabilities: tuple[float, ...] | None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One episode over one channel.

    Args:
        channel: its name.
        episode_id: the episode.
        success: whether the receiver picked the target under normal.
        as_failure: whether it was picked because the channel is judged and failed.
        target: index of the target, None if it is not known.
        candidates: in words, by index; "candidate 3" where the records do not hold them.
        plays: by condition, those that were played and are shown here.
    """

    channel: str
    episode_id: int
    success: bool
    as_failure: bool
    target: int | None
    candidates: tuple[str, ...]
    plays: Mapping[str, Play]

    @property
    def swap_consistent(self) -> bool | None:
        """Whether the receiver picked what the swapped message names; None if that is not known."""
        swap = self.plays.get("swap")
        if swap is None or swap.choice is None or swap.intended is None:
            return None
        return swap.choice == swap.intended


class _Picked(NamedTuple):
    """Episodes of one channel that are shown, and which of them because they failed."""

    episode_ids: list[int]
    failures: set[int]


def gather_gallery(
    source: str | Path | Iterable[EpisodeRecord], results: Results, most: int = 48
) -> list[Scene]:
    """Pick episodes of a run to look at, and gather what was played in them.

    Each channel with messages or probabilities gets an equal part of `most`. Of a judged channel up to half
    of its part are episodes in which it failed under normal; all others are spread evenly over the episodes
    by their numbers. Nothing is held but what is shown and two numbers an episode.

    Args:
        source: the episodes file, or its records; read twice.
        results: as from build_results of the same records.
        most: scenes, at least 1.

    Returns:
        Scenes, judged channels first, by number of episode; none if no record under normal holds a message
        or probabilities.

    Raises:
        ValueError: if most is below 1, the source can be read only once, or a line of the file is wrong.
        OSError: if the file cannot be read.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    if isinstance(source, Iterator):
        kind = type(source).__name__
        raise ValueError(f"source must be a path or records that can be read twice, got a {kind}")
    picked = _pick(source, results, most)
    return _gather(source, picked) if picked else []


def _read(source: str | Path | Iterable[EpisodeRecord]) -> Iterator[EpisodeRecord]:
    return read_records(source) if isinstance(source, str | Path) else iter(source)


def _pick(source: str | Path | Iterable[EpisodeRecord], results: Results, most: int) -> dict[str, _Picked]:
    """By channel, judged ones first."""
    played: dict[str, array[int]] = defaultdict(lambda: array("q"))
    failed: dict[str, array[int]] = defaultdict(lambda: array("q"))
    for record in _read(source):
        if record.condition != "normal" or record.role == "baseline":
            continue
        if record.message is not None or record.probabilities is not None:
            played[record.channel].append(record.episode_id)
            if not record.success:
                failed[record.channel].append(record.episode_id)
    judged = {name for name in played if results["channels"][name]["role"] == "judged"}
    names = sorted(played, key=lambda name: (name not in judged, name))[:most]
    parts = [len(part) for part in _parts(most, len(names))]
    return {
        name: _pick_of(sorted(played[name]), sorted(failed[name]) if name in judged else [], part)
        for name, part in zip(names, parts, strict=True)
    }


def _pick_of(played: list[int], failed: list[int], most: int) -> _Picked:
    failures = set(_spread(failed, most // 2))
    rest = [episode_id for episode_id in played if episode_id not in failures]
    return _Picked(sorted([*failures, *_spread(rest, most - len(failures))]), failures)


def _parts(whole: int, count: int) -> list[range]:
    """A whole in parts that differ by one at most."""
    return [range(whole * part // count, whole * (part + 1) // count) for part in range(count)]


def _spread(episode_ids: Sequence[int], most: int) -> list[int]:
    """At most this many of them, from the first to the last at even distances."""
    if most >= len(episode_ids):
        return list(episode_ids)
    if most <= 1:
        return list(episode_ids[:most])
    return [episode_ids[place * (len(episode_ids) - 1) // (most - 1)] for place in range(most)]


def _gather(source: str | Path | Iterable[EpisodeRecord], picked: Mapping[str, _Picked]) -> list[Scene]:
    wanted = {name: set(found.episode_ids) for name, found in picked.items()}
    everyone = set().union(*wanted.values())
    shown = [condition.name for condition in conditions() if condition.shown_in_gallery]
    words: dict[int, tuple[str, ...]] = {}
    plays: dict[tuple[str, int], dict[str, Play]] = defaultdict(dict)
    normal: dict[tuple[str, int], EpisodeRecord] = {}
    for record in _read(source):
        if record.episode_id not in everyone or find_condition(record.condition).reorders:
            continue  # the candidates stand in another order
        if record.candidates is not None:
            words.setdefault(record.episode_id, tuple(map(visible, record.candidates)))
        key = record.channel, record.episode_id
        if record.condition in shown and record.episode_id in wanted.get(record.channel, ()):
            plays[key][record.condition] = _play(record)
            if record.condition == "normal":
                normal[key] = record
    return [
        _scene(
            normal[name, number],
            {
                condition: plays[name, number][condition]
                for condition in shown
                if condition in plays[name, number]
            },
            words.get(number),
            as_failure=number in found.failures,
        )
        for name, found in picked.items()
        for number in found.episode_ids
    ]


def _play(record: EpisodeRecord) -> Play:
    probabilities = record.probabilities
    return Play(
        message=NO_CONTENT if record.condition == "null" else spell_message(record.message),
        choice=record.choice,
        intended=record.intended,
        probabilities=None if probabilities is None else tuple(map(float, probabilities)),
    )


def _scene(
    record: EpisodeRecord, plays: Mapping[str, Play], words: tuple[str, ...] | None, *, as_failure: bool
) -> Scene:
    sizes = [len(words or ()), record.num_candidates or 0]
    sizes += [len(play.probabilities or ()) for play in plays.values()]
    sizes += [
        index + 1 for play in plays.values() for index in (play.choice, play.intended) if index is not None
    ]
    sizes += [0 if record.target is None else record.target + 1]
    named = (words or ()) + tuple(f"candidate {index + 1}" for index in range(len(words or ()), max(sizes)))
    return Scene(
        channel=record.channel,
        episode_id=record.episode_id,
        success=record.success,
        as_failure=as_failure,
        target=record.target,
        candidates=named,
        plays=plays,
    )
