"""How many episodes does Gate 1 need, or what chance does a channel have with those there are?

    parley power --true-rate 0.4 --power 0.95
    parley power --true-rate 0.4 --episodes 50

Computes the exact chance that the lower end of Wilson's interval reaches the floor, and that all conditions
which must be shown at chance are. Plays nothing and needs no model. Exit codes: 0 done, 2 usage.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.channels.base import check_range
from parley.evaluation.gates.chance_power import chance_power
from parley.evaluation.gates.gate1 import controls
from parley.evaluation.reporting import cells
from parley.evaluation.statistics import episodes_needed, fewest_episodes, gate_power, least_successes

USUAL_POWER = 0.95
USUAL_NUMBERS = (50, 100, 200, 400, 800)


@dataclass(frozen=True, kw_only=True)
class PowerConfig:
    """What is asked.

    Args:
        true_rate: the share of episodes in which the channel would succeed, if there were no end of them.
        power: the chance to pass that is asked for, 0.95 if nothing is said.
        floor: what the lower end of the interval must reach.
        confidence: nominal coverage of the interval.
        episodes: ask for the chance to pass with this number, rather than for the number needed.
        num_candidates: N, for the conditions at chance.
    """

    true_rate: float
    power: float | None = None
    floor: float = 0.30
    confidence: float = 0.95
    episodes: int | None = None
    num_candidates: int = 5

    def __post_init__(self) -> None:
        check_range("num_candidates", self.num_candidates, 2, 26)
        if self.episodes is not None:
            check_range("episodes", self.episodes, 1)
        if self.power is not None and self.episodes is not None:
            raise ValueError(
                f"power must not be given with episodes, which asks what the power is, "
                f"got {self.power} and {self.episodes}"
            )


def run(config: PowerConfig) -> int:
    """Answer in a sentence, with a table below."""
    console = Console()
    if config.episodes is None:
        n = _say_number(config, console)
    else:
        n = config.episodes
        _say_power(config, n, console)
    console.print(_table(config, n))
    _say_chance(config.num_candidates, n, console)
    return ExitCode.PASS


def _say_number(config: PowerConfig, console: Console) -> int:
    """Print how many episodes are needed, and return it."""
    power = USUAL_POWER if config.power is None else config.power
    n = episodes_needed(config.true_rate, power, config.floor, config.confidence)
    fewest = fewest_episodes(config.true_rate, power, config.floor, config.confidence)
    least = least_successes(n, config.floor, config.confidence)
    console.print(
        f"{_episodes(n)}: with at least as many, a channel whose true success is {config.true_rate:.6g} "
        f"reaches the floor of {config.floor:.6g} with a chance of at least {power:.6g}. "
        f"With {_episodes(n)} it must succeed in at least {least}.",
        soft_wrap=True,
    )
    if fewest < n:
        console.print(
            f"The smallest number with that chance is {fewest}, but some number between falls short of it: "
            f"one more episode can ask for one more success.",
            soft_wrap=True,
        )
    return n


def _say_power(config: PowerConfig, n: int, console: Console) -> None:
    """Print the chance to pass with n episodes."""
    chance = gate_power(config.true_rate, n, config.floor, config.confidence)
    least = least_successes(n, config.floor, config.confidence)
    needed = "no number of successes is enough" if least is None else f"it must succeed in at least {least}"
    console.print(
        f"{_episodes(n)}: a channel whose true success is {config.true_rate:.6g} reaches the floor of "
        f"{config.floor:.6g} with a chance of {cells.percent(chance)}; {needed}.",
        soft_wrap=True,
    )


def _say_chance(num_candidates: int, n: int, console: Console) -> None:
    """Print how likely criterion 2 of Gate 1 is met by a sound run."""
    chance = chance_power(n, num_candidates)
    console.print(
        f"Gate 1 also asks that silence and {len(controls())} controls be shown at chance, all of them. With "
        f"{num_candidates} candidates and {_episodes(n)} a sound run shows it with a chance of at least "
        f"{cells.percent(chance)}.",
        soft_wrap=True,
    )


def _table(config: PowerConfig, n: int) -> Table:
    """The chance to pass at the usual numbers of episodes and at n."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for header in ("episodes", "least successes", "chance to pass"):
        table.add_column(header, justify="right", no_wrap=True)
    for number in sorted({*USUAL_NUMBERS, n}):
        least = least_successes(number, config.floor, config.confidence)
        chance = gate_power(config.true_rate, number, config.floor, config.confidence)
        style = "bold" if number == n else ""
        table.add_row(
            str(number), "none" if least is None else str(least), cells.percent(chance), style=style
        )
    return table


def _episodes(n: int) -> str:
    return f"{n} episode{'' if n == 1 else 's'}"


def main() -> int:
    """Entry point of `parley power`, which is `python -m parley.evaluation.power`."""
    config = parse_arguments(PowerConfig, sys.argv[1:], __doc__, "parley power")
    return run(config)


if __name__ == "__main__":
    exit_with(main)
