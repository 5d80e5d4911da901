"""Put channels through Gate 1: does the message carry meaning?

    parley gate1 --channels all
    parley gate1 --channels all --resume
    parley gate1 --from-episodes episodes.jsonl

Plays every channel under every condition on the same test episodes, judges the records by the
rule in evaluation/GATE1.md, and writes run.json (what is played), episodes.jsonl, results.json, the
reports and their pictures. What is in the folder of an earlier, finished run is replaced.
Exit codes: 0 pass, 1 fail, 2 usage, 3 could not run, 4 inconclusive or unfit,
5 invalid.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from parley.agents.command_line import ExitCode, exit_with, parse_arguments
from parley.agents.folder_lock import locked
from parley.agents.pair import ModelConfig
from parley.channels.base import check_range
from parley.channels.registry import channel_names
from parley.evaluation.gates.verdict import EXIT_CODES, GATES
from parley.evaluation.judge import judge_file
from parley.evaluation.playing.gate_run import LARGEST_SEED, GateRun
from parley.evaluation.playing.plan import PlayConfig
from parley.evaluation.playing.run_folder import was_sequential
from parley.evaluation.reporting.terminal import print_table
from parley.evaluation.sealing.roster import Wanted


def _there_are(default: str) -> str:
    """What `--help` says of `--channels`: looked up when it is shown, so that no other run waits for it."""
    return f"(default: {default}; there are: {', '.join(channel_names())})"


@dataclass(frozen=True, kw_only=True)
class Gate1Config:
    """What is put to the test.

    Args:
        channels: names, or all.
        checkpoint: checkpoint files or run folders; by default the newest that fits, under `runs`.
        settings: of channels that have nothing to learn, such as text_budget.budget=3.
        gate: which gates decide the verdict, such as 1,2,3; all are reported.
        until_decided: stop as soon as the verdict of every trained channel is settled, by intervals that are
            valid at every n; it is looked every 50 episodes, and `episodes` is the most that is played.
        resume: continue what the folder holds, instead of refusing an unfinished run.
        from_episodes: judge these recorded episodes again, without any model.
        folder: where the results go; by default runs/gate1, and runs/gate1-judged-again for recorded
            episodes, so that judging them never replaces what was written when they were played.
        runs: where run folders are looked for.
        seed: of the episodes and of all that is left to chance in them. By default it is drawn once the
            channels are fixed, so that none can have been made for these episodes; a seed that is given is
            called chosen in the results.
        unsealed: run all channels in this process: half the memory, and only for channels that are trusted.
        say_only: write what all channels send to this file, and stop: the first half of a judgement that is
            made on two machines.
        hear: judge the messages of such a file instead of sending any.
        play: which episodes.
        models: which frozen models play.
    """

    channels: Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint=_there_are)] = ("all",)
    checkpoint: tuple[Path, ...] = ()
    settings: tuple[str, ...] = ()
    gate: tuple[str, ...] = ("1",)
    until_decided: bool = False
    resume: bool = False
    from_episodes: Path | None = None
    folder: Path | None = None
    runs: Path = Path("runs")
    seed: int | None = None
    unsealed: bool = False
    say_only: Path | None = None
    hear: Path | None = None
    play: PlayConfig = field(default_factory=PlayConfig)
    models: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        if self.resume and self.from_episodes is not None:
            raise ValueError(
                f"resume must not go with from_episodes, which plays nothing, got {self.from_episodes}"
            )
        if self.seed is not None:
            check_range("seed", self.seed, 0, LARGEST_SEED)
        if self.say_only is not None and self.hear is not None:
            raise ValueError(f"say_only must not go with hear, got {self.say_only} and {self.hear}")
        asked = self._asked()
        if not asked or not asked <= {str(gate) for gate in GATES}:
            raise ValueError(
                f"gate must be some of {', '.join(map(str, GATES))}, got {','.join(self.gate)!r}"
            )

    @property
    def gates(self) -> tuple[int, ...]:
        """The gates that decide, in ascending order."""
        return tuple(gate for gate in GATES if str(gate) in self._asked())

    def made(self, folder: Path, arguments: list[str]) -> GateRun:
        """The run that is asked for."""
        return GateRun(
            wanted=Wanted(
                channels=self.channels,
                checkpoint=self.checkpoint,
                settings=self.settings,
                runs=self.runs,
                sealed=not self.unsealed,
            ),
            play=self.play,
            models=self.models,
            seed=self.seed,
            gates=self.gates,
            until_decided=self.until_decided,
            resume=self.resume,
            hear=self.hear,
            folder=folder,
            arguments=tuple(arguments),
        )

    def _asked(self) -> set[str]:
        return {part.strip() for given in self.gate for part in given.split(",") if part.strip()}


def run(config: Gate1Config, arguments: list[str]) -> int:
    """Play, judge, write and show; the exit code is the verdict's."""
    console = Console()
    if config.from_episodes is not None:
        folder = config.folder or Path("runs/gate1-judged-again")
        sequential = config.until_decided or was_sequential(config.from_episodes)
        with locked(folder):
            results = judge_file(config.from_episodes, folder, gates=config.gates, sequential=sequential)
    else:
        folder = config.folder or Path("runs/gate1")
        played = config.made(folder, arguments)
        if config.say_only is not None:
            played.say(config.say_only, console)
            console.print(f"messages: {config.say_only}, to be judged with --hear", soft_wrap=True)
            return ExitCode.PASS
        with locked(folder):
            results = played.judge(console)
    print_table(results, console)
    console.print(f"report: {folder / 'report.html'}, and report.md beside it", soft_wrap=True)
    return EXIT_CODES[results["verdict"]]


def main() -> int:
    """Entry point of `parley gate1`, which is `python -m parley.evaluation.gate1`."""
    arguments = sys.argv[1:]
    config = parse_arguments(Gate1Config, arguments, __doc__, "parley gate1")
    return run(config, arguments)


if __name__ == "__main__":
    exit_with(main)
