"""The command that writes the curve, the curve that is read, and every error's message."""

import json
import math
import re
import sys
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
from matplotlib.figure import Figure
from rate_cases import divided_world, law_of, tiny_game, tiny_world

from studies.rate_limit import __main__ as rate_limit
from studies.rate_limit import chart as rate_chart
from studies.rate_limit.__main__ import RateLimitConfig, messages_of, run
from studies.rate_limit.bound import success_bound
from studies.rate_limit.codes import (
    best_code,
    draw_candidates,
    measure,
    product_cells,
    product_code,
    sample_game,
    word_code,
)
from studies.rate_limit.points import RatePoint, WordPoint, load_curve

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
    [(0, 1), (0.5, 1), (1, 2), (9.5, 724), (math.log2(6), 6), (math.log2(5), 5), (12, 4096), (62, 2**62)],
)
def test_as_many_messages_as_fit_into_the_bits(bits, num_messages):
    assert messages_of(bits) == pytest.approx(num_messages, abs=0 if bits < 40 else 1e7)


def test_the_command_writes_a_curve_that_can_be_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rate_limit, "find_world", lambda _: tiny_world((3, 4)))
    command = [
        "--bits",
        "2",
        "0",
        "3.585",
        "2",
        "--folder",
        str(tmp_path),
        "--episodes",
        "300",
        "--seed",
        "3",
    ]
    monkeypatch.setattr(sys, "argv", ["studies.rate_limit", *command])
    assert rate_limit.main() == 0
    assert "best code found" in capsys.readouterr().out
    content = json.loads((tmp_path / "rate_limit.json").read_text())
    assert content["command"].endswith(" ".join(command))
    expected = {"seed": 3, "episodes": 300, "num_candidates": 5, "chance": 0.2, "resample_probability": 0.5}
    assert {key: content[key] for key in expected} == expected
    assert content["versions"].keys() == {"python", "parley", "numpy", "scipy"}
    assert [word["bits"] for word in content["word_codes"]] == [0, 2, math.log2(12)]
    assert [point["bits"] for point in content["curve"]] == [0, 2, 3.585]
    curve = load_curve(tmp_path / "rate_limit.json")
    assert [point.num_messages for point in curve] == [1, 4, 12]
    assert [curve[0].upper_bound, curve[0].best_code, curve[2].best_code] == [0.2, 0.2, 1.0]
    assert curve[1].product_code <= curve[1].best_code <= curve[1].upper_bound <= 0.8
    assert (tmp_path / "rate_limit.png").read_bytes().startswith(b"\x89PNG")


def test_codes_are_measured_in_the_test_split_too(tmp_path, monkeypatch):
    world = divided_world((4, 4, 4))
    monkeypatch.setattr(rate_limit, "find_world", lambda _: world)
    run(RateLimitConfig(bits=(3.0,), episodes=200, effort=1, seed=5, folder=tmp_path), [])
    (point,) = load_curve(tmp_path / "rate_limit.json")
    law, rng = law_of((4, 4, 4), 5, 0.5), np.random.default_rng(5)
    sample_game(world, law, 200, rng)
    test = draw_candidates(world, law, "test", 200, rng)
    product = measure(product_cells(law, point.product_groups), test)
    assert (point.product_code_test, point.product_code_test_se) == product[1:]
    assert point.best_code_test not in (point.best_code, point.product_code_test)


def test_the_same_seed_gives_the_same_point_whatever_other_points_there_are(tmp_path, monkeypatch):
    world = divided_world((4, 4, 4))
    monkeypatch.setattr(rate_limit, "find_world", lambda _: world)
    config = partial(RateLimitConfig, episodes=200, effort=1, seed=5)
    run(config(bits=(2.9,), folder=tmp_path / "one"), [])
    run(config(bits=(1.0, 2.9), folder=tmp_path / "two"), [])
    one, two = (load_curve(tmp_path / name / "rate_limit.json") for name in ("one", "two"))
    assert one[0] == two[1]


def test_points_are_read_in_the_order_of_their_bits(tmp_path):
    path = tmp_path / "curve.json"
    path.write_text(json.dumps({"curve": [{**asdict(POINT), "bits": bits} for bits in (2, 0, 1)]}))
    assert load_curve(path) == [replace(POINT, bits=bits) for bits in (0, 1, 2)]


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


def test_the_picture_shows_success_and_failure(monkeypatch):
    figures = []

    class Kept(Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            figures.append(self)

    monkeypatch.setattr(rate_chart, "Figure", Kept)
    last = replace(POINT, bits=5.0, upper_bound=1.0, best_code=1.0, product_code=0.9, product_code_se=0.01)
    word = WordPoint(num_words=0, groups=(1, 1), bits=0.0, success=0.2, success_se=0.0)
    assert rate_chart.draw_rate_limit([POINT, last], [word], 5).startswith(b"\x89PNG")
    panels = []
    for axes in figures[0].axes:
        curves = [bars.lines[0].get_xydata().tolist() for bars in axes.containers]
        chance = [line.get_ydata()[0] for line in axes.lines if line.get_label() == "chance, 1/5"]
        errors = axes.containers[2].lines[2][0].get_segments()[-1][:, 1].tolist()
        panels.append((curves, chance, pytest.approx(sorted(errors))))
    success = [[[1, 0.4], [5, 1]], [[1, 0.39], [5, 1]], [[1, 0.36], [5, 0.9]], [[0, 0.2]]]
    failure = [[[1, 0.6]], [[1, 0.61]], [[1, 0.64], [5, 1 - 0.9]], [[0, 0.8]]]  # none of 0, which has no log
    assert panels == [(success, [0.2], [0.88, 0.92]), (failure, [0.8], [0.08, 0.12])]
    legend = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert (legend[0], legend[-1], len(legend)) == ("bound: no code does better", "chance, 1/5", 5)
