"""What `make gate1` counts with seed 0: the same as before evaluation and training were rebuilt.

tests/golden/gate1_seed0.json was written by the version of 2026-10, before anything was moved: successes of
400 episodes, by channel and condition, and picks of the swapped candidate. Those of `random` over text and
vectors were counted anew when it began to take length and norm from another episode's message.
"""

import json
from pathlib import Path

import pytest

from parley.evaluation import gate1
from parley.evaluation.playing.plan import PlayConfig
from parley.training.run import parse, train

GOLDEN = json.loads((Path(__file__).parent / "golden" / "gate1_seed0.json").read_text())


@pytest.mark.slow
def test_the_counts_of_seed_0_are_those_of_before(tmp_path):
    run = train(*parse(["--channel", "latent_vq", "--folder", str(tmp_path / "run")]))
    config = gate1.Gate1Config(
        seed=0,
        checkpoint=(run,),
        folder=tmp_path / "gate1",
        runs=tmp_path,
        play=PlayConfig(episodes=GOLDEN["n"]),
    )
    gate1.run(config, [])
    channels = json.loads((tmp_path / "gate1" / "results.json").read_text())["channels"]
    for name, counts in GOLDEN["channels"].items():
        played = channels[name]["conditions"]
        assert {condition: played[condition]["successes"] for condition in counts} == counts, name
    for name, count in GOLDEN["swap_consistent"].items():
        assert channels[name]["swap_consistency"]["successes"] == count, name
