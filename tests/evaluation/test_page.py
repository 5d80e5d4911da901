"""report.html: read as a browser would, but strictly."""

import base64
import hashlib
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from complete_runs import CODES, GUESSED, PRIMED, Page, complete, page_of, without
from recorded import attempt_02, outcomes, perfect, run

from parley.evaluation import reporting
from parley.evaluation.aggregation.communication_matters import CONDITIONED, CROSS_FITTED
from parley.evaluation.reporting import cells, titles
from parley.evaluation.reporting.gallery import gather_gallery
from parley.evaluation.reporting.page import render_html
from parley.evaluation.reporting.report import write_report
from parley.evaluation.results import build_results

PROVENANCE = {
    "command": "python -m evaluation.gate1 --seed 7",
    "num_candidates": 5,
    "seeds": {"evaluation": 7},
    "nothing": {},
}
PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
PICTURES = {"atlas-latent_vq.png": PNG, "unnamed": b""}
SECTIONS = [
    "success",
    "criteria",
    "differences",
    "swap",
    "matters",
    "cost",
    "diagnostics",
    "episodes",
    "reproduce",
]


def whole_run():
    untrained = [
        replace(r, channel="latent", role="untrained", message=[[0.5] * 4] * 2 if r.message else None)
        for r in complete(GUESSED, seed=1)
        if r.channel != "silence"
    ]
    text = [
        replace(r, channel="text", role="ceiling", message="a red cube", bits=80.0)
        for r in complete()
        if r.channel != "silence"
    ]
    return [*complete(), *untrained, *text]


@pytest.fixture(scope="module")
def whole():
    """Results of a run of four channels, its page, and the page as it is read."""
    records = whole_run()
    results = build_results(records, PROVENANCE, diagnostics={"latent_vq": CODES}, gates=(1, 2))
    html = render_html(results, gather_gallery(records, results, 12), PICTURES)
    return results, html, Page(html)


def test_it_is_one_document_that_loads_nothing(whole):
    _, html, page = whole
    assert html.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en"}]
    assert not re.search(r"https?:|url\((?!#)|@import|//[\w.]+/", html)
    loaded = [a[key] for _, a in page.elements for key in ("src", "href", "data", "action") if key in a]
    assert all(address.startswith(("#", "data:")) for address in loaded)
    assert [tag for tag, _ in page.elements if tag in ("script", "iframe", "object", "embed", "base")] == [
        "script"
    ]
    assert [a["rel"] for a in page.all("link")] == ["icon"]


def test_its_policy_lets_no_other_script_run(whole):
    _, html, page = whole
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    plan = re.search(r"<script>(.*)</script>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(plan.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not [name for _, a in page.elements for name in a if name.startswith("on")]


def test_sections_stand_in_order_and_every_link_leads_somewhere(whole):
    _, _, page = whole
    assert [a["id"] for a in page.all("section")] == SECTIONS
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    references = [a["href"][1:] for _, a in page.elements if a.get("href", "").startswith("#")]
    references += re.findall(r"url\(#([^)]+)\)", " ".join(str(a) for _, a in page.elements))
    references += [name for _, a in page.elements for name in a.get("aria-labelledby", "").split()]
    assert references
    assert set(references) <= set(ids)
    assert page.all("a")[0]["class"] == "skip"


def test_it_can_be_read_without_eyes(whole):
    _, _, page = whole
    assert len(page.all("svg")) == 4
    assert all(a.get("role") == "img" and a.get("aria-label") for a in page.all("svg"))
    assert all(a.get("alt") for a in page.all("img"))
    assert all("scope" in a for a in page.all("th"))
    assert all(
        a.get("aria-label") and a.get("tabindex") == "0"
        for a in page.all("div")
        if a.get("class") == "scroll"
    )
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper - level <= 1 for level, deeper in pairwise(levels))
    assert len(page.all("label")) == len(page.all("select")) + len(page.all("input"))


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        (complete(n=200, seed=1), "pass"),
        (attempt_02(), "fail"),
        (run(40, normal=30), "inconclusive"),
        (complete(PRIMED, 200), "invalid"),
    ],
)
def test_the_verdict_is_said_first_in_word_and_colour(records, verdict):
    results = build_results(records, PROVENANCE)
    assert results["verdict"] == verdict
    page = Page(render_html(results))
    assert {"class": f"top {verdict}"} in page.all("header")
    sentence = " ".join(results["sentence"].split())
    assert sentence in page.text
    assert page.text.index(sentence) < page.text.index("Success by channel and condition")
    assert page.text.startswith(f"Gate 1: {verdict}")


def test_it_holds_every_number_of_the_tables(whole):
    results, _, page = whole
    rates = [results["p0"]]
    for name, channel in results["channels"].items():
        rates += list(channel["conditions"].values())
        rates += [results["communication_matters"][name]["conditioned"]] if name != "silence" else []
        for found in channel["differences"].values():
            assert cells.points_interval(found) in page.text
            assert cells.points(found["difference"]) in page.text
        found = channel["information"]
        assert f"{found['at_least_bits']:.2f}" in page.text
        assert f"[{found['ci_low']:.2f}, {found['ci_high']:.2f}]" in page.text
    rates += [channel["swap_consistency"] for channel in results["channels"].values()][:-1]
    for row in rates:
        assert cells.percent(row["rate"]) in page.text
        assert cells.interval(row) in page.text
    ceiling = cells.percent(results["channels"]["text"]["conditions"]["normal"]["rate"])
    for text in (CONDITIONED, CROSS_FITTED, "128 M", f"text ceiling, {ceiling}", PROVENANCE["command"]):
        assert text in page.text


def test_every_criterion_is_there_with_its_reason(whole):
    results, _, page = whole
    rules = [results["validity"]]
    for name, channel in results["channels"].items():
        if name != "silence":
            gate1 = channel["gate1"]
            rules += [gate1, gate1["original_rule"], channel["gate2"], channel["gate3"]]
            rules += [channel["validity"]]
    criteria = [criterion for rule in rules for criterion in rule["criteria"]]
    assert len(criteria) > 60
    for criterion in criteria:
        name = criterion["name"]
        untitled = titles.Title(name.replace("_", " ").capitalize())
        assert titles._title(name) != untitled, "it has a title of its own"
        assert titles.title(name) in page.text
        assert " ".join(criterion["reason"].split()) in page.text
    assert len(page.all("details")) == 3 + 2, "earlier rules of three channels, and two that are not judged"


def test_a_failed_check_makes_a_channel_invalid_and_nothing_else():
    def channel(role, gate1, validity):
        return {"role": role, "gate1": {"passed": gate1}, "validity": {"passed": validity}}

    assert cells.gate(channel("judged", True, False), None) == "invalid"
    assert cells.gate(channel("judged", True, None), None) == "pass"
    assert cells.gate(channel("judged", None, True), None) == "inconclusive"
    assert cells.gate(channel("untrained", False, False), None) == "untrained"


def test_between_an_unfit_pair_no_channel_fails():
    def said(role, gate1, validity=True):
        channel = {"role": role, "gate1": {"passed": gate1}, "validity": {"passed": validity}}
        return cells.gate(channel, False)

    assert [said("judged", passed) for passed in (True, False, None)] == ["pass", "unfit", "unfit"]
    assert said("judged", False, False) == "invalid"
    assert said("reference", False) == "reference"


def test_plots_take_the_colours_of_the_page(whole):
    _, html, _ = whole
    plots = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    style = Path(reporting.__file__).with_name("page.css").read_text()
    for plot in plots:
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?!-)", re.sub(r'(href="|url\()#', "", plot))
        assert "font-family" not in plot
        assert "<style" not in plot
        assert "<metadata" not in plot
        used = set(re.findall(r"var\((--[\w]+)\)", plot))
        assert {"--ink", "--muted", "--control", "--swap"} <= used
        assert all(f"{name}:" in style for name in used)


def test_pictures_are_embedded_where_their_bytes_are_there(whole):
    results, _, page = whole
    images = page.all("img")
    assert [a["src"] for a in images] == [f"data:image/png;base64,{base64.b64encode(PNG).decode()}"]
    assert "latent_vq" in images[0]["alt"]
    bare = Page(render_html(results))
    assert not bare.all("img")
    assert "What every code stands for is drawn in atlas-latent_vq.png." in bare.text


def test_what_is_no_png_is_refused(whole):
    message = r"pictures must be PNG files, got 'atlas-latent_vq.png' beginning b'<svg>'"
    with pytest.raises(ValueError, match=message):
        render_html(whole[0], pictures={"atlas-latent_vq.png": b"<svg>"})


def test_episodes_show_candidates_messages_and_probabilities(whole):
    _, _, page = whole
    scenes = page.all("article")
    assert [a["data-channel"] for a in scenes] == ["latent_vq"] * 4 + ["latent"] * 4 + ["text"] * 4
    assert {a["data-outcome"] for a in scenes} == {"right", "wrong"}
    assert {a["data-swap"] for a in scenes} <= {"consistent", "not"}
    for text in ("“a red cube”", "2 vectors of 4 numbers, first 0.5, 0.5, 0.5 …", "thing 0-0", "true zeros"):
        assert text in page.text
    bars = [a["style"] for a in page.all("td") if a.get("class") == "bar"]
    assert len(bars) == 12 * 5 * 4
    assert {round(float(style.removeprefix("--share: ")), 2) for style in bars} == {0.08, 0.68}
    assert page.text.count("· target") == 0, "the dot is the style sheet's"
    assert sum(text == "target" for tag, text in page.texts) == 12
    picked = re.search(r"(\d) of them were picked because a judged channel failed there", page.text)
    assert int(picked[1]) == 2


def test_without_episodes_it_says_so():
    page = page_of(perfect(40))
    assert not page.all("article")
    assert not page.all("form")
    assert "The records hold neither messages nor probabilities" in page.text


def test_what_is_unknown_is_a_dash_and_never_zero():
    page = page_of(without(run(40, normal=30), "num_candidates"), {})
    for text in ("P0, silence measured: not played", "The command is not recorded.", "None are recorded."):
        assert text in page.text
    assert "–not known" in page.text
    success = page.text.split("Success by channel")[1].split("Criterion by criterion")[0]
    assert "chance," not in success
    assert "by luck alone" not in success
    nothing = page_of([*outcomes("text", "normal", 1, 40), *outcomes("silence", "normal", 8, 40)])
    assert "No channel that is judged was played" in nothing.text
    assert "No channel played normal and a control" in nothing.text


def test_intervals_of_an_open_run_are_called_what_they_are():
    text = page_of(run(40, normal=30), sequential=True).text
    assert "95% confidence sequences" in text
    assert "Wilson" not in text.split("Criterion by criterion")[0]


def test_the_file_is_written_whole(tmp_path, whole):
    results, html, _ = whole
    write_report(results, tmp_path, gather_gallery(whole_run(), results, 12), PICTURES)
    assert not [path.name for path in tmp_path.iterdir() if "unfinished" in path.name]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
    assert len(html) < 400_000
