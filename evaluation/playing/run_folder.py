"""The folder of a run: what defines it, what it holds already, and how it is continued or begun anew.

`run.json` is written before the first episode. Episodes are only ever appended under the definition that they
were begun with, and never stand beside the results of others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from parley.agents.command_line import check_same_settings
from parley.agents.player import digest
from parley.channels.base import Role
from parley.channels.conditions import find_condition
from parley.evaluation.files import atomic_write
from parley.evaluation.playing.marked_records import cut_back_episodes, marks_file
from parley.evaluation.playing.plan import EpisodePlan
from parley.evaluation.playing.play import Entry, PlayConfig, conditions_of, turns
from parley.evaluation.records import EpisodeRecord
from parley.evaluation.records.beside import RESULTS_FILE, RUN_FILE, read_object
from parley.evaluation.records.episodes_file import read_records

EPISODES_FILE = "episodes.jsonl"
_RESULTS = (RESULTS_FILE, "report.*", "junit.xml", "*.png")
_CHECKED = ("channel", "condition", "episode_id", "target", "role")


def define(
    provenance: Mapping[str, Any],
    config: PlayConfig,
    entries: Mapping[str, Entry],
    look_every: int | None,
) -> dict[str, Any]:
    """What decides which records a run writes, as JSON: not where, on which device, nor how it is judged.

    Args:
        provenance: of the run: world, models, players, precision, checkpoints, whether it is sealed, whether
            its seed was chosen, and what was broken before it.
        config: which episodes.
        entries: the channels, in the order in which they play.
        look_every: after how many episodes it is asked whether the judgement is settled; None if never.
    """
    checkpoints = provenance["checkpoints"]
    play = asdict(config)
    del play["world"]  # a file may be named by many paths: the name of its world tells its content
    definition = {
        "world": provenance["world"],
        "play": play,
        "look_every": look_every,
        "channels": list(entries),
        "entries": {
            name: {
                "settings": entry.channel.settings,
                "role": entry.role,
                "conditions": [condition.name for condition in conditions_of(entry)],
                "checkpoint": checkpoints[name]["sha256"] if name in checkpoints else None,
            }
            for name, entry in entries.items()
        },
        "models": {role: model["sha256"] for role, model in provenance["models"].items()},
        "players": {name: provenance["players"][name] for name in ("sender", "receiver", "examples_seed")},
        "precision": provenance["precision"],
    }
    said = ("sealed", "seed_chosen", "breaches")  # where a run is judged without its results
    definition |= {name: provenance[name] for name in said if name in provenance}
    as_read_again: dict[str, Any] = json.loads(json.dumps(definition))  # a tuple becomes a list
    return as_read_again


def check_folder(folder: Path, resume: bool) -> None:
    """Make the folder, and refuse one whose episodes would be lost, before any model is loaded.

    Args:
        folder: of the run.
        resume: whether what it holds is to be continued.

    Raises:
        ValueError: if it holds an unfinished run that is not to be resumed, or episodes of which nobody knows
            what defines them that are.
        OSError: if it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not _holds_episodes(folder):
        return
    if resume and not (folder / RUN_FILE).exists():
        raise ValueError(
            f"{folder} holds episodes but no {RUN_FILE} that says what they are of, so they cannot be "
            f"continued; name another --folder"
        )
    if not resume and not (folder / RESULTS_FILE).exists():
        raise ValueError(
            f"{folder} holds an unfinished run; continue it with --resume, or name another --folder"
        )


def prepare_folder(folder: Path, definition: dict[str, Any], resume: bool) -> None:
    """Make ready to go on, or to begin anew; then no results are there, and run.json says what is played.

    Args:
        folder: that passed `check_folder`.
        definition: as from `define`.
        resume: go on with what the folder holds, if it holds anything.

    Raises:
        ValueError: if what is to be resumed is defined otherwise, naming each difference, or run.json is
            damaged.
        OSError: if the folder cannot be written.
    """
    path = folder / RUN_FILE
    going_on = resume and _holds_episodes(folder)
    if going_on:
        check_same_settings(folder, read_object(path), definition)
    if path.exists() or (folder / RESULTS_FILE).exists():  # a folder of something else loses nothing
        for pattern in _RESULTS:
            for stale in folder.glob(pattern):
                stale.unlink()
    if not going_on:
        for episodes in (marks_file(folder / EPISODES_FILE), folder / EPISODES_FILE):
            episodes.unlink(missing_ok=True)
        atomic_write(
            path, (json.dumps(definition | {"sha256": digest(definition)}, indent=2) + "\n").encode()
        )


def records_so_far(
    path: Path,
    entries: dict[str, Entry],
    config: PlayConfig,
    plan: EpisodePlan,
    look_every: int | None,
) -> Iterator[EpisodeRecord]:
    """Read the records that a run wrote before it was cut; what was being written then is dropped.

    Args:
        path: the episodes file; none, or an empty one, has no records.
        entries: the channels of the run.
        config: its episodes.
        plan: what was drawn for them.
        look_every: as it was played.

    Yields:
        The records, which are those that the run begins with.

    Raises:
        ValueError: naming the line, if one is not what the run would have written there.
        RunError: if the file is damaged.
        OSError: if the file cannot be read or cut.
    """
    if not path.exists():
        return
    cut_back_episodes(path)
    if not path.stat().st_size:
        return
    expected = _expected(entries, config, plan, look_every)
    for number, (record, wanted) in enumerate(zip_longest(read_records(path), expected), start=1):
        if record is None:
            return
        if wanted is None:
            raise ValueError(f"{path}, line {number}: the run ends before it, so it cannot be continued")
        for name, value in zip(_CHECKED, wanted, strict=True):
            if getattr(record, name) != value:
                raise ValueError(
                    f"{path}, line {number}: {name} must be {value!r} in this run, got "
                    f"{getattr(record, name)!r}, so it cannot be continued"
                )
        yield record


def was_sequential(episodes: Path) -> bool:
    """Whether recorded episodes were played until decided, as the run.json beside them says, if there is one.

    Raises:
        ValueError: if that file is damaged.
        OSError: if it cannot be read.
    """
    return read_object(episodes.parent / RUN_FILE).get("look_every") is not None


def planned(folder: Path) -> dict[str, Any] | None:
    """What defines the run that a folder holds; None if it holds none.

    Raises:
        ValueError: if its run.json is damaged.
    """
    path = folder / RUN_FILE
    return read_object(path) if path.exists() and _holds_episodes(folder) else None


def _expected(
    entries: dict[str, Entry], config: PlayConfig, plan: EpisodePlan, look_every: int | None
) -> Iterator[tuple[str, str, int, int, Role]]:
    for name, condition, rows in turns(entries, config, look_every):
        for row in rows:
            target = plan.episode(row, find_condition(condition)).target
            yield name, condition, row, target, entries[name].role


def _holds_episodes(folder: Path) -> bool:
    path = folder / EPISODES_FILE
    return path.exists() and path.stat().st_size > 0
