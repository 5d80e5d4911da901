"""The rate limit of the game: the best success at b bits for a sender that does not see the candidates.

    python -m studies.rate_limit --bits 0 1 2 3.5 12

Writes rate_limit.json and rate_limit.png: a bound that no code can beat, the best code that a search
finds, and the best code made of words. Needs no model. Exit codes: 0 done, 2 usage, 3 could not run.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from parley.agents.command_line import ExitCode, WorldName, exit_with, parse_arguments
from parley.envs.world import World
from parley.envs.worlds import DEFAULT_WORLD, find_world
from parley.evaluation.files import atomic_write
from parley.evaluation.judge import versions
from studies.rate_limit.bound import success_bound, upper_bound
from studies.rate_limit.candidate_law import CandidateLaw, Integers
from studies.rate_limit.chart import draw_rate_limit
from studies.rate_limit.codes import (
    SampledGame,
    best_code,
    draw_candidates,
    measure,
    product_code,
    sample_game,
    word_code,
)
from studies.rate_limit.points import RatePoint, WordPoint, load_curve

__all__ = ["best_code", "load_curve", "product_code", "upper_bound", "word_code"]


@dataclass(frozen=True, kw_only=True)
class RateLimitConfig:
    """At which rates, and in which game.

    Args:
        bits: b of each point, at least 0, not necessarily whole; a code has floor(2^b) messages.
        folder: where rate_limit.json and rate_limit.png go; made if need be.
        seed: of the search and the episodes, at least 0.
        episodes: on which each code is measured, at least 2; as many others serve to choose it.
        num_candidates: N.
        resample_probability: as in EpisodeConfig.
        effort: starts of each kind in the search for the best code.
        world: what is talked about; every combination of its values must be a referent.
    """

    bits: tuple[float, ...] = tuple(range(13))
    folder: Path = Path("runs/rate_limit")
    seed: int = 0
    episodes: int = 20_000
    num_candidates: int = 5
    resample_probability: float = 0.5
    effort: int = 3
    world: WorldName = DEFAULT_WORLD

    def __post_init__(self) -> None:
        if not self.bits or min(self.bits) < 0 or max(self.bits) > 62:
            raise ValueError(f"bits must be one or more numbers from 0 to 62, got {self.bits}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")


def messages_of(bits: float) -> int:
    """The number of messages that fit into b bits: floor(2^b), forgiving the rounding of a logarithm."""
    return math.floor(2**bits * (1 + 1e-12))


def run(config: RateLimitConfig, arguments: list[str]) -> int:
    """Search, measure, write and show."""
    console, world = Console(), find_world(config.world)
    if not isinstance(world, World):
        raise ValueError(
            f"world must have every combination of its values as a referent, for the limit is proved for no "
            f"other, got {world.name!r} with {world.size} of {math.prod(world.num_values.tolist())}"
        )
    law = CandidateLaw.of(world, config.num_candidates, config.resample_probability)
    rng = np.random.default_rng(config.seed)
    with console.status("episodes are drawn"):
        game = sample_game(world, law, config.episodes, rng)
        test = draw_candidates(world, law, "test", config.episodes, rng)
    rates = track(sorted(set(config.bits)), "searching", console=console, transient=True)
    points = [rate_point(game, test, bits, seed=config.seed, effort=config.effort) for bits in rates]
    words = word_points(game)
    write(points, words, describe(config, world, arguments), config.folder)
    console.print(_table(points))
    console.print(f"picture: {config.folder / 'rate_limit.png'}", soft_wrap=True)
    return ExitCode.PASS


def rate_point(game: SampledGame, test: Integers, bits: float, *, seed: int, effort: int) -> RatePoint:
    """The bound and the codes at one rate, whatever other rates are asked for.

    Args:
        game: as from sample_game.
        test: (n, N) referent numbers of the candidates in episodes of the test split.
        bits: b, at least 0.
        seed: of the search, at least 0.
        effort: of the search, at least 1.
    """
    num_messages = messages_of(bits)
    rng = np.random.default_rng([seed, num_messages])
    best = best_code(game, num_messages=num_messages, rng=rng, effort=effort)
    product = product_code(game, num_messages=num_messages)
    best_test, product_test = measure(best.cells, test), measure(product.code.cells, test)
    return RatePoint(
        bits=bits,
        num_messages=num_messages,
        upper_bound=success_bound(game.law, num_messages),
        best_code=best.success,
        best_code_se=best.standard_error,
        best_code_test=best_test.success,
        best_code_test_se=best_test.standard_error,
        product_code=product.code.success,
        product_code_se=product.code.standard_error,
        product_code_test=product_test.success,
        product_code_test_se=product_test.standard_error,
        product_groups=product.groups,
    )


def word_points(game: SampledGame) -> list[WordPoint]:
    """The codes that name j = 0 to A attributes exactly."""
    points = []
    for num_words in range(len(game.law.num_values) + 1):
        groups, code = word_code(game, num_words)
        points.append(
            WordPoint(
                num_words=num_words,
                groups=groups,
                bits=math.log2(math.prod(groups)),
                success=code.success,
                success_se=code.standard_error,
            )
        )
    return points


def describe(config: RateLimitConfig, world: World, arguments: list[str]) -> dict[str, Any]:
    """What a reader needs to compute the same again."""
    return {
        "command": shlex.join(["python", "-m", "studies.rate_limit", *arguments]),
        "world": world.name,
        "num_referents": world.size,
        "num_candidates": config.num_candidates,
        "chance": 1 / config.num_candidates,
        "resample_probability": config.resample_probability,
        "episodes": config.episodes,
        "seed": config.seed,
        "effort": config.effort,
        "versions": versions("numpy", "scipy"),
    }


def write(points: list[RatePoint], words: list[WordPoint], provenance: dict[str, Any], folder: Path) -> None:
    """Write rate_limit.json, then rate_limit.png; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {**provenance, "curve": [asdict(p) for p in points], "word_codes": [asdict(w) for w in words]}
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    atomic_write(folder / "rate_limit.json", text.encode())
    atomic_write(folder / "rate_limit.png", draw_rate_limit(points, words, provenance["num_candidates"]))


def _table(points: list[RatePoint]) -> Table:
    table = Table("bits", "messages", "bound", "best code found", "best of words", "its groups", box=None)
    for point in points:
        table.add_row(
            f"{point.bits:g}",
            f"{point.num_messages:,}",
            f"{point.upper_bound:.5f}",
            f"{point.best_code:.5f} ± {point.best_code_se:.5f}",
            f"{point.product_code:.5f} ± {point.product_code_se:.5f}",
            " x ".join(map(str, point.product_groups)),
        )
    return table


def main() -> int:
    """Entry point of `python -m studies.rate_limit`."""
    arguments = sys.argv[1:]
    config = parse_arguments(RateLimitConfig, arguments, __doc__, "studies.rate_limit")
    return run(config, arguments)


if __name__ == "__main__":
    exit_with(main)
