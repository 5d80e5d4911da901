"""All that is sent in a run, in a file: so that sending and receiving can be done on two machines.

The first line says what the run is, each other one holds a message: its channel, of which episode and
candidate the sender was told, and the canonical bytes in base 64. Nothing else crosses.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from parley.channels.conditions import Told

Said = tuple[str, Told, bytes]


class Messages(NamedTuple):
    """What such a file holds."""

    definition: dict[str, Any]  # as run.json has it
    sent: Mapping[str, Mapping[Told, bytes]]  # by channel


def write_messages(path: Path, definition: Mapping[str, Any], said: Iterable[Said]) -> Iterator[int]:
    """Write the messages as they are sent.

    Args:
        path: of the file, which must not be there.
        definition: of the run.
        said: a message at a time.

    Yields:
        How many are written, after each.

    Raises:
        FileExistsError: if the file is there.
        OSError: if it cannot be written.
    """
    with path.open("x", encoding="utf-8") as file:
        file.write(json.dumps(definition) + "\n")
        for number, (channel, told, message) in enumerate(said, start=1):
            text = base64.b64encode(message).decode()
            file.write(json.dumps([channel, told.episode, told.candidate, text]) + "\n")
            yield number


def read_messages(path: Path) -> Messages:
    """Read such a file.

    Raises:
        ValueError: naming the line that is of another form, or says the same again.
        OSError: if it cannot be read.
    """
    sent: dict[str, dict[Told, bytes]] = {}
    with path.open(encoding="utf-8") as file:
        try:
            definition = json.loads(next(file, ""))
            if not isinstance(definition, dict) or "play" not in definition:
                raise ValueError("it does not say what run the messages are of")
        except ValueError as error:
            raise ValueError(f"{path}, line 1: {error}") from error
        for number, line in enumerate(file, start=2):
            try:
                channel, episode, candidate, text = json.loads(line)
                told = Told(int(episode), int(candidate))
                if told in sent.setdefault(str(channel), {}):
                    raise ValueError(f"{channel} speaks twice of candidate {candidate} in episode {episode}")
                sent[channel][told] = base64.b64decode(text, validate=True)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
    return Messages(definition, sent)
