"""The command and the page: from a small record to Markdown and pictures."""

import json
import re

import pytest
import torch

from parley.channels.base import Channel
from parley.channels.latent import ContinuousChannel, VectorQuantizedChannel, VectorQuantizedConfig
from parley.channels.testing import ENDS, synthetic_utterance
from studies.cross_play import CrossedChannel
from studies.record import RECORD
from studies.repair import StudyConfig
from studies.report import seeds, write_study

RATE = {"rate": 0.5, "ci_low": 0.4, "ci_high": 0.6}
CONDITIONS = ("normal", "null", "random", "shuffle", "swap")


def outcome(part, variant, seed, bits=24.0, rate=0.5, **others):
    return {
        "part": part,
        "variant": variant,
        "seed": seed,
        "bits": bits,
        "n": 400,
        "num_candidates": 5,
        "conditions": {name: RATE | {"rate": rate} for name in CONDITIONS},
        "swap_consistency": RATE,
        "gate1": rate > 0.4,
        "p0": RATE,
        "text": RATE | {"rate": 1.0},
        "diagnostics": {
            "nll": dict.fromkeys(CONDITIONS, 1.5),
            "topographic_similarity": 0.5,
            "prefix": {"cosine": 0.1, "effective_rank": 9.0, "norm_ratio": 1.0},
        },
        **others,
    }


@pytest.fixture
def record(tmp_path):
    rows = [outcome("failure", "original", seed, bits=16384.0, rate=0.21) for seed in (0, 1)]
    rows += [outcome("repaired", "default", seed, rate=0.98) for seed in (0, 1, 2)]
    rows += [outcome("rate", "VQ 4 x 8", 0, bits=12.0, rate=0.97)]
    (tmp_path / RECORD).write_text(json.dumps(rows))
    return tmp_path


def test_the_page_tells_the_figures_of_the_record(record):
    write_study(record)
    page = (record / "repair.md").read_text()
    assert "| 1 | 21.0 [40.0, 60.0] |" in page
    assert re.search(r"VQ 4 x 8 \| 12 \| 0 \| 97\.0 \[40\.0, 60\.0\]", page)
    assert "98.0 [98.0, 98.0]" in page
    for picture in ("repair", "repair_rate"):
        assert f"]({picture}.png)" in page
        assert (record / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_a_record_without_the_two_recipes_is_refused(record):
    (record / RECORD).write_text(json.dumps([outcome("rate", "VQ 4 x 8", 0)]))
    with pytest.raises(ValueError, match=r"repair\.json must hold the parts failure and repaired"):
        write_study(record)


def test_parts_and_jobs_are_checked():
    with pytest.raises(ValueError, match=r"unknown parts 'rat'; the parts are: failure, repaired, .*or all"):
        StudyConfig(parts=("rat",))
    with pytest.raises(ValueError, match="jobs must be from 1 to 256, got 0"):
        StudyConfig(jobs=0)
    assert StudyConfig(parts=("unseen", "failure")).chosen == ["failure", "unseen"]
    assert StudyConfig(parts=("report",)).chosen == []
    assert "change" in StudyConfig().chosen


def test_seeds_are_spelled_as_a_range_where_they_are_one():
    rows = [outcome("rate", "a", seed) for seed in range(5)]
    assert seeds(rows) == "0–4"
    assert seeds([rows[0], rows[2]]) == "0, 2"
    assert seeds(rows[:1]) == "0"


def codec(seed: int) -> Channel:
    torch.manual_seed(seed)
    return VectorQuantizedChannel(VectorQuantizedConfig(codebook_size=8), ENDS).eval()


def test_in_cross_play_one_sends_and_the_other_receives():
    first, second = codec(0), codec(1)
    crossed = CrossedChannel(first, second)
    utterance = synthetic_utterance(ENDS)
    messages = crossed.send(utterance)
    assert all((a == b).all() for a, b in zip(messages, first.send(utterance), strict=True))
    assert (crossed.receive(messages).vectors == second.receive(messages).vectors).all()
    assert crossed.message_bits(messages[0]) == 12


def test_strangers_of_different_alphabets_cannot_be_crossed():
    with pytest.raises(ValueError, match="crossed channels must share a message space, got MultiDiscrete"):
        CrossedChannel(codec(0), ContinuousChannel(ContinuousChannel.Config(), ENDS))
