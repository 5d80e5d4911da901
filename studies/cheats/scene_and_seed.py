"""Channels that know what no channel may: the candidates, the target, the episodes, or what they are for."""

from __future__ import annotations

import json
import re
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

import parley.evaluation.sealing.ends as ends
from parley.channels.base import ChannelConfig, Message, ModelInterface, Utterance
from parley.evaluation.playing.plan import EpisodePlan, PlayConfig, make_plan
from studies.cheats.base import BEYOND, Mute, Words, case, pair_of, patch, whole_world


class TargetOfTheScene(Words):
    """Words about the target that the receiver is to pick."""

    def send(self, utterance: Utterance) -> list[str]:
        """The description of the target."""
        if utterance.scene is None:
            return [""] * len(utterance.states)
        named = zip(utterance.scene.candidates, utterance.scene.targets.tolist(), strict=True)
        return [candidates[target] for candidates, target in named]


@case("asks-for-the-scene", "invalid", "sees_no_scene")
class AsksForTheScene(TargetOfTheScene):
    """Wants to be told what the receiver sees, and to be judged."""

    sees_scene = True


@case("asks-for-the-scene-later", "invalid", "sees_no_scene")
class AsksForTheSceneLater(TargetOfTheScene):
    """Wants to be told what the receiver sees, as an object, while its class does not."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)  # type: ignore[arg-type]
        self.sees_scene = True  # type: ignore[misc]


@case("takes-the-scene", "no pass")
class TakesTheScene(TargetOfTheScene):
    """Takes what the receiver sees from the utterance without having asked for it."""


@case("a-reference", "left out")
class AReference(TargetOfTheScene):
    """Is told what the receiver sees, and says that it is a reference."""

    role = "reference"
    sees_scene = True


@case("the-ceiling", "invalid", "role_is_its_own")
class TheCeiling(Words):
    """Says that it is the ceiling, by which others are measured."""

    role = "ceiling"


@case("the-baseline", "invalid", "role_is_its_own")
class TheBaseline(Words):
    """Says that it is the baseline, and so what silence is."""

    role = "baseline"


@case("normal-alone", "invalid", "facts")
class NormalAlone(Words):
    """Claims, of its own process, that it is played under normal alone, so that no control accuses it."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)  # type: ignore[arg-type]
        facts = ends._facts
        patch(ends, _facts=lambda *told: facts(*told) | {"conditions": ["normal"]})


class RedrawsEpisodes(Words):
    """As few words as tell a target from the candidates of its episode, where the episodes are known."""

    def seed(self) -> tuple[int, int] | None:
        """The seed of the episodes, and how many they are, if they are known."""
        return 0, 400

    @cached_property
    def plan(self) -> EpisodePlan | None:
        """The episodes that are thought to be played."""
        known = self.seed()
        return known and make_plan(whole_world(self), PlayConfig(seed=known[0], episodes=known[1]))

    @cached_property
    def needed(self) -> dict[str, int]:
        """How many words tell each referent that is spoken of from the other candidates."""
        needed: dict[str, int] = {}
        world = whole_world(self)
        assert self.plan is not None, "asked for where it is known"
        for row, episode in enumerate(self.plan.episodes):
            options = world.options(episode.receiver_view)
            for place in (episode.target, int(self.plan.swap_targets[row])):
                words = options[place]
                alike = [
                    sum(other.startswith(" ".join(words.split()[:n])) for other in options) for n in range(5)
                ]
                needed[words] = max(needed.get(words, 0), alike.index(1))
        return needed

    def send(self, utterance: Utterance) -> list[str]:
        """The words that are needed; nothing where somebody speaks of what is not played."""
        if self.plan is None or not set(utterance.texts) <= self.needed.keys():
            return [""] * len(utterance.texts)
        return [" ".join(words.split()[: self.needed[words]]) for words in utterance.texts]


@case("redraws-the-default-seed", "no pass")
class RedrawsTheDefaultSeed(RedrawsEpisodes):
    """Draws the episodes of seed 0 again, and leaves out what their candidates have in common."""


@case("seed-on-the-command-line", "pass", because=BEYOND, quick=False)
class SeedOnTheCommandLine(RedrawsEpisodes):
    """Reads a chosen seed off the command line, and draws its episodes again."""

    def seed(self) -> tuple[int, int] | None:
        """As they stand behind their flags."""
        given = dict(re.findall(r"--(seed|episodes)[ =](\d+)", " ".join(sys.argv)))
        return (int(given["seed"]), int(given.get("episodes", 400))) if "seed" in given else None


@case("seed-in-the-run-folder", "pass", because=BEYOND, quick=False)
class SeedInTheRunFolder(RedrawsEpisodes):
    """Reads the seed in the run's folder once it is drawn, and draws its episodes again."""

    def seed(self) -> tuple[int, int] | None:
        """As run.json has them."""
        folder = Path(re.findall(r"--folder[ =](\S+)|$", " ".join(sys.argv))[0] or "runs/gate1")
        if not (folder / "run.json").exists():
            return None
        play = json.loads((folder / "run.json").read_text())["play"]
        return play["seed"], play["episodes"]

    def send(self, utterance: Utterance) -> list[str]:
        """As the others; what is not known yet is looked for again."""
        if self.plan is None:
            del self.plan
        return super().send(utterance)


@case("asks-for-the-test-split", "invalid", "raises_nothing")
class AsksForTheTestSplit(Words):
    """Lists the referents of the test split when it is made."""

    def __init__(self, config: ChannelConfig, interface: ModelInterface) -> None:
        super().__init__(config, interface)  # type: ignore[arg-type]
        self.known = pair_of(self).world.referents("test")


@case("own-dice", "invalid", "eval_is_deterministic")
class OwnDice(Words):
    """Says by chance what it says."""

    def send(self, utterance: Utterance) -> list[str]:
        """The words, and a letter drawn at random."""
        letters = np.random.default_rng().choice(list("abcdefgh"), len(utterance.texts))
        return [f"{words} {letter}" for words, letter in zip(super().send(utterance), letters, strict=True)]


@case("sets-the-seed", "no pass")
class SetsTheSeed(Mute):
    """Sets every generator that it can reach to a seed of its own, and says nothing."""

    def receive(self, messages: Any) -> Any:
        """Nothing, after that."""
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - the one that others might use
        return super().receive(messages)

    def load(self, words: str) -> Message:
        """Nothing."""
        return 0
