"""What a reader needs to play the same again: command, seeds, models, checkpoints, versions."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parley.agents.pair import Pair
from parley.channels.checkpoint import file_hash, read_header
from parley.evaluation.judge import versions
from parley.evaluation.playing.play import PlayConfig


def describe(
    command: str, arguments: Sequence[str], config: PlayConfig, pair: Pair, files: Mapping[str, Path]
) -> dict[str, Any]:
    """Describe a run, as JSON.

    Args:
        command: that is run, such as `parley gate1`.
        arguments: of its command line.
        config: which episodes were played.
        pair: who played them.
        files: the checkpoints, by channel.
    """
    return {
        "command": " ".join([command, *map(shlex.quote, arguments)]),
        "world": pair.world.name,
        "num_referents": pair.world.size,
        "split": "test",
        "episodes": config.episodes,
        "num_candidates": config.num_candidates,
        "resample_probability": config.resample_probability,
        "seeds": {"evaluation": config.seed},
        "models": {
            "sender": {"name": pair.sender.lm.name, "sha256": pair.sender.lm.fingerprint},
            "receiver": {"name": pair.receiver.lm.name, "sha256": pair.receiver.lm.fingerprint},
        },
        "players": {
            **pair.profile.settings,
            "source": pair.profile.source,
            "admission": pair.profile.admission,
        },
        "checkpoints": {
            name: {
                "file": path.as_posix(),
                "sha256": file_hash(path),
                "training": read_header(path).training,
            }
            for name, path in files.items()
        },
        "precision": str(pair.receiver.lm.dtype).removeprefix("torch."),
        "versions": versions("torch", "transformers", "gymnasium", "pettingzoo", "scipy", "numpy"),
    }
