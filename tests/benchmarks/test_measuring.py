"""The measuring of the benchmarks: parts, processes, memory, and how records come of figures."""

import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from benchmarks import environment, evaluating, growth, meaning
from benchmarks.environment import OURS, PEERS, EnvironmentConfig, read_turns
from benchmarks.evaluating import EvaluatingConfig, Stage
from benchmarks.growth import Axis, Grown, GrowthConfig
from benchmarks.meaning import Gate, MeaningConfig, Run
from benchmarks.parts import seconds_of
from benchmarks.playing_step import Models, StepSize, bytes_kept, context_tokens
from benchmarks.processes import Ended, run_module
from parley.agents.command_line import RunError, parse_arguments
from parley.evaluation.gate1 import Gate1Config
from parley.evaluation.playing.entries import enter
from parley.evaluation.playing.play import PlayConfig
from parley.training.config import TrainConfig

SILENT = Console(file=io.StringIO())
RUN = Run(0, 1, 90, True, 0.97, 1.0, preparing=9.0, aligning=4.0, playing=3.0, validating=2.0, saving=1.0)


class Cook:
    def boil(self):
        return self.chop() + 1

    def chop(self):
        return 1

    def burn(self):
        raise RuntimeError("burnt")


# --- parts and processes ---


def test_a_part_within_a_part_counts_for_the_outer_alone(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr("benchmarks.parts.perf_counter", lambda: next(now))
    whole = dict(vars(Cook))
    with seconds_of({"fire": [(Cook, "boil"), (Cook, "burn")], "knife": [(Cook, "chop")]}) as seconds:
        assert Cook().boil() == 2
        assert Cook().chop() == 1
        with pytest.raises(RuntimeError, match="burnt"):
            Cook().burn()
        Cook().chop()
    assert seconds == {"fire": 2.0, "knife": 2.0}
    assert dict(vars(Cook)) == whole


def test_a_module_runs_in_a_process_of_its_own(tmp_path):
    ended = run_module(["platform"], tmp_path)
    assert ended.code == 0
    assert ended.seconds > 0
    assert 1 << 20 < ended.peak_bytes < 1 << 27, "its own memory, not that of who started it"
    with pytest.raises(RunError, match=r"(?s)python -m json\.tool nowhere ended with code \d: .*nowhere"):
        run_module(["json.tool", "nowhere"], tmp_path)
    assert run_module(["json.tool", "nowhere"], tmp_path, allowed=(1, 2)).code != 0


# --- the environment ---


def test_turns_are_read_from_what_pettingzoo_prints(monkeypatch):
    def prints(_):
        print("Starting\n1234.5 turns per second\n617.2 cycles per second")  # noqa: T201

    assert read_turns("x\n1e4 turns per second\n") == 10_000
    with pytest.raises(
        ValueError, match="printed must hold 'turns per second' after a number, got 'nothing'"
    ):
        read_turns("nothing")
    monkeypatch.setattr(environment, "performance_benchmark", prints)
    assert environment.turns_per_second(None) == 1234.5


def test_environments_are_compared_with_the_faster_peer(monkeypatch):
    config = EnvironmentConfig(quick=True)
    monkeypatch.setattr(environment, "QUICK_SECONDS", 0.001)
    rates = environment.measure(config, SILENT)
    assert {len(each) for of in rates.values() for each in of.values()} == {5}
    assert {name for of in rates.values() for name in of} == {OURS, environment.LONGER, *PEERS}
    known = {OURS: [30.0] * 5, environment.LONGER: [1.0] * 5, PEERS[0]: [10.0] * 5, PEERS[1]: [20.0] * 5}
    record = environment.report(config, {"env": known, "raw_env": known | {OURS: [29.0] * 5}})
    assert [(goal.measured, goal.met) for goal in record.goals] == [(1.5, True), (1.45, False)]
    assert record.settings.items() >= {"repeats": 5, "threads": 1, "seed": 0, "quick": True}.items()
    assert "docs" not in record.settings
    assert all(PEERS[1] in goal.what for goal in record.goals)


# --- the evaluation ---


def test_conditions_parts_and_loop_are_reported(pocket_pair, tmp_path):
    entries = {name: enter(name, pocket_pair, None) for name in evaluating.CHANNELS}
    stage = Stage(pocket_pair, entries, PlayConfig(episodes=2), range(1), tmp_path)
    assert {record.condition for record in stage.play(stage.alone("text", normal=True))} == {"normal"}
    seconds = {
        f"{what}, {warmth}": [cost] * 5
        for warmth in (evaluating.WARM, evaluating.COLD)
        for what, cost in (
            ("latent_vq, normal alone", 1.0), ("latent_vq, all conditions", 2.0),
            ("all channels, all conditions", 9.0),
        )
    }  # fmt: skip
    table, goals = evaluating.report_conditions(stage, seconds)
    assert [goal.measured for goal in goals] == [pytest.approx(1 / 6), pytest.approx(8 / 22)]
    assert [row[2] for row in table.rows] == [1, 7, 23] * 2
    parts = evaluating.report_parts(stage)
    assert sum(row[2] for row in parts.rows) == pytest.approx(1)
    assert all(row[1] > 0 for row in parts.rows)


def test_a_cold_sender_reads_and_the_stages_own_does_not(pocket_pair, tmp_path, monkeypatch):
    stage = Stage(
        pocket_pair,
        {"latent": enter("latent", pocket_pair, None)},
        PlayConfig(episodes=2),
        range(1),
        tmp_path,
    )
    warm = stage.play(stage.entries)
    cold = stage.play(stage.entries, cold=True)
    assert [record.choice for record in warm] == [record.choice for record in cold]
    read = []
    monkeypatch.setattr(evaluating, "Sender", lambda *_: read.append(1) or pocket_pair.sender)
    stage.play(stage.entries)
    assert not read
    stage.play(stage.entries, cold=True)
    assert read


def test_the_loop_is_compared_a_play(pocket_pair, tmp_path, monkeypatch):
    entries = {name: enter(name, pocket_pair, None) for name in evaluating.COMPARED}
    stage = Stage(pocket_pair, entries, PlayConfig(episodes=40), range(2), tmp_path)
    known = {evaluating.LOOP: [10.0] * 5, evaluating.WARM: [5.0] * 5, evaluating.COLD: [8.0] * 5}
    monkeypatch.setattr(
        evaluating, "alternate", lambda works, repeats, tell: {way: known[way] for way in works}
    )
    monkeypatch.setattr(evaluating, "agreement", lambda *_: 0.9)
    table, goals, points = evaluating.report_loop(stage, 5)
    rows = [[14, 1.4, 1.0], [280, 56.0, 40.0], [280, 35.0, 25.0]]
    assert [row[1:4] for row in table.rows[:3]] == [pytest.approx(row) for row in rows]
    assert [(goal.measured, goal.met) for goal in goals] == [
        (pytest.approx(40.0), True), (25.0, False), (0.9, False), (0.9, False),
    ]  # fmt: skip
    assert points["text"][evaluating.WARM] == pytest.approx([200 * 0.025 / 280] * 5)


# --- meaning ---


def test_a_training_is_timed_by_part_until_it_is_there(pocket_pair, few_objects, monkeypatch):
    recipe = TrainConfig(
        steps=8, alignment_steps=4, alignment_batch=8, batch_size=2, messages_per_context=1,
        validation_episodes=8, validate_every=2,
    )  # fmt: skip
    monkeypatch.setattr(meaning, "Sender", lambda *_: pocket_pair.sender)  # who has read all that there is
    run = meaning.train(pocket_pair.receiver.lm, few_objects, recipe, threads=1)
    assert (run.steps, run.text, run.reached) == (8, 1.0, False)
    parts = (run.preparing, run.aligning, run.playing, run.validating, run.saving)
    assert min(parts) > 0
    assert run.seconds == pytest.approx(sum(parts[1:]))
    monkeypatch.setattr(meaning, "SHARE", 0.0)
    early = meaning.train(pocket_pair.receiver.lm, few_objects, recipe, threads=1)
    assert (early.steps, early.reached) == (6, True), "not before there are codes"


def test_only_those_that_reached_it_are_timed():
    late, never = RUN._replace(aligning=44.0, seed=1), RUN._replace(reached=False, aligning=1.0, seed=2)
    config = MeaningConfig(seeds=(0, 1, 2), threads=(1,))
    record = meaning.report(config, [RUN, late, never], [Gate(0, 60.0, 100.0, "pass")])
    share, time, gate = record.goals
    assert (share.measured, time.measured, gate.measured) == (pytest.approx(2 / 3), 30.0, 160.0)
    assert (share.met, time.met, gate.met) == (False, True, True)
    assert record.points["runs"][0]["seconds"] == 10.0
    nobody = meaning.report(config, [never], [])
    assert [goal.met for goal in nobody.goals] == [False, None, None]


def test_the_gate_is_both_commands_of_the_makefile(monkeypatch):
    ran = []

    def run(arguments, folder, allowed=(0,)):
        ran.append(arguments)
        return Ended(4 if 4 in allowed else 0, 50.0, 1)

    monkeypatch.setattr(meaning, "run_module", run)
    assert meaning.gate1(3) == Gate(3, 50.0, 50.0, "inconclusive")
    makefile = (meaning.FOLDER.parents[1] / "Makefile").read_text()
    for arguments in ran:
        line = (
            " ".join(arguments)
            .replace("runs/latent_vq-seed3", "$(RUN)")
            .replace("--seed 3", "--seed $(SEED)")
        )
        assert f"-m {line}\n" in makefile


# --- growth ---


def test_what_is_kept_counts_each_storage_once_and_no_weights(pocket_pair):
    vector = torch.ones(1000, requires_grad=True)
    weight = pocket_pair.receiver.lm.embedding_table
    with bytes_kept(pocket_pair.receiver.lm) as saved:
        raised = vector.exp()  # saves what comes of it
        (raised[:10] * raised[10:20]).sum()  # two views of it
        vector[: weight.shape[1]] @ weight[0]  # saves the weight, which is there anyway
    assert sum(saved.values()) == 4000


def test_a_step_of_any_size_is_made(monkeypatch):
    models = Models()
    small = StepSize(batch=2, candidates=3, messages=2, width=32, layers=1)
    axis = Axis("batch", "batch", (2, 4, 8), small, "1", asked=True)
    found = growth.grow(axis, models, 5)
    assert found.sizes == [2, 4, 8]
    assert [len(each) for each in found.seconds] == [5] * 3
    assert 0.5 < found.exponent_of(found.kept_bytes) < 1.05
    assert context_tokens(replace(small, words=3), models) > context_tokens(small, models) + 3 * 4


def test_growth_is_that_of_the_upper_half():
    axis = Axis("batch", "batch", (1, 2, 4, 8), StepSize(), "1", asked=True)
    costs = [5.0, 5.0, 4.0, 16.0]  # of the upper half 2
    found = Grown(axis, [1, 2, 4, 8], [[cost] for cost in costs], [1, 2, 4, 8])
    assert found.exponent_of(found.medians) == pytest.approx(2)
    tables, goals = growth.report_steps([found])
    assert [goal.met for goal in goals] == [False, True]
    assert len(tables[1].rows) == 4
    ended = [Ended(0, 10.0, 100), Ended(0, 20.0, 104), Ended(0, 40.0, 111)]
    table, goals = growth.report_evaluations((400, 1600, 6400), ended)
    assert [(goal.measured, goal.met) for goal in goals] == [(1.11, False), (pytest.approx(0.5), True)]
    assert [row[0] for row in table.rows] == [400, 1600, 6400]


def test_an_evaluation_is_a_command_that_can_be_given(monkeypatch):
    ran = []
    monkeypatch.setattr(growth, "run_module", lambda arguments, *_, **__: ran.extend(arguments))
    growth.evaluate(30, 2)
    asked = parse_arguments(Gate1Config, ran[1:], None, ran[0])
    assert (ran[0], asked.play.episodes, asked.models.threads) == ("evaluation.gate1", 30, 2)
    assert asked.channels == ("text,silence",)


# --- settings ---


@pytest.mark.parametrize(
    ("kind", "setting", "message"),
    [
        (EnvironmentConfig, {"repeats": 4}, "repeats must be at least 5, got 4"),
        (EvaluatingConfig, {"repeats": 4}, "repeats must be at least 5, got 4"),
        (EvaluatingConfig, {"single": 401}, "single must be from 1 to 400, got 401"),
        (MeaningConfig, {"threads": (0,)}, "threads must be from 1 to 1024, got 0"),
        (MeaningConfig, {"seeds": ()}, r"seeds and threads must not be empty, got \(\) and \(1, 2\)"),
        (GrowthConfig, {"repeats": 4}, "repeats must be at least 5, got 4"),
        (GrowthConfig, {"episodes": (5, 2)},
         r"episodes must be at least two different numbers, ascending, got \(5, 2\)"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_refused(kind, setting, message):
    with pytest.raises(ValueError, match=message):
        kind(**setting)
