"""The trials on SmolLM2: what each is to tell, and the two commands that make it.

Goals and trials were written before the runs of record. A trial's name is its folder's.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

RUNS = Path("runs/real")
GATE, PRESET = "gate1", "aligned"
SEEDS = (0, 1, 2)
ORIGINAL_STEPS = 30
"""By arithmetic about an hour on 2 cores: behind a prefix at the start nothing can be read once."""

Flags = tuple[str, ...]
SMOLLM2: Flags = ("--model", "smollm2")
HALF: Flags = ("--dtype", "bfloat16")
"""A codec that was trained on float32 states reads bfloat16 ones as noise, so both commands have it."""
WITH_TEXT, ALONE = "latent_vq,text,silence", "latent_vq,silence"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Codecs that are trained, if any, and one gate.

    Args:
        name: of the trial and of its folder.
        asks: what it is to tell, in one sentence.
        codecs: flags of `parley train`, but for the folder, by the codec's folder in the trial's.
        borrows: codecs of earlier trials that the gate plays, as TRIAL/CODEC.
        gate: flags of `parley gate1`, but for checkpoints and folder.
    """

    name: str
    asks: str
    codecs: Mapping[str, Flags] = field(default_factory=dict)
    borrows: tuple[str, ...] = ()
    gate: Flags

    def trainings(self, runs: Path = RUNS) -> dict[Path, list[str]]:
        """Each codec's run folder, and the flags that train it."""
        folders = {runs / self.name / codec: flags for codec, flags in self.codecs.items()}
        return {folder: [*flags, "--folder", folder.as_posix()] for folder, flags in folders.items()}

    def gate_folder(self, runs: Path = RUNS) -> Path:
        """Where its gate is written."""
        return runs / self.name / GATE

    def gate_flags(self, runs: Path = RUNS) -> list[str]:
        """All flags of `parley gate1`."""
        codecs = [*(runs / codec for codec in self.borrows), *self.trainings(runs)]
        given = ["--checkpoint", *(codec.as_posix() for codec in codecs)] if codecs else []
        return [*self.gate, "--seed", "0", *given, "--folder", self.gate_folder(runs).as_posix()]

    @property
    def train_commands(self) -> list[str]:
        """How a reader trains the same codecs."""
        return [shlex.join(["parley", "train", *flags]) for flags in self.trainings().values()]

    @property
    def gate_command(self) -> str:
        """How a reader plays the same gate."""
        return shlex.join(["parley", "gate1", *self.gate_flags()])


def _main(seed: int) -> Trial:
    """What `make real` runs."""
    return Trial(
        name=f"seed{seed}",
        asks="Does a codec carry meaning between two SmolLM2, as words do?",
        codecs={name: _training(SMOLLM2, "--channel", name, seed=seed) for name in ("latent_vq", "latent")},
        gate=(*SMOLLM2, "--channels", "latent_vq,latent,text,silence"),
    )


def _training(players: Flags, *flags: str, preset: str = PRESET, seed: int = 0) -> Flags:
    return (*players, "--preset", preset, *flags, "--seed", str(seed))


def _gate(channels: str, players: Flags, *flags: str) -> Flags:
    return (*players, "--channels", channels, "--episodes", "100", *HALF, *flags)


def _trained(name: str, asks: str, *flags: str, players: Flags = SMOLLM2, channels: str = ALONE) -> Trial:
    """Another training, or other players, who then play the gate as well."""
    codec = _training(players, "--channel", "latent_vq", *HALF, *flags)
    return Trial(name=name, asks=asks, codecs={"codec": codec}, gate=_gate(channels, players))


def _played(name: str, asks: str, *flags: str) -> Trial:
    """The codec of the first side trial in another gate."""
    return Trial(name=name, asks=asks, borrows=("bfloat16/codec",), gate=_gate(WITH_TEXT, SMOLLM2, *flags))


MAIN = tuple(map(_main, SEEDS))

SIDE = (
    _trained("bfloat16", "Does it hold in bfloat16, trained and played?", channels=WITH_TEXT),
    _trained("steps20", "Do 20 steps through the receiver add to alignment?", "--steps", "320"),
    _trained("steps60", "Do 60 steps through the receiver add to alignment?", "--steps", "360"),
    _trained("said", "Are the sender's own words as good a label as exact descriptions?", "--labels", "said"),
    _trained("bits12", "Do 12 bits suffice: 4 codes of 8?", "--codebook-size", "8"),
    _trained("layer8", "Does an early layer of the sender serve as well?", "--depth", "0.27"),
    _trained("layer22", "Does a late layer of the sender serve as well?", "--depth", "0.74"),
    _trained("plain_states", "Must the sender's states be standardised?", "--no-standardize"),
    _trained(
        "smollm2_to_pocket",
        "Can a real model speak to the pocket, of another family and vocabulary?",
        players=("--sender", "smollm2", "--receiver", "pocket"),
        channels=WITH_TEXT,
    ),
    _trained(
        "pocket_to_smollm2",
        "Can the pocket speak to a real model?",
        players=("--sender", "pocket", "--receiver", "smollm2"),
        channels=WITH_TEXT,
    ),
    _trained(
        "shots0",
        "Are solved examples needed? Here neither player is shown any.",
        players=(*SMOLLM2, "--shots", "0"),
        channels=WITH_TEXT,
    ),
    _played("label", "Can the receiver answer by a letter?", "--readout", "label"),
    _played("uncalibrated", "Must a candidate's score be calibrated?", "--calibration", "none"),
    _played("unlike", "How is it among candidates that are unlike?", "--resample-probability", "1"),
    _played("candidates10", "How is it among 10 candidates, where chance is 10%?", "--num-candidates", "10"),
    Trial(
        name="words",
        asks="What do channels that learn nothing bring, and the 2 bytes of words that 24 bits buy?",
        gate=_gate("cipher,activation,text_budget", SMOLLM2, "--settings", "text_budget.budget=2"),
    ),
    Trial(
        name="original",
        asks=f"What does the failed recipe come to in the first {ORIGINAL_STEPS} of its steps?",
        codecs={
            "codec": _training(
                SMOLLM2,
                *HALF,
                "--steps",
                str(ORIGINAL_STEPS),
                "--validation-episodes",
                "40",
                preset="original",
            )
        },
        gate=_gate("latent,silence", SMOLLM2),
    ),
)

TRIALS = {trial.name: trial for trial in (*MAIN, *SIDE)}
