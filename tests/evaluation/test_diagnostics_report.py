"""Surprise, and what results.json and report.md make of diagnostics."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import MultiDiscrete
from known_languages import KnownPair, Saying, Spelling
from recorded import outcomes, perfect

from parley.evaluation.aggregation.nll import target_nll
from parley.evaluation.diagnostics.diagnose import diagnose, nll_by_condition
from parley.evaluation.judge import judge_file
from parley.evaluation.records import EpisodeRecord, RecordWriter
from parley.evaluation.reporting.report import render_report
from parley.evaluation.results import build_results

SCHEMA = Path(__file__).parents[2] / "docs" / "results_schema.md"


@pytest.fixture
def pair(few_objects):
    return KnownPair(few_objects)


def record(condition="normal", episode_id=0, target=0, probabilities=(0.5, 0.25, 0.25), **fields):
    known = {"channel": "latent_vq", "success": False, **fields}
    return EpisodeRecord(
        condition=condition, episode_id=episode_id, target=target, probabilities=probabilities, **known
    )


def test_nll_is_the_log_of_the_target_s_probability():
    assert target_nll(record(target=1)) == pytest.approx(math.log(4))
    assert target_nll(record(probabilities=[1.0, 0.0])) == 0
    assert math.copysign(1, target_nll(record(probabilities=[1.0, 0.0]))) == 1, "0 and not -0"


def test_what_is_recorded_as_0_counts_as_half_a_unit_of_the_last_digit():
    assert target_nll(record(target=1, probabilities=[1.0, 0.0])) == pytest.approx(-math.log(0.5e-6))
    assert target_nll(record(target=1, probabilities=[1.0, 1e-9])) == pytest.approx(-math.log(0.5e-6))
    assert target_nll(record(target=1, probabilities=[1.0, 1e-6])) == pytest.approx(-math.log(1e-6))


def test_nll_by_condition_is_a_mean_over_episodes():
    records = [
        record("swap", 0, 1), record("normal", 1, 0), record("normal", 0, 1), record("swap", 1, 1)
    ]  # fmt: skip
    found = nll_by_condition(iter(records))
    assert list(found) == ["normal", "swap"]
    assert found["normal"] == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert found["swap"] == pytest.approx(math.log(4))
    assert nll_by_condition([]) == {}


@pytest.mark.parametrize("field", ["target", "probabilities"])
def test_nll_is_undefined_where_a_record_does_not_say(field):
    silent = record(episode_id=1, **{field: None})
    assert target_nll(silent) is None
    assert math.isnan(nll_by_condition([record(), silent])["normal"])
    results = build_results([record(), silent, record("null")], {})
    assert results["diagnostics"]["latent_vq"]["nll"] == {"normal": None, "null": pytest.approx(math.log(2))}


def test_results_hold_the_same_nll_as_the_function():
    records = [
        record(condition, number, number % 3, probabilities=[0.7, 0.2, 0.1])
        for condition in ("normal", "null", "swap")
        for number in range(7)
    ]
    found = build_results(records, {})["diagnostics"]["latent_vq"]
    assert found == {"nll": pytest.approx(nll_by_condition(records))}


# results.json, report.md and the command


def measured(pair, channel=None):
    found = diagnose(pair, channel or Spelling(pair.world), pair.world.referents("test"))
    return {"latent_vq": found | {"atlas": "atlas-latent_vq.png", "receiver_flops": 1.28e8}}


def documented(heading):
    section = SCHEMA.read_text(encoding="utf-8").split(heading)[1].split("\n## ")[0]
    table = {
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    return table, section


def test_every_key_is_documented(pair):
    results = build_results(perfect(50), {}, diagnostics=measured(pair))
    found = results["diagnostics"]["latent_vq"]
    keys, section = documented("## `diagnostics.<name>`")
    assert set(found) == keys
    assert all(f"`{key}`" in section for part in ("prefix", "codes") for key in found[part])
    assert results["diagnostics"]["silence"] == {"nll": {"normal": None}}
    assert list(results["diagnostics"]) == list(results["channels"])


def test_undefined_numbers_are_null(pair):
    results = build_results(perfect(50), {}, diagnostics={"latent_vq": {"topographic_similarity": math.nan}})
    assert results["diagnostics"]["latent_vq"]["topographic_similarity"] is None
    json.dumps(results, allow_nan=False)


def test_diagnostics_of_a_channel_that_did_not_play_are_refused():
    with pytest.raises(
        ValueError,
        match="diagnostics must be of channels that were played, latent_vq, silence, got another, morse",
    ):
        build_results(perfect(50), {}, diagnostics={"morse": {}, "another": {}})


def test_diagnostics_do_not_touch_the_verdict(pair):
    with_them, without = (build_results(perfect(50), {}, diagnostics=d) for d in (measured(pair), None))
    assert {**with_them, "diagnostics": None} == {**without, "diagnostics": None}


def section_of(report):
    return report.split("## Diagnostics")[1].split("## How to reproduce")[0]


TWO = {"target": 0, "choice": 0, "success": True, "probabilities": [0.9, 0.1], "num_candidates": 2}


def with_probabilities(records):
    fields = EpisodeRecord.__dataclass_fields__
    return [
        EpisodeRecord(**{name: getattr(r, name) for name in fields} | {**TWO, "intended": None})
        for r in records
    ]


def test_the_report_shows_what_was_measured(pair):
    records = [*with_probabilities(perfect(50)), *with_probabilities(outcomes("text", "normal", 50, 50))]
    found = measured(pair)
    found["latent_vq"]["codes"]["slot_in_use"][0] = 0.3
    text = section_of(render_report(build_results(records, {}, diagnostics=found)))
    nll = f"{-math.log(0.9):.3f}"
    assert f"| latent_vq |{f' {nll} |' * 6}" in text
    assert f"| text | {nll} |{' – |' * 5}" in text
    assert "ln 2 = 0.693 if it has no idea" in text
    codes, prefix = found["latent_vq"]["codes"], found["latent_vq"]["prefix"]
    assert (
        f"| latent_vq | 51 of 51 | 1.00 | {prefix['cosine']:.3f} | {prefix['effective_rank']:.1f} | "
        f"{prefix['norm_ratio']:.2f} | {sum(codes['slot_perplexity']) / 4:.1f} | 45.0% |"
    ) in text
    assert "### latent_vq: what its codes tell" in text
    assert "| slot | codes in use | perplexity | size | colour | material | shape |" in text
    second = codes["nmi"][1]
    assert (
        f"| 2 | 50.0% | {codes['slot_perplexity'][1]:.1f} | {second[0]:.2f} | **1.00** | {second[2]:.2f} | "
        f"{second[3]:.2f} |"
    ) in text
    highest = max(cell for row in codes["nmi_by_chance"] for cell in row)
    assert f"up to {highest:.2f} where they are shuffled" in text
    assert "![What every code of latent_vq stands for](atlas-latent_vq.png)" in text


def test_codes_of_one_slot_are_told_stage_by_stage(pair):
    found = measured(pair)
    found["latent_vq"]["codes"]["codes_per_slot"] = 2
    text = section_of(render_report(build_results(perfect(50), {}, diagnostics=found)))
    names = [line.split("|")[1].strip() for line in text.splitlines() if "stage" in line]
    assert names == ["1, stage 1", "1, stage 2", "2, stage 1", "2, stage 2"]


def test_the_report_of_a_language_that_says_nothing_has_dashes_and_no_bold(pair):
    dull = Saying(pair.world, MultiDiscrete([8, 8]), lambda text: np.array([1, 1]))
    found = measured(pair, dull)
    found["latent_vq"].pop("atlas")
    text = section_of(render_report(build_results(perfect(50), {}, diagnostics=found)))
    assert "| latent_vq | – | – | – | – | – |" in text
    assert "| latent_vq | 1 of 51 | – | – | – | – | 1.0 | 12.5% |" in text
    assert "| 1 | 12.5% | 1.0 | 0.00 | 0.00 | 0.00 | 0.00 |" in text
    assert "atlas" not in text
    found["latent_vq"]["codes"]["nmi_by_chance"] = [[None] * 4] * 2
    text = section_of(render_report(build_results(perfect(50), {}, diagnostics=found)))
    assert "up to – where they are shuffled" in text


def test_untrained_channels_are_named_so_and_their_codes_not_told(pair):
    fields = EpisodeRecord.__dataclass_fields__
    untrained = [
        EpisodeRecord(**{name: getattr(r, name) for name in fields} | {"role": "untrained"})
        for r in outcomes("latent_vq", "normal", 10, 50)
    ]
    text = section_of(render_report(build_results(untrained, {}, diagnostics=measured(pair))))
    assert text.count("| latent_vq (untrained) |") == 2
    assert "what its codes tell" not in text


def test_recorded_episodes_have_nll_alone(tmp_path):
    path = tmp_path / "episodes.jsonl"
    with RecordWriter(path) as writer:
        writer.write(with_probabilities(perfect(50)))
    results = judge_file(path, tmp_path / "again")
    assert {tuple(found) for found in results["diagnostics"].values()} == {("nll",)}
    text = section_of((tmp_path / "again" / "report.md").read_text())
    assert "| latent_vq | 0.105 |" in text
    assert "topographic" not in text


def test_an_address_in_the_report_is_quoted():
    found = {"latent_vq": {**DULL, "atlas": "atlas-a%2Fb (c).png"}}
    text = section_of(render_report(build_results(perfect(50), {}, diagnostics=found)))
    assert "(atlas-a%252Fb%20%28c%29.png)" in text


DULL = {
    "num_referents": 2,
    "distinct_messages": 1,
    "topographic_similarity": None,
    "prefix": None,
    "codes": {
        "codebook_size": 2, "perplexity": 1.0, "in_use": 0.5, "slot_perplexity": [1.0], "slot_in_use": [0.5],
        "attributes": ["size"], "nmi": [[0.0]], "nmi_by_chance": [[0.0]],
    },
}  # fmt: skip
