"""Strings that come from models and files, on report.html: shown, and never more than that."""

from dataclasses import replace

from complete_runs import CODES, HOSTILE, Page, complete, page_of
from recorded import run

from parley.evaluation.gates.criterion import Criterion
from parley.evaluation.reporting import titles
from parley.evaluation.reporting.gallery import gather_gallery
from parley.evaluation.reporting.page import flatten, render_html
from parley.evaluation.results import build_results


def test_names_in_plots_are_text_and_long_ones_are_cut():
    name = "a$x$<b>&" + "y" * 90
    page = page_of(complete(channel=name))
    assert name in page.text
    headings = [text for tag, text in page.texts if tag == "text" and text.startswith("a$x$")]
    assert {len(text) for text in headings} == {64, 24}
    assert all(text.endswith("…") for text in headings)
    page_of(run(40, channel="渠道 🙂", normal=30))


def hostile_run():
    return [
        replace(
            r,
            channel=HOSTILE if r.channel == "latent_vq" else r.channel,
            message=HOSTILE if r.message else None,
            bits=800.0 if r.message else 0.0,
            candidates=[HOSTILE] * 5 if r.candidates else None,
        )
        for r in complete()
    ]


def test_strings_of_models_and_files_stay_strings():
    provenance = {"command": HOSTILE, HOSTILE: {"a": HOSTILE, "\ud800": "\u202e"}}
    diagnostics = {HOSTILE: {**CODES, "codes": {**CODES["codes"], "attributes": [HOSTILE]}, "atlas": HOSTILE}}
    records = hostile_run()
    results = build_results(records, provenance, diagnostics=diagnostics)
    html = render_html(results, gather_gallery(records, results, 6))
    assert html.count("<script>") == 1
    page = Page(html)
    assert len(page.all("script")) == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    texts = [text for _, text in page.texts if HOSTILE in text]
    assert len(texts) > 6 * 6
    assert all(a["data-channel"] == HOSTILE for a in page.all("article"))
    assert "\\u202e" in page.text
    html.encode()


def test_provenance_is_flat_and_on_one_line():
    tree = {"a": {"b": 1, "c": {"d": "x\ny"}}, "e": None, "f": [1, 2], "g": {}}
    assert list(flatten(tree)) == [("a.b", "1"), ("a.c.d", "x\\ny"), ("e", "–"), ("f", "[1, 2]"), ("g", "{}")]


def test_a_criterion_without_a_title_goes_by_its_name():
    unheard = Criterion(name="a_new_one", statistic=0.123456, threshold=None, passed=None, reason="So.")
    assert titles.title("a_new_one") == "A new one"
    assert titles.figure(vars(unheard), "statistic") == "0.1235"
    assert titles.figure(vars(unheard), "threshold") == "–"
