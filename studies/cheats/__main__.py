"""Cheats: every channel of this study through Gate 1, sealed, as an installed package brings them.

    python -m studies.cheats

Writes docs/results/cheats.json and the page made of it, and fails if one comes to something else than it
declares.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from parley.agents.command_line import ExitCode, RunError, exit_with, parse_arguments
from parley.evaluation.files import atomic_write
from parley.evaluation.reporting.templates import templates_in
from studies.cheats.base import ARMED, HONEST, Case, catalogue
from studies.cheats.machine import sweep
from studies.cheats.outcomes import is_as_declared, outcome_of

RECORD, TEMPLATE, PAGE = "cheats.json", "cheats.md.jinja", "cheats.md"
BESIDE = ("text", "silence", "latent_vq")
"""Channels that play in the same run, and must come to what they come to without it."""


@dataclass(frozen=True, kw_only=True)
class CheatsConfig:
    """What is run.

    Args:
        episodes: how many each channel plays under each condition.
        seed: of the episodes; two of the cheats read it where it is chosen.
        checkpoint: run folder of a trained latent_vq, which plays beside them.
        before: file of verdicts by an earlier judge, by channel; by default the record keeps its own.
        folder: where the run goes.
        results: where the record and the page go.
        render_only: make the page of the record that is there, and run nothing.
    """

    episodes: int = 400
    seed: int = 15
    checkpoint: Path = Path("runs/latent_vq-seed0")
    before: Path | None = None
    folder: Path = Path("runs/cheats")
    results: Path = Path("docs/results")
    render_only: bool = False


def run(config: CheatsConfig, console: Console) -> None:
    """Play, record, and make the page.

    Raises:
        RunError: naming the channels that came to something else than they declare.
    """
    record, cases = config.results / RECORD, catalogue()
    found = json.loads(record.read_text()) if record.exists() else {"before": {}}
    if not config.render_only:
        found |= describe(cases, play(cases, config), config)
    if config.before is not None:
        found["before"] = json.loads(config.before.read_text())
    atomic_write(record, (json.dumps(found, indent=1) + "\n").encode())
    page = templates_in(Path(__file__).parent).get_template(TEMPLATE).render(**found, honest=HONEST)
    atomic_write(config.results / PAGE, page.encode())
    console.print(f"{record} and {config.results / PAGE}", soft_wrap=True)
    others = [row["name"] for row in found["rows"] if not row["as_declared"]]
    if others:
        raise RunError(
            f"{len(others)} channels came to something else than they declare: {', '.join(others)}"
        )


def play(cases: Mapping[str, Case], config: CheatsConfig) -> dict[str, Any]:
    """The results of one run of the gate, which has the channels from an installed package.

    Raises:
        RunError: if it comes to no results.
    """
    with TemporaryDirectory() as folder:
        install(cases, Path(folder))
        places = [folder, os.environ.get("PYTHONPATH", ""), os.getcwd()]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places)), ARMED: "1"}
        names = ",".join([*cases, *BESIDE])
        command = [
            *(sys.executable, "-m", "parley.evaluation.gate1", "--channels", names),
            *("--episodes", str(config.episodes), "--seed", str(config.seed)),
            *("--checkpoint", str(config.checkpoint), "--folder", str(config.folder)),
        ]
        try:
            ended = subprocess.run(command, env=environment, check=False)  # noqa: S603 - a command of ours
        finally:
            sweep()
    if ended.returncode != ExitCode.INVALID:
        raise RunError(f"the run must be invalid, as some of its channels are, got code {ended.returncode}")
    results: dict[str, Any] = json.loads((config.folder / "results.json").read_text())
    return results


def install(cases: Mapping[str, Case], folder: Path) -> None:
    """Write what an installed package leaves: its name, and which module brings which channel."""
    info = folder / "parley_cheats-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parley-cheats\nVersion: 1.0\n")
    points = [f"{name} = studies.cheats.{case.kind}" for name, case in cases.items()]
    (info / "entry_points.txt").write_text("\n".join(["[parley.channels]", *points, ""]))


def describe(cases: Mapping[str, Case], results: dict[str, Any], config: CheatsConfig) -> dict[str, Any]:
    """The record: what each declares and came to, and what the others in the run came to."""
    rows: list[dict[str, Any]] = []
    for name, case in cases.items():
        outcome = outcome_of(name, results)
        row: dict[str, Any] = {"name": name, "kind": case.kind, "tries": case.tries, "declared": case.verdict}
        row |= {"because": case.because, "as_declared": is_as_declared(case, outcome)}
        rows.append(row | outcome._asdict())
    beside = {name: results["channels"][name]["conditions"]["normal"] for name in BESIDE}
    settings = {"episodes": config.episodes, "seed": config.seed}
    return {"settings": settings, "beside": beside, "rows": rows}


def main() -> int:
    """Entry point of `python -m studies.cheats`."""
    run(parse_arguments(CheatsConfig, sys.argv[1:], __doc__, "studies.cheats"), Console())
    return ExitCode.PASS


if __name__ == "__main__":
    exit_with(main)
