"""What the run folders of the trials hold, in brief: the rows of docs/results/real.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parley.evaluation.playing.run_folder import EPISODES_FILE
from parley.evaluation.records import read_records
from parley.evaluation.records.beside import RESULTS_FILE
from parley.evaluation.reporting.cells import gate
from parley.evaluation.results import SCHEMA_VERSION
from parley.training.log import read_metrics
from studies.read_runs import brief
from studies.real_plan import RUNS, Trial

AT_CHANCE = "_at_chance"


def is_finished(trial: Trial, runs: Path = RUNS) -> bool:
    """Whether its gate has been judged; results are written last."""
    return (trial.gate_folder(runs) / RESULTS_FILE).exists()


def read_trial(trial: Trial, runs: Path = RUNS) -> dict[str, Any]:
    """A finished trial in brief.

    Args:
        trial: whose.
        runs: where the trials are.

    Raises:
        ValueError: if its results are of another schema.
    """
    path = trial.gate_folder(runs) / RESULTS_FILE
    results = json.loads(path.read_text())
    if (version := results["schema_version"]) != SCHEMA_VERSION:
        raise ValueError(f"{path} must be of schema version {SCHEMA_VERSION}, got {version}")
    origin, fit = results["provenance"], results["fitness"]["fit"]
    return {
        "trial": trial.name,
        "command": origin["command"],
        "precision": origin["precision"],
        "n": results["p0"]["n"],
        "num_candidates": results["num_candidates"],
        "verdict": results["verdict"],
        "fit": fit,
        "text": brief(results["ceiling"]),
        "channels": {
            name: _channel(found, fit, results["communication_matters"][name])
            for name, found in results["channels"].items()
        },
        "gate_seconds": _gate_seconds(path.with_name(EPISODES_FILE)),
        "trainings": {
            folder.name: _training(logged)
            for folder in trial.trainings(runs)
            if (logged := read_metrics(folder))
        },
    }


def _channel(found: Mapping[str, Any], fit: bool | None, subsets: Mapping[str, Any]) -> dict[str, Any]:
    criteria = [] if found["role"] == "baseline" else found["gate1"]["criteria"]
    return {
        "role": found["role"],
        "bits": found["bits"],
        "conditions": {name: brief(rate) for name, rate in found["conditions"].items()},
        "followed": brief(found["swap_consistency"]),
        "cross_fitted": brief(subsets["cross_fitted"]),
        "gate1": gate(found, fit),
        "at_chance": {
            item["name"].removesuffix(AT_CHANCE): item["passed"]
            for item in criteria
            if item["name"].endswith(AT_CHANCE)
        },
        "failed": [item["reason"] for item in criteria if item["passed"] is False],
    }


def _training(logged: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Steps, their seconds, and the best validation success (0 to 1), None before the first."""
    validated = [line["validation_success"] for line in logged if "validation_success" in line]
    return {
        "steps": logged[-1]["step"],
        "seconds": logged[-1]["seconds"],
        "validation": max(validated, default=None),
    }


def _gate_seconds(path: Path) -> float | None:
    """Wall time of the models' work in a gate, as its records tell it; None where they do not."""
    if not path.exists():
        return None
    told = [record.seconds for record in read_records(path) if record.seconds is not None]
    return round(sum(told), 1) if told else None
