"""The command that writes the curve, the curve that is read, and every error's message."""

import json
import math
import re
import sys
from dataclasses import asdict
from functools import partial

import numpy as np
import pytest
from rate_cases import law_of, tiny_game, tiny_world

from evaluation import rate_limit
from evaluation.rate_bound import success_bound
from evaluation.rate_chart import draw_rate_limit
from evaluation.rate_codes import best_code, product_code, sample_game, word_code
from evaluation.rate_limit import RateLimitConfig, messages_of, run
from evaluation.rate_points import RatePoint, WordPoint, load_curve

ERRORS = [
    (partial(law_of, (2, 2), 1, 0.5), "num_candidates must be from 2 to 4, the number of referents, got 1"),
    (partial(law_of, (2, 2), 5, 0.5), "num_candidates must be from 2 to 4, the number of referents, got 5"),
    (partial(law_of, (2, 2), 2, 0.0), "resample_probability must be in (0, 1], got 0.0"),
    (partial(law_of, (2, 2), 2, 1.1), "resample_probability must be in (0, 1], got 1.1"),
    (lambda: success_bound(law_of((2, 2), 2, 0.5), 0), "num_messages must be at least 1, got 0"),
    (
        lambda: product_code(tiny_game((2, 2), 2, 0.5), num_messages=0),
        "num_messages must be at least 1, got 0",
    ),
    (
        lambda: best_code(tiny_game((2, 2), 2, 0.5), num_messages=0, rng=np.random.default_rng(0)),
        "num_messages must be at least 1, got 0",
    ),
    (
        lambda: best_code(tiny_game((2, 2), 2, 0.5), num_messages=2, rng=np.random.default_rng(0), effort=0),
        "effort must be at least 1, got 0",
    ),
    (lambda: word_code(tiny_game((2, 2), 2, 0.5), 3), "num_words must be from 0 to 2, got 3"),
    (lambda: word_code(tiny_game((2, 2), 2, 0.5), -1), "num_words must be from 0 to 2, got -1"),
    (
        lambda: sample_game(tiny_world((2, 2)), law_of((2, 2), 2, 0.5), 1, np.random.default_rng(0)),
        "num_episodes must be at least 2, got 1",
    ),
    (partial(RateLimitConfig, bits=()), "bits must be one or more numbers from 0 to 62, got ()"),
    (
        partial(RateLimitConfig, bits=(3.0, -1.0)),
        "bits must be one or more numbers from 0 to 62, got (3.0, -1.0)",
    ),
    (partial(RateLimitConfig, bits=(63.0,)), "bits must be one or more numbers from 0 to 62, got (63.0,)"),
    (partial(RateLimitConfig, seed=-1), "seed must be at least 0, got -1"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=[message for _, message in ERRORS])
def test_what_is_out_of_range_is_named(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(
    ("bits", "num_messages"),
    [(0, 1), (0.5, 1), (1, 2), (9.5, 724), (math.log2(6), 6), (math.log2(48), 48), (12, 4096), (62, 2**62)],
)
def test_as_many_messages_as_fit_into_the_bits(bits, num_messages):
    assert messages_of(bits) == pytest.approx(num_messages, abs=0 if bits < 40 else 1e7)


def test_the_command_writes_a_curve_that_can_be_read(tmp_path, monkeypatch, capsys):
    small = tiny_world((3, 4))
    monkeypatch.setattr(rate_limit, "objects_world", lambda: small)
    command = ["--bits", "2", "0", "3.585", "--folder", str(tmp_path), "--episodes", "300", "--seed", "3"]
    monkeypatch.setattr(sys, "argv", ["evaluation.rate_limit", *command])
    assert rate_limit.main() == 0
    assert "best code found" in capsys.readouterr().out
    content = json.loads((tmp_path / "rate_limit.json").read_text())
    assert content["command"].endswith(" ".join(command))
    expected = {"seed": 3, "episodes": 300, "num_candidates": 5, "chance": 0.2, "resample_probability": 0.5}
    assert {key: content[key] for key in expected} == expected
    assert content["versions"].keys() == {"python", "parley", "numpy", "scipy"}
    assert [word["bits"] for word in content["word_codes"]] == [0, 2, math.log2(12)]
    curve = load_curve(tmp_path / "rate_limit.json")
    assert [(p.bits, p.num_messages) for p in curve] == [(0, 1), (2, 4), (3.585, 12)]
    assert [curve[0].upper_bound, curve[0].best_code, curve[2].best_code] == [0.2, 0.2, 1.0]
    assert curve[1].product_code <= curve[1].best_code <= curve[1].upper_bound <= 0.8
    assert curve[1].best_code_test_se > 0
    assert (tmp_path / "rate_limit.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_point_whatever_other_points_there_are(tmp_path, monkeypatch):
    small = tiny_world((3, 4))
    monkeypatch.setattr(rate_limit, "objects_world", lambda: small)
    config = partial(RateLimitConfig, episodes=200, effort=1, seed=5)
    run(config(bits=(2.0,), folder=tmp_path / "one"), [])
    run(config(bits=(1.0, 2.0), folder=tmp_path / "two"), [])
    one, two = (load_curve(tmp_path / name / "rate_limit.json") for name in ("one", "two"))
    assert one[0] == two[1]


POINT = RatePoint(
    bits=1.0,
    num_messages=2,
    upper_bound=0.4,
    best_code=0.39,
    best_code_se=0.001,
    best_code_test=0.38,
    best_code_test_se=0.002,
    product_code=0.36,
    product_code_se=0.001,
    product_code_test=0.35,
    product_code_test_se=0.002,
    product_groups=(2, 1),
)


@pytest.mark.parametrize(
    "content", ["[", "{}", '{"curve": [{"bits": 1}]}', json.dumps({"curve": [{**asdict(POINT), "extra": 1}]})]
)
def test_a_file_without_a_curve_is_named(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    message = f"{path} must hold a curve of points with bits, num_messages, upper_bound, best_code, "
    with pytest.raises(ValueError, match=re.escape(message)):
        load_curve(path)


def test_the_picture_shows_success_and_failure():
    words = [WordPoint(num_words=0, groups=(1, 1), bits=0.0, success=0.2, success_se=0.0)]
    picture = draw_rate_limit([POINT], words, 5)
    assert picture.startswith(b"\x89PNG")
    assert picture != draw_rate_limit([POINT], words, 4)
