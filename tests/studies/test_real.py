"""The trials on SmolLM2: their flags are understood, and the page is made of what their folders hold."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from parley.agents.command_line import parse_arguments
from parley.agents.player import Profile
from parley.evaluation.gate1 import Gate1Config
from parley.evaluation.playing.entries import chosen_channels
from parley.evaluation.records import RecordWriter
from parley.evaluation.results import build_results
from parley.training.run import parse
from studies import real
from studies.real import RealConfig, perform, render, run
from studies.real_goals import GOALS
from studies.real_plan import MAIN, SIDE, TRIALS
from studies.real_record import read_trial
from studies.simulated import CHANNEL, Truth, records_of, simulate

CODECS = {flags: trial for trial in TRIALS.values() for flags in trial.codecs.values()}
MAIN_CHANNELS = {"text": "ceiling", "latent_vq": "judged", "latent": "judged"}


@pytest.mark.parametrize("flags", CODECS, ids=" ".join)
def test_every_training_is_a_command(flags):
    channel, _, config = parse(list(flags))
    gate = parse_arguments(Gate1Config, CODECS[flags].gate, None, "parley gate1")
    assert channel in chosen_channels(gate.channels)
    assert (config.models.sender, config.models.receiver) == (gate.models.sender, gate.models.receiver)
    assert (config.models.model, config.models.shots) == (gate.models.model, gate.models.shots)


@pytest.mark.parametrize("trial", TRIALS.values(), ids=lambda trial: trial.name)
def test_every_gate_is_a_command(trial):
    gate = parse_arguments(Gate1Config, trial.gate_flags(), None, "parley gate1")
    assert gate.play.episodes == (400 if trial in MAIN else 100)
    assert gate.models.dtype == ("auto" if trial in MAIN else "bfloat16")
    assert "silence" in chosen_channels(gate.channels)


def test_names_are_unique_and_no_two_trials_are_alike():
    assert len(TRIALS) == len(MAIN) + len(SIDE)
    content = [(dict(trial.codecs), trial.borrows, trial.gate) for trial in TRIALS.values()]
    assert all(one not in content[:number] for number, one in enumerate(content))


def test_a_borrowed_codec_is_trained_by_an_earlier_trial(tmp_path):
    made = []
    for trial in TRIALS.values():
        assert {tmp_path / codec for codec in trial.borrows} <= set(made), trial.name
        made += trial.trainings(tmp_path)


def fake(trial, runs, rates, roles=MAIN_CHANNELS, n=60):
    """A finished trial: each channel understands so often."""
    records = []
    for name, rate in rates.items():
        played = list(records_of(simulate(Truth.of_success(rate), n, np.random.default_rng(0)), 5))
        own = [record for record in played if record.channel == CHANNEL]
        records += [replace(record, channel=name, role=roles[name], seconds=0.5) for record in own]
    records += [record for record in played if record.channel != CHANNEL]
    folder = trial.gate_folder(runs)
    folder.mkdir(parents=True)
    with RecordWriter(folder / "episodes.jsonl") as writer:
        writer.write(records)
    origin = {"command": f"parley gate1 --of {trial.name}", "precision": "float32", "num_candidates": 5}
    (folder / "results.json").write_text(json.dumps(build_results(records, origin)))
    for codec in trial.trainings(runs):
        codec.mkdir()
        logged = [{"step": 150, "seconds": 40, "validation_success": 0.85}, {"step": 300, "seconds": 81.5}]
        (codec / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in logged))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    fake(TRIALS["seed1"], folder, {"text": 0.99, "latent_vq": 0.99, "latent": 0.4})
    fake(TRIALS["bits12"], folder, {"latent_vq": 0.2})
    return folder


@pytest.fixture(scope="module")
def rows(runs):
    return [read_trial(TRIALS[name], runs) for name in ("seed1", "bits12")]


def line_of(page, *cells):
    (found,) = [line for line in page.splitlines() if line.startswith("| " + " | ".join(cells) + " |")]
    return found


def test_the_page_is_made_of_the_run_folders(runs, tmp_path):
    console = Console(quiet=True)
    run(RealConfig(runs=runs, results=tmp_path, render_only=True), console)
    page, kept = (tmp_path / "real.md").read_text(), json.loads((tmp_path / "real.json").read_text())
    assert [row["trial"] for row in kept] == ["seed1", "bits12"]
    normal = kept[0]["channels"]["latent"]["conditions"]["normal"]
    interval = f"[{100 * normal['ci_low']:.1f}, {100 * normal['ci_high']:.1f}]"
    assert f"| {100 * normal['rate']:.1f} {interval} |" in line_of(page, "seed1", "latent", "24")
    assert line_of(page, "bits12", TRIALS["bits12"].asks, "latent_vq").endswith("| – | 60 | float32 | fail |")
    assert "| not run |" in line_of(page, "label", TRIALS["label"].asks)
    assert "# seed0: not run\nparley train --model smollm2 --preset aligned" in page
    assert "\nparley gate1 --of bits12\n" in page, "the command that was recorded"
    assert "**bits12**, latent_vq: Normal succeeds in" in page
    assert line_of(page, "bits12", "codec") == "| bits12 | codec | 300 | 81.5 | 85.0% | 180.6 |"
    assert page.endswith("## What fell short\n\n" + real.NOTES.read_text())


def test_goals_are_met_missed_or_open(rows):
    def answers(*main):
        return {goal.asks: goal.answer(main) for goal in GOALS}

    good = json.loads(json.dumps(rows[0]))
    good["channels"]["latent"] = good["channels"]["latent_vq"]
    for channel in good["channels"].values():
        channel["at_chance"], channel["gate1"] = dict.fromkeys(channel["at_chance"], True), "pass"
    assert set(answers().values()) == set(answers(good, good).values()) == {"open"}
    assert set(answers(good, good, good).values()) == {"met"}
    assert answers(good, rows[0])["latent at least 85%"] == "missed"
    assert answers(good, rows[0])["latent within 3 points of text"] == "missed"
    assert answers(good, rows[0])["text at least 90%"] == "open"
    assert answers(good, rows[0])["Gate 1 passes with every seed"] == "missed"
    good["channels"]["text"]["at_chance"]["shuffle"] = None
    controls = next(goal for goal in GOALS if goal.asks.startswith("every control"))
    assert controls.answer([good]) == "missed"
    assert controls.measured([good]) == "seed1: not shown: text shuffle"


def test_the_players_are_those_of_the_admission(rows):
    cell = {"shots": 3, "readout": "likelihood", "wording": "plain", "calibration": "none"}
    counts = {"n": 60, "successes": 57, "swap_consistent": 54, "exact_successes": 48, "score": 0.8}
    worse = cell | counts | {"wording": "copy", "successes": 12}
    admission = {
        "episodes": 60,
        "cells": [worse, cell | counts],
        "sender": [{"shots": 4, "exact": 57, "n": 59}],
        "receiver": {"picks": [12, 12, 12, 12, 12], "cyclic_consistency": {"same": 50, "n": 60}},
    }
    page = render(rows, Profile(admission=admission), "none")
    assert "| 4 | 57 of 59 |" in page
    best, second = (page.index(f"| likelihood | {wording} | none | 3 |") for wording in ("plain", "copy"))
    assert best < second
    assert "| 95.0 [86.3, 98.3] | 90.0 [79.9, 95.3] | 80 |" in page
    assert "The profile records no admission." in render(rows, Profile(), "none")


def test_nothing_to_show_and_another_schema_are_refused(runs, tmp_path):
    with pytest.raises(ValueError, match=r"runs must hold a finished trial, got .*nowhere"):
        run(RealConfig(runs=tmp_path / "nowhere", results=tmp_path, render_only=True), Console(quiet=True))
    with pytest.raises(ValueError, match="unknown trial 'bits13'"):
        RealConfig(trials=("bits13",))
    folder = TRIALS["said"].gate_folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / "results.json").write_text('{"schema_version": 3}')
    with pytest.raises(ValueError, match="must be of schema version 5, got 3"):
        read_trial(TRIALS["said"], tmp_path)


def test_what_is_finished_is_not_made_again(runs, monkeypatch):
    trained, played = [], []
    monkeypatch.setattr(
        real, "train", lambda channel, _, config: trained.append((config.folder, config.resume))
    )
    monkeypatch.setattr(real.gate1, "run", lambda config, _: played.append((config.folder, config.resume)))
    config = RealConfig(runs=runs)
    perform(TRIALS["bits12"], config)
    assert (trained, played) == ([], [])
    perform(TRIALS["steps20"], config)
    assert trained == [(runs / "steps20/codec", True)]
    assert played == [(runs / "steps20/gate1", True)]
    longer = replace(TRIALS["bits12"], codecs={"codec": ("--preset", "aligned", "--steps", "301")})
    perform(longer, config)
    assert trained[1:] == [(runs / "bits12/codec", True)], "one that was cut resumes"
