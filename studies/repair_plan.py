"""What the study of Attempt 03 runs, written down before it was run: parts, variants, seeds.

All of it is selected on validation episodes and scored on the same 400 test episodes (evaluation
seed 0). The order is that of the runs: every question is asked with one seed before the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from parley.evaluation.playing.play import PlayConfig
from studies.tasks import Replay, Task, TextBudget, Training

FIVE_SEEDS, THREE_SEEDS = range(5), range(3)
MILESTONES = Path("runs/pocket/milestones")

FAILED = ("--preset", "original")
# two of its ten epochs, for the baseline as well: all ten for three dozen runs would take half a day
FAILED_IN_BRIEF = (*FAILED, "--steps", "274")
REPAIRED = ("--preset", "default")

# one change of the failed recipe; among them the four remedies proposed for it
CHANGES: Mapping[str, tuple[str, ...]] = {
    "nothing changed": (),
    "perceiver encoder": ("--encoder", "perceiver"),
    "middle layer": ("--depth", "0.5"),
    "standardised states": ("--standardize",),
    "prefix in the slot": ("--no-at-start",),
    "contrast x 10": ("--contrast", "5"),
    "token reconstruction": ("--reconstruction", "1"),
    "VQ 4 x 64": ("--channel", "latent_vq", "--quantizer", "1"),
    "prefix in the slot, InfoNCE": ("--no-at-start", "--info-nce", "1"),
    "labels only": ("--among", "choices"),
    "fresh episodes": ("--fixed-episodes", "0"),
}

# the same changes with the prefix in the slot; added when seed 0 had shown that no single change repairs
# the failed recipe, and that the repaired one falls to chance with its prefix at the start
IN_THE_SLOT = (
    "perceiver encoder",
    "middle layer",
    "standardised states",
    "contrast x 10",
    "token reconstruction",
    "VQ 4 x 64",
    "labels only",
    "fresh episodes",
)

# one part of the repaired recipe taken away
OMISSIONS: Mapping[str, tuple[str, ...]] = {
    "pooled encoder": ("--encoder", "pooled", "--reads", "message"),
    "last layer": ("--depth", "1"),
    "raw states": ("--no-standardize",),
    "no alignment": ("--alignment-steps", "0", "--steps", "300"),
    "no reconstruction": ("--reconstruction", "0", "--alignment-steps", "0", "--steps", "300"),
    "no cross-entropy": ("--ce", "0"),
    "VQ from the first step": ("--continuous-share", "0"),
    "no quantiser": ("--channel", "latent"),
    "whole vocabulary": ("--among", "vocabulary"),
    "1,099 fixed samples": ("--fixed-episodes", "1099"),
    "one target a context": ("--messages-per-context", "1"),
    "prefix at the start": ("--at-start",),
}

# k slots of K codes; a message costs k log2 K bits
VQ_RATES = ((1, 2), (1, 4), (1, 8), (2, 4), (2, 6), (2, 8), (3, 8), (4, 4), (4, 6), (4, 8), (4, 16), (4, 256))
FSQ_RATES = (
    (1, (2, 2, 2)),
    (2, (2, 2, 2)),
    (3, (2, 2, 2)),
    (4, (2, 2, 2)),
    (4, (8, 8)),
    (4, (4, 4, 4, 4)),
)
# with seeds 1 and 2 as well
AGAIN = ("VQ 1 x 8", "VQ 2 x 8", "VQ 3 x 8", "VQ 4 x 8", "FSQ 4 x 2.2.2", "continuous")
TEXT_CHARACTERS = (1, 2, 3, 7, 11, 15, 19, 23, 27)


def failure() -> Iterator[Task]:
    """Does the original recipe fail here?"""
    for seed in FIVE_SEEDS:
        yield Training(part="failure", variant="original", seed=seed, flags=FAILED)


def repaired() -> Iterator[Training]:
    """Does the repaired recipe pass, with every seed?"""
    for seed in FIVE_SEEDS:
        yield Training(part="repaired", variant="default", seed=seed, flags=REPAIRED, with_text=True)


def change(seed: int) -> Iterator[Task]:
    """What repairs it: the failed recipe with one change."""
    for variant, flags in CHANGES.items():
        yield Training(part="change", variant=variant, seed=seed, flags=(*FAILED_IN_BRIEF, *flags))


def pair(seed: int) -> Iterator[Task]:
    """What repairs it together with the slot: the failed recipe, its prefix there, one more change."""
    for variant in IN_THE_SLOT:
        flags = (*FAILED_IN_BRIEF, "--no-at-start", *CHANGES[variant])
        yield Training(part="pair", variant=f"slot + {variant}", seed=seed, flags=flags)


def omission(seed: int) -> Iterator[Task]:
    """What it cannot do without: the repaired recipe with one part taken away."""
    for variant, flags in OMISSIONS.items():
        yield Training(part="omission", variant=variant, seed=seed, flags=(*REPAIRED, *flags))


def rate(seed: int) -> Iterator[Task]:
    """How few bits suffice?"""
    for k, codes in VQ_RATES:
        flags = (*_slots(k), "--codebook-size", str(codes))
        yield Training(part="rate", variant=f"VQ {k} x {codes}", seed=seed, flags=(*REPAIRED, *flags))
    for k, levels in FSQ_RATES:
        name = f"FSQ {k} x {'.'.join(map(str, levels))}"
        flags = ("--channel", "latent_fsq", *_slots(k), "--levels", *map(str, levels))
        yield Training(part="rate", variant=name, seed=seed, flags=(*REPAIRED, *flags))
    yield Training(part="rate", variant="continuous", seed=seed, flags=(*REPAIRED, "--channel", "latent"))


def _slots(k: int) -> tuple[str, ...]:
    """Fewer slots than a description has words leave the last words unsaid."""
    return ("--k", str(k), *(("--first-tokens-only",) if k < 4 else ()))


def text_budgets() -> Iterator[Task]:
    """What text does with few bytes."""
    for characters in TEXT_CHARACTERS:
        yield TextBudget(part="text", variant=f"{characters} characters", seed=0, characters=characters)


def reinforce() -> Iterator[Task]:
    """Without labels: from the environment's reward alone."""
    for seed in THREE_SEEDS:
        yield Training(part="reinforce", variant="reinforce", seed=seed, flags=("--preset", "reinforce"))


def receiver(seed: int, milestones: Path = MILESTONES) -> Iterator[Task]:
    """Is a better receiver harder to speak to? The pocket at the milestones of its own pretraining."""
    for folder in sorted(milestones.glob("step-*")):
        flags = (*REPAIRED, "--model", folder.as_posix())
        yield Training(part="receiver", variant=folder.name, seed=seed, flags=flags, with_text=True)


def unseen() -> Iterator[Task]:
    """Harder candidates, more of them, and between strangers, from the trainings of `repaired`."""
    sources = list(repaired())
    for source in sources:
        hard = PlayConfig(resample_probability=0.05)
        ten = PlayConfig(num_candidates=10)
        yield Replay(part="unseen", variant="hard candidates", seed=source.seed, source=source, play=hard)
        yield Replay(part="unseen", variant="ten candidates", seed=source.seed, source=source, play=ten)
    for source, partner in zip(sources, [*sources[1:], sources[0]], strict=True):
        yield Replay(part="unseen", variant="cross-play", seed=source.seed, source=source, partner=partner)


def parts() -> dict[str, list[list[Task]]]:
    """The tasks of every part, in rounds: a round is run before the next one begins."""
    return {
        "failure": [list(failure())],
        "repaired": [list(repaired())],
        "unseen": [list(unseen())],
        "omission": [list(omission(seed)) for seed in THREE_SEEDS],
        "change": [list(change(seed)) for seed in THREE_SEEDS],
        "pair": [list(pair(seed)) for seed in THREE_SEEDS],
        "rate": [[*rate(0), *text_budgets()], *([t for t in rate(s) if t.variant in AGAIN] for s in (1, 2))],
        "reinforce": [[task] for task in reinforce()],
        "receiver": [list(receiver(seed)) for seed in THREE_SEEDS],
    }
