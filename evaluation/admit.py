"""Find out how two models play best, and whether they can play at all, before any test episode is seen.

    parley admit --model smollm2
    parley admit --sender pocket --receiver smollm2 --output players/mixed.json

Tries a fixed grid of prompts and readouts on validation episodes with the text channel alone, and writes the
player profile that --player takes. The rule by which it chooses is in docs/players.md. Each trial is kept as
it is finished: an interrupted admission resumes when the same command is given again.
Exit codes: 0 fit, 2 usage, 3 could not run, 4 unfit (the profile is written all the same).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from parley.agents.command_line import ExitCode, RunError, exit_with, parse_arguments
from parley.agents.pair import ModelConfig, load_models
from parley.agents.player import Profile, ReceiverSettings, SenderSettings, profile_json
from parley.agents.told_apart import check_told_apart
from parley.envs.worlds import find_world
from parley.evaluation.admission.grid import SENDER_SHOTS, SHOTS, wording_texts
from parley.evaluation.admission.procedure import admit, num_trials
from parley.evaluation.admission.rule import SenderTrial, best_sender, read_cell
from parley.evaluation.admission.table import print_trials
from parley.evaluation.admission.trials import Trials
from parley.evaluation.admission.trials_file import TrialsFile
from parley.evaluation.files import atomic_write
from parley.evaluation.playing.plan import PlayConfig
from parley.evaluation.playing.progress import playing_progress

_UNUSUAL = re.compile(r"[^\w.-]+")  # in the name of a file


@dataclass(frozen=True, kw_only=True)
class AdmitConfig:
    """Who is tried, and on what.

    Args:
        output: the profile; by default runs/player-MODEL.json. An existing one is replaced.
        seed: of the episodes, and of the order in which ties are broken.
        play: which validation episodes.
        models: which frozen models; how they are asked is what is found out, so no flag may fix it.
    """

    output: Path | None = None
    seed: int = 0
    play: PlayConfig = field(default_factory=lambda: PlayConfig(episodes=60, episodes_at_once=20))
    models: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        for name in ("player", *(setting.name for setting in fields(ReceiverSettings))):
            if (value := getattr(self.models, name)) is not None:
                raise ValueError(f"{name} must not be given: admission tries all there are, got {value}")

    @property
    def path(self) -> Path:
        """Where the profile goes."""
        if self.output is not None:
            return self.output
        names = (self.models.sender or self.models.model, self.models.receiver or self.models.model)
        return Path("runs") / f"player-{_UNUSUAL.sub('-', '-'.join(dict.fromkeys(names)))}.json"


def run(config: AdmitConfig) -> int:
    """Try, choose, write and show."""
    console = Console()
    with console.status("the models are loaded"):
        models, world = load_models(config.models), find_world(config.play.world)
        check_told_apart(world, models)
        trials = Trials(models, world, replace(config.play, seed=config.seed))
    fingerprints = {"sender": models[0].fingerprint, "receiver": models[1].fingerprint}
    settings = define(trials) | {"models": fingerprints}
    kept = TrialsFile(config.path.with_suffix(".trials.jsonl"), settings)
    try:
        with playing_progress(console) as progress:
            admission = admit(trials, kept, _Bar(progress, config.play.episodes))
    except KeyboardInterrupt:
        raise RunError(
            f"interrupted; what was tried so far is kept in {kept.path}: the same command resumes"
        ) from None
    profile = make_profile(admission, fingerprints)
    atomic_write(config.path, (json.dumps(profile_json(profile), indent=2) + "\n").encode())
    kept.remove()
    print_trials(admission, console)
    console.print(f"player profile: {config.path}", soft_wrap=True)
    return ExitCode.PASS if admission["fit"] else ExitCode.INCONCLUSIVE


def define(trials: Trials) -> dict[str, Any]:
    """What defines the trials beside the models, as JSON."""
    play = asdict(trials.config)
    del play["episodes_at_once"]  # a matter of speed
    return {
        "play": play | {"world": trials.world.name},  # a file may be named by many paths
        "precision": str(trials.models[1].dtype),
        "shots": {"sender": list(SENDER_SHOTS), "receiver": list(SHOTS)},
        "wordings": wording_texts(),
    }


def make_profile(admission: Mapping[str, Any], fingerprints: Mapping[str, str]) -> Profile:
    """The profile of what was chosen, for these models alone."""
    chosen = read_cell(admission["chosen"])
    spoke = best_sender([SenderTrial(**row) for row in admission["sender"]])
    return Profile(
        sender=SenderSettings(shots=spoke.shots),
        receiver=chosen.question.calibrated(chosen.calibration),
        models=fingerprints,
        admission=admission,
    )


class _Bar:
    """Shows which trial is on, and how many episodes of all trials were played."""

    def __init__(self, progress: Progress, episodes: int) -> None:
        self._progress, self._episodes, self._begun = progress, episodes, 0
        self._task = progress.add_task("", total=episodes * num_trials())

    def begin(self, trial: str) -> None:
        """The next trial."""
        self._progress.update(self._task, description=trial, completed=self._episodes * self._begun)
        self._begun += 1

    def advance(self, episodes: int) -> None:
        """So many episodes of it were played."""
        self._progress.advance(self._task, episodes)


def main() -> int:
    """Entry point of `parley admit`, which is `python -m parley.evaluation.admit`."""
    return run(parse_arguments(AdmitConfig, sys.argv[1:], __doc__, "parley admit"))


if __name__ == "__main__":
    exit_with(main)
