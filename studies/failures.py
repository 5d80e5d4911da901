"""The failures that the original experiment went through, played to the instrument as records.

Each entry says what went wrong, and makes the records that it would have left; one that leaves no trace in
records names what holds it instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from parley.evaluation.gates.gate1 import ASKED
from parley.evaluation.records import EpisodeRecord
from parley.evaluation.results import build_results
from studies.simulated import CHANNEL, SILENCE, Experiment, Truth, records_of, simulate

N, EPISODES, SEED = 5, 400, 0
Records = Iterable[EpisodeRecord]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One failure.

    Args:
        number: in the list of those that were seen.
        what: in one sentence.
        records: what it would have left, None where it leaves no trace in records.
        held_by: what holds it where records cannot show it.
    """

    number: int
    what: str
    records: Callable[[], Records] | None = None
    held_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Caught:
    """What the instrument says of a failure.

    Args:
        failure: which.
        verdict: of the run; "refused" if the records were.
        by: names of the criteria and checks that say no, or, where none does, that are undetermined.
    """

    failure: Failure
    verdict: str
    by: tuple[str, ...]


def judge_failure(failure: Failure) -> Caught:
    """Put the records of a failure to the instrument, with Gates 1 and 3 asked.

    Raises:
        ValueError: if the failure leaves no records.
    """
    if failure.records is None:
        raise ValueError(f"failure {failure.number} leaves no trace in records")
    try:
        results = build_results(failure.records(), {}, gates=(1, 3))
    except ValueError as error:
        return Caught(failure=failure, verdict="refused", by=(str(error),))
    channel = results["channels"][CHANNEL]
    rules = [results["validity"], channel["validity"], channel["gate1"], channel["gate3"]]
    criteria = [item for rule in rules for item in rule["criteria"]]
    named = [item["name"] for item in criteria if item["passed"] is False]
    unsure = [item["name"] for item in criteria if item["passed"] is None]
    return Caught(failure=failure, verdict=results["verdict"], by=tuple(named or unsure))


def _play(truth: Truth, n: int = EPISODES) -> Experiment:
    return simulate(truth, n, np.random.default_rng(SEED))


def _changed(
    truth: Truth, condition: str, change: Callable[[EpisodeRecord], dict[str, Any]]
) -> Iterator[EpisodeRecord]:
    """The records of a truth, with those of one condition of the channel changed."""
    for record in records_of(_play(truth), N):
        meant = record.channel == CHANNEL and record.condition == condition
        yield replace(record, **change(record)) if meant else record


GOOD = Truth.of_success(0.9)
"""What a channel that works would have shown: every fault below is added to it where it can be."""


def _placeholder() -> Records:
    """Successes drawn with `random() < 0.3` in the place of a game, and nothing else."""
    rng = np.random.default_rng(SEED)
    for channel, condition in [
        *((CHANNEL, condition) for condition in ASKED),
        (SILENCE, "normal"),
    ]:
        for episode in range(EPISODES):
            yield EpisodeRecord(
                channel=channel,
                role="baseline" if channel == SILENCE else "judged",
                condition=condition,
                episode_id=episode,
                success=bool(rng.random() < 0.3),
            )


def _text_leak() -> Records:
    """The text stands in the receiver's prompt whatever the channel delivers."""
    return records_of(_play(Truth.of_lift(0.72)), N)


def _same_as_silence() -> Records:
    """The prefix never arrives: every condition is silence."""
    played = _play(Truth())
    return records_of(replace(played, picks=dict.fromkeys(played.picks, played.silence)), N)


def _cache_miss() -> Records:
    """Under shuffle one placeholder stands in for messages that were not in the cache."""
    return _changed(GOOD, "shuffle", lambda record: {"message": [0]} if record.episode_id % 2 else {})


def _biased_null() -> Records:
    """The zeros of null are decoded with a bias, and that primes: null succeeds too often."""
    played = _play(GOOD)
    primed = _play(Truth.of_success(0.35))  # the same seed, so the same targets
    return records_of(replace(played, picks={**played.picks, "null": primed.picks["normal"]}), N)


def _inert_gate() -> Records:
    """A scale of 0.1: what is delivered moves the receiver's probabilities by next to nothing."""
    for record in _same_as_silence():
        probabilities = list(record.probabilities or ())
        if record.channel == CHANNEL and record.condition == "normal":
            probabilities = [0.99 * p + 0.01 / N for p in probabilities]
        yield replace(record, probabilities=probabilities)


def _nothing_understood() -> Records:
    """An autoencoder with a fine loss, whose latents the receiver turns into one and the same wrong pick."""
    played = _play(Truth())
    wrong = (played.target + 1) % N
    return records_of(replace(played, picks={**played.picks, "normal": wrong, "swap": wrong}), N)


def _leaking_task() -> Records:
    """The task gives the target away: silence scores 52%."""
    return records_of(_play(Truth.of_lift(0.32, [*ASKED, SILENCE])), N)


def _point_estimate() -> Records:
    """35% of 50 episodes: a point above 30% whose interval is not."""
    played = _play(Truth(), 50)
    normal = np.where(np.arange(50) < 17, played.target, (played.target + 1) % N)
    return records_of(replace(played, picks={**played.picks, "normal": normal}), N)


def _whole_message() -> Records:
    """A text channel of 16 bytes that delivers the whole message."""
    text = "A small red metal cube on the left"
    return _changed(GOOD, "normal", lambda record: {"message": text, "bits": 128.0})


def _skipped() -> Records:
    """Episodes that raised were left out of one condition."""
    return (
        record
        for record in records_of(_play(GOOD), N)
        if record.condition != "normal" or record.channel != CHANNEL or record.episode_id % 20
    )


def _other_seed() -> Records:
    """P0 was played with another seed."""
    silence = records_of(_play(GOOD), N)
    own = (record for record in records_of(_play(GOOD), N) if record.channel == CHANNEL)
    rng = np.random.default_rng(SEED + 1)
    yield from own
    for record, target in zip(
        (r for r in silence if r.channel == SILENCE), rng.integers(N, size=EPISODES), strict=True
    ):
        yield replace(record, target=int(target), success=bool(record.choice == target))


def original_records() -> Iterator[EpisodeRecord]:
    """The failed experiment's own table as 50 paired records a condition.

    Which episodes succeeded is not known: successes are nested, the arrangement in which differences between
    conditions show best.
    """
    table = {"normal": 11, "null": 12, "random": 14, "shuffle": 16}
    for channel, condition, successes in [
        *(("latent", condition, count) for condition, count in table.items()),
        (SILENCE, "normal", 10),
    ]:
        for episode in range(50):
            yield EpisodeRecord(
                channel=channel,
                role="baseline" if channel == SILENCE else "judged",
                condition=condition,
                episode_id=episode,
                success=episode < successes,
                num_candidates=N,
            )


FAILURES = (
    Failure(
        number=1,
        what="A missing dependency put random successes in the place of results.",
        records=_placeholder,
    ),
    Failure(number=2, what="The text message stood in the receiver's prompt.", records=_text_leak),
    Failure(number=3, what="The prefix was computed and never injected.", records=_same_as_silence),
    Failure(
        number=4,
        what="Context was dropped after the first token.",
        held_by="tests/agents/test_receiver.py::test_choosing_from_the_cache_is_one_full_pass",
    ),
    Failure(number=5, what="Shuffle fell back to a placeholder on a cache miss.", records=_cache_miss),
    Failure(number=6, what="Null was not zero, and primed.", records=_biased_null),
    Failure(
        number=7,
        what="A codec in fp16 against a model in bf16.",
        held_by="tests/agents/test_receiver.py::test_logits_are_float32_over_the_candidates",
    ),
    Failure(number=8, what="Dropout hid a collapse.", held_by="channels/promises.py::eval_is_deterministic"),
    Failure(number=9, what="A scale gate of 0.1 was inert.", records=_inert_gate),
    Failure(
        number=10,
        what="The loss was dominated by formatting tokens.",
        held_by="tests/training/test_objectives_of_play.py::test_ce_is_the_mean_surprisal_of_the_targets",
    ),
    Failure(number=11, what="An autoencoder had a fine loss and no success.", records=_nothing_understood),
    Failure(
        number=12,
        what="A placeholder in the prompt was copied.",
        held_by="tests/agents/test_prompts.py::test_no_prompt_holds_braces",
    ),
    Failure(
        number=13,
        what="A flag was always true.",
        held_by="tests/training/test_flags.py::test_every_switch_can_be_thrown_both_ways_whatever_the_preset_says",
    ),
    Failure(number=14, what="The task leaked: silence scored 52%.", records=_leaking_task),
    Failure(number=15, what="A point estimate decided.", records=_point_estimate),
    Failure(number=16, what="A channel of 16 bytes delivered the whole message.", records=_whole_message),
    Failure(
        number=17,
        what="Two places parsed a message in two ways.",
        held_by="tests/envs/test_referential_wire.py::test_a_message_arrives_in_the_type_of_its_space",
    ),
    Failure(number=18, what="Episodes that raised were skipped.", records=_skipped),
    Failure(number=19, what="Empty input made demo figures.", records=lambda: ()),
    Failure(number=20, what="P0 came from other seeds.", records=_other_seed),
    Failure(
        number=21,
        what="Evaluation overlapped validation.",
        held_by="tests/envs/test_world.py::test_splits_are_disjoint_cover_the_world_and_hold_every_value",
    ),
    Failure(
        number=22,
        what="Control passes updated the codec.",
        held_by="tests/channels/test_latent_channels.py::test_control_passes_never_update_the_codec",
    ),
    Failure(
        number=23,
        what="Random codes bypassed the codebook.",
        held_by="tests/channels/test_conditions.py::test_random_codes_are_uniform_and_go_through_the_same_decoder",
    ),
    Failure(
        number=24,
        what="Checkpoints were loaded loosely.",
        held_by="tests/channels/test_checkpoint.py::test_what_does_not_fit_is_refused",
    ),
    Failure(
        number=25,
        what="A folder shadowed a dependency.",
        held_by="tests/packaging/test_wheel.py::test_it_lives_and_plays_beside_agents_and_channels_of_others",
    ),
)
